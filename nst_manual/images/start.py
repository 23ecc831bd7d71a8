"""The image that optimisation starts from."""

from __future__ import annotations

import numpy as np

from nst_manual.errors import UsageError, unknown_name
from nst_manual.images.noise import blend, spectrum_noise, white_noise
from nst_manual.images.resize import resize

START_KINDS = ("content", "noise", "grey", "image", "style", "blend", "spectrum")

# Of "blend": how much of it is noise.
NOISE_SHARE = 0.6

# RGB, 0..255: mean colour of the ImageNet training pictures, which the VGG networks subtract
MEAN_COLOUR = (123.68, 116.779, 103.939)


def start_image(
    kind: str,
    content: np.ndarray,
    seed: int = 0,
    noise_std: float = 0.0,
    image: np.ndarray | None = None,
    mean_colour: tuple[float, float, float] = MEAN_COLOUR,
    noise_share: float = NOISE_SHARE,
) -> np.ndarray:
    """Return the picture that the optimiser begins with.

    Parameters
    ----------
    kind : {"content", "noise", "grey", "image", "style", "blend", "spectrum"}
        A copy of the content; `mean_colour` plus noise; 127.5 everywhere; `image` at the content's size; the
        same, where `image` is the painting; the weighted mean of the content and of "noise"; noise with the
        content's mean colour and amplitude spectrum (`nst_manual.images.noise.spectrum_noise`).
    content : numpy.ndarray
        (H, W, 3), 0..255.
    seed : int
        For "noise", "blend" and "spectrum": the same seed gives the same picture.
    noise_std : float
        For "noise" and "blend": standard deviation of the noise in pixel units, those of 0..255, in each
        channel; not clipped.
    image : numpy.ndarray, optional
        (h, w, 3), 0..255, for "image" and "style".
    mean_colour : three floats
        RGB, 0..255: what the network sees as zero.
    noise_share : float
        For "blend": the weight of the noise, 0..1; the content has the rest.

    Returns
    -------
    numpy.ndarray, float32
        (H, W, 3).

    Raises
    ------
    UsageError
        An unknown kind; "image" or "style" without a picture; a share outside 0..1.
    """
    if kind == "content":
        return np.array(content, np.float32, order="C")
    if kind == "noise":
        return white_noise(content.shape, seed, noise_std, mean_colour)
    if kind == "blend":
        return blend(content, white_noise(content.shape, seed, noise_std, mean_colour), noise_share)
    if kind == "spectrum":
        return spectrum_noise(content, seed)
    if kind == "grey":
        return np.full(content.shape, 127.5, np.float32)
    if kind in ("image", "style"):
        if image is None:
            raise UsageError("--init", f"{kind!r} needs a picture to start from, none was given")
        return resize(image, content.shape[:2])
    raise unknown_name("--init", kind, START_KINDS)
