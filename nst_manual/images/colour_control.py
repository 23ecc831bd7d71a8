"""Whose colours the picture gets: the photograph's, the painting's, or those of a third picture.

After the run, or in place of it, light and colour can come from two pictures:

    keep_colours     the picture's lightness, the photograph's chrominance
    keep_luminance   the picture's chrominance, the photograph's lightness

Before the run, the painting can be given the photograph's colours, so that nothing is left to change:

    match_colours    x' = A (x - mean_S) + mean_C with A cov_S A^T = cov_C            one colour x (3,) each
        "cholesky"     A = L_C L_S^-1, L L^T = cov, L lower triangular: depends on the order R, G, B
        "symmetric"    A = cov_C^(1/2) cov_S^(-1/2), from "image analogies"
        "mean-std"     A diagonal: the standard deviations of the channels alone
        "histogram"    each channel by rank: no straight line
        "luminance"    lightness alone, L' = (L - mean_S) std_C / std_S + mean_C; the colours stay

L. Gatys, A. Ecker, M. Bethge, A. Hertzmann, E. Shechtman, "Controlling perceptual factors in neural style
transfer" (CVPR 2017), section 4; L. Gatys, M. Bethge, A. Hertzmann, E. Shechtman, "Preserving color in neural
artistic style transfer" (2016); A. Hertzmann et al., "Image analogies" (2001). Colours of a third picture are
the same functions with that picture in the photograph's place. Differs from the papers in `RIDGE`, which
they leave open.

Results are floats and not clamped: to 0..255 comes what the caller saves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nst_manual.errors import ShapeError, unknown_name
from nst_manual.images.colour_spaces import from_space, to_space
from nst_manual.images.resize import resize

# Added to each variance, of both pictures, in units of pixel values squared: what rounding to bytes makes of
# a constant. Where a picture has no more than that (a grey one has no chrominance, a drawing in sepia hardly
# any), there is no colour to stretch but noise. A picture matched to itself stays as it is.
RIDGE = 1 / 12


def keep_colours(picture: np.ndarray, photograph: np.ndarray, space: str = "yiq") -> np.ndarray:
    """Return the picture's lightness with the photograph's chrominance.

    Parameters
    ----------
    picture : numpy.ndarray
        (H, W, 3), RGB, 0..255, uint8 or floats.
    photograph : numpy.ndarray
        (h, w, 3) of any size; it is scaled to the picture's.
    space : {"yiq", "ycbcr", "lab", "oklab"}
        What lightness is; Gatys et al. take YIQ.

    Returns
    -------
    numpy.ndarray
        (H, W, 3), float64 where one of them is, else float32; may go beyond 0..255.

    Raises
    ------
    UsageError
        An unknown space.
    ShapeError
        Not a picture of three channels.
    """
    return _lightness_of(_picture(picture), _like(photograph, picture), space)


def keep_luminance(picture: np.ndarray, photograph: np.ndarray, space: str = "yiq") -> np.ndarray:
    """Return the picture's chrominance with the photograph's lightness; see `keep_colours`."""
    return _lightness_of(_like(photograph, picture), _picture(picture), space)


def match_luminance(source: np.ndarray, reference: np.ndarray, space: str = "yiq") -> np.ndarray:
    """Return `source` with the mean and standard deviation of the reference's lightness, its colours kept.

    Section 4.1 of Gatys et al. (2017): the painting, before a run on lightness alone. A source of one
    lightness gets the mean and stays of one lightness.
    """
    values, other = to_space(_picture(source), space), to_space(_picture(reference), space)
    light, other = values[..., 0], other[..., 0].astype(np.float64)
    unit = float(to_space(np.full((1, 3), 255.0), space)[0, 0]) / 255  # lightness of one step in pixel values
    ridge = RIDGE * unit**2
    factor = np.sqrt((other.var() + ridge) / (light.var(dtype=np.float64) + ridge))
    values = values.copy()
    values[..., 0] = (light - light.mean(dtype=np.float64)) * factor + other.mean()
    return from_space(values, space)


def match_colours(source: np.ndarray, reference: np.ndarray, method: str = "cholesky") -> np.ndarray:
    """Return `source` with the colours of `reference`.

    Parameters
    ----------
    source : numpy.ndarray
        (H, W, 3), RGB, 0..255, uint8 or floats: the painting.
    reference : numpy.ndarray
        (h, w, 3), of any size: the photograph.
    method : {"cholesky", "symmetric", "mean-std", "histogram", "luminance"}
        The first two give the reference's mean and covariance (up to `RIDGE`), the third its means and
        standard deviations, "histogram" its histograms: a value of rank q in its channel becomes the
        reference's value of that rank. Equal values stay equal: they get the mean of the reference's values
        over all the ranks that they hold, so that the means agree exactly and flat areas stay flat.
        "luminance" is `match_luminance`.

    Returns
    -------
    numpy.ndarray
        (H, W, 3), float64 for a source of float64, else float32. Linear methods may go beyond 0..255.

    Raises
    ------
    UsageError
        An unknown method.
    ShapeError
        Not a picture of three channels.
    """
    if method not in METHODS:
        raise unknown_name("colour matching", method, METHODS)
    source, reference = _picture(source), _picture(reference)
    colours = source.reshape(-1, 3)
    matched = METHODS[method](colours.astype(np.float64), reference.reshape(-1, 3).astype(np.float64))
    return matched.reshape(source.shape).astype(source.dtype)


def _picture(picture: np.ndarray) -> np.ndarray:
    """Return a picture as floats (H, W, 3)."""
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ShapeError("picture", f"expected (H, W, 3), got {picture.shape}")
    return picture if picture.dtype == np.float64 else picture.astype(np.float32, copy=False)


def _like(photograph: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return the photograph at the picture's size."""
    photograph, size = _picture(photograph), _picture(picture).shape[:2]
    return photograph if photograph.shape[:2] == size else resize(photograph, size)


