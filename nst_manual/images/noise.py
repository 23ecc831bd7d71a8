"""Noise to start from: white, or with the spectrum of a picture, so that it has its colours and its grain.

    u = mean_colour + noise_std w                      white, w standard normal
    u = mean(v) + F^-1( |F p| e^(i (arg F p + t)) )    v a picture, t the phases of white noise, one field for
                                                       all channels: they keep their cross-spectra, so that a
                                                       picture in two colours makes noise in these two
    u = mean(v) + F^-1( |F p| e^(i t) )                t a field for each channel: every channel keeps its
                                                       spectrum, and the colours come apart

B. Galerne, Y. Gousseau, J.-M. Morel, "Random phase textures: theory and synthesis" (IEEE Trans. Image
Processing 20, 2011). F sees a picture as one tile of an endless plane, whose seams would be the strongest
lines in it and cover the noise with a plaid of streaks. So p is the picture's periodic component, as there:

    p = v - s,   F s = F b / (2 cos(2 pi k / H) + 2 cos(2 pi l / W) - 4),   s of mean 0

where b holds the jumps across the seams, at the pixels on both sides of them (L. Moisan, "Periodic plus
smooth image decomposition", J. Math. Imaging Vision 39, 2011). s is smooth, and p has all the grain of v.
"""

from __future__ import annotations

import numpy as np

from nst_manual.errors import ShapeError, UsageError


def white_noise(
    shape: tuple[int, ...], seed: int, noise_std: float, mean_colour: tuple[float, float, float]
) -> np.ndarray:
    """Return independent normal values (H, W, 3), float32, about a colour; the seed decides them.

    Parameters
    ----------
    shape : (H, W, 3)
    seed : int
    noise_std : float
        Standard deviation in pixel values, those of 0..255; nothing is clipped.
    mean_colour : three floats
        RGB, 0..255.
    """
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return np.asarray(mean_colour, np.float32) + np.float32(noise_std) * noise


def blend(picture: np.ndarray, noise: np.ndarray, share: float) -> np.ndarray:
    """Return (1 - share) picture + share noise, float32; both (H, W, 3).

    Raises
    ------
    UsageError
        A share outside 0..1.
    ShapeError
        Pictures of different sizes.
    """
    if not 0 <= share <= 1:
        raise UsageError("share of noise", f"expected 0..1, got {share:g}")
    if picture.shape != noise.shape:
        raise ShapeError("noise", f"expected the picture's shape {picture.shape}, got {noise.shape}")
    share = np.float32(share)
    return (1 - share) * picture.astype(np.float32, copy=False) + share * noise.astype(np.float32, copy=False)


def spectrum_noise(picture: np.ndarray, seed: int, joint: bool = True) -> np.ndarray:
    """Return noise (H, W, 3), float32, with the amplitude spectrum of a picture's periodic component.

    Parameters
    ----------
    picture : numpy.ndarray
        (H, W, 3), RGB, 0..255.
    seed : int
        The same seed gives the same noise.
    joint : bool
        Add one field of phases to all channels, so that colours stay correlated as in the picture; else each
        channel gets phases of its own.

    Raises
    ------
    ShapeError
        Not a picture of three channels.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ShapeError("picture", f"expected (H, W, 3), got {picture.shape}")
    height, width = picture.shape[:2]
    rng = np.random.default_rng(seed)
    # phases of the transform of real noise: opposite frequencies have opposite ones, and the sum stays real
    phases = _phases(rng.standard_normal((height, width, 1 if joint else 3)))
    result = np.empty((height, width, 3), np.float32)
    for c in range(3):
        channel = picture[..., c].astype(np.float64)
        spectrum = periodic_spectrum(channel)
        if not joint:
            spectrum = np.abs(spectrum)
        spectrum = spectrum * phases[..., 0 if joint else c]
        spectrum[0, 0] = channel.sum()  # the mean is no matter of chance
        result[..., c] = np.fft.irfft2(spectrum, (height, width))
    return result


def periodic_spectrum(channel: np.ndarray) -> np.ndarray:
    """Return F p (H, W // 2 + 1), the half spectrum of the periodic component of one channel (H, W)."""
    height, width = channel.shape
    jumps = np.zeros((height, width))
    across = channel[-1] - channel[0]
    jumps[0] += across
    jumps[-1] -= across
    across = channel[:, -1] - channel[:, 0]
    jumps[:, 0] += across
    jumps[:, -1] -= across
    rows = 2 * np.cos(2 * np.pi * np.arange(height) / height)
    columns = 2 * np.cos(2 * np.pi * np.arange(width // 2 + 1) / width)
    laplacian = rows[:, None] + columns[None, :] - 4
    laplacian[0, 0] = 1  # the jumps sum to 0: s has mean 0
    return np.fft.rfft2(channel) - np.fft.rfft2(jumps) / laplacian


def _phases(noise: np.ndarray) -> np.ndarray:
    """Return e^(i t) (H, W // 2 + 1, n) for the transforms of real noise (H, W, n)."""
    spectrum = np.fft.rfft2(noise, axes=(0, 1))
    size = np.abs(spectrum)
    return np.where(size > 0, spectrum / np.where(size > 0, size, 1), 1)
