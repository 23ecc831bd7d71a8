"""The image that optimisation starts from."""

from __future__ import annotations

import numpy as np

from nst_manual.errors import UsageError, unknown_name
from nst_manual.images.resize import resize

START_KINDS = ("content", "noise", "grey", "image")

# RGB, 0..255: mean colour of the ImageNet training pictures, which the VGG networks subtract
MEAN_COLOUR = (123.68, 116.779, 103.939)


def start_image(
    kind: str,
    content: np.ndarray,
    seed: int = 0,
    noise_std: float = 0.0,
    image: np.ndarray | None = None,
    mean_colour: tuple[float, float, float] = MEAN_COLOUR,
) -> np.ndarray:
    """Return the picture that the optimiser begins with.

    Parameters
    ----------
    kind : {"content", "noise", "grey", "image"}
        A copy of the content; `mean_colour` plus noise; 127.5 everywhere; `image` at the content's size.
    content : numpy.ndarray
        (H, W, 3), 0..255.
    seed : int
        For "noise": the same seed gives the same picture.
    noise_std : float
        Standard deviation of the noise in pixel units, those of 0..255, in each channel; not clipped.
    image : numpy.ndarray, optional
        (h, w, 3), 0..255, for "image".
    mean_colour : three floats
        RGB, 0..255: what the network sees as zero.

    Returns
    -------
    numpy.ndarray, float32
        (H, W, 3).

    Raises
    ------
    UsageError
        An unknown kind; "image" without a picture.
    """
    if kind == "content":
        return np.array(content, np.float32, order="C")
    if kind == "noise":
        noise = np.random.default_rng(seed).standard_normal(content.shape, dtype=np.float32)
        return np.asarray(mean_colour, np.float32) + np.float32(noise_std) * noise
    if kind == "grey":
        return np.full(content.shape, 127.5, np.float32)
    if kind == "image":
        if image is None:
            raise UsageError("--init", "'image' needs a picture to start from, none was given")
        return resize(image, content.shape[:2])
    raise unknown_name("--init", kind, START_KINDS)