def _lightness_of(light: np.ndarray, colour: np.ndarray, space: str) -> np.ndarray:
    """Return the lightness of one picture with the chrominance of another, of one size."""
    values = to_space(colour, space).astype(np.result_type(light, colour))
    values[..., 0] = to_space(light, space)[..., 0]
    return from_space(values, space)


def _moments(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (3,) and covariance (3, 3), the latter with the ridge."""
    mean = colours.mean(axis=0)
    centred = colours - mean
    return mean, centred.T @ centred / len(colours) + RIDGE * np.eye(3)


def _linear(
    source: np.ndarray, reference: np.ndarray, transform: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return A (x - mean_S) + mean_C for A = transform(cov_S, cov_C)."""
    mean, covariance = _moments(source)
    other_mean, other_covariance = _moments(reference)
    return (source - mean) @ transform(covariance, other_covariance).T + other_mean


def _cholesky(source: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return L_C L_S^-1."""
    root = np.linalg.cholesky(source)
    return np.linalg.solve(root.T, np.linalg.cholesky(reference).T).T


def _symmetric(source: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return cov_C^(1/2) cov_S^(-1/2), both symmetric."""
    return _power(reference, 0.5) @ _power(source, -0.5)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Return a power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    # a covariance has no negative eigenvalue, but its rounding may; none is below the ridge
    return (vectors * np.maximum(values, RIDGE) ** exponent) @ vectors.T


def _mean_std(source: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the diagonal transform."""
    return np.diag(np.sqrt(np.diag(reference) / np.diag(source)))


def _histogram(source: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return each channel by rank."""
    return np.stack([_by_rank(source[:, c], reference[:, c]) for c in range(3)], axis=1)


def _by_rank(source: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the values (n,) of the reference (m,) at the ranks of the source (n,).

    The reference's quantile function Q is a staircase of m steps on 0..1. Source values that hold the ranks
    a to b of n become the mean of Q over a / n .. b / n, a difference of its running sum.
    """
    _, inverse, counts = np.unique(source, return_inverse=True, return_counts=True)
    ends = np.concatenate([[0], np.cumsum(counts)])  # ranks, of n
    ordered = np.sort(reference)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    # in whole numbers and a remainder: at equal sizes no rank falls between two steps
    step, rest = np.divmod(ends * len(reference), len(source))
    running = sums[step] + rest / len(source) * np.append(ordered, 0)[step]
    means = np.diff(running) * (len(source) / len(reference)) / counts
    # a difference of running sums rounds; a mean lies between the least and the largest
    return np.clip(means, ordered[0], ordered[-1])[inverse.reshape(-1)]


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "cholesky": lambda source, reference: _linear(source, reference, _cholesky),
    "symmetric": lambda source, reference: _linear(source, reference, _symmetric),
    "mean-std": lambda source, reference: _linear(source, reference, _mean_std),
    "histogram": _histogram,
    "luminance": lambda source, reference: match_luminance(source[None], reference[None])[0],
}
