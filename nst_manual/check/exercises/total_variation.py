"""Exercise: total variation and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal
from nst_manual.losses import TotalVariation

NAME = "total-variation"
TITLE = "Total variation: the number and its gradient"
TEMPLATE = '''
def tv_loss(x):
    """Return the total variation of images: the sum of all differences of neighbours.

        L = sum |x[n, h+1, w, c] - x[n, h, w, c]|  +  sum |x[n, h, w+1, c] - x[n, h, w, c]|

    each sum over all pairs of neighbours that there are; nothing is beyond the border.

    Parameters
    ----------
    x : array (N, H, W, C)

    Returns
    -------
    float

    Example
    -------
    The image  1 4    has  L = |2 - 1| + |2 - 4| + |4 - 1| + |2 - 2| = 6.
               2 2
    """
    raise NotImplementedError


def tv_gradient(x):
    """Return the gradient of `tv_loss` with respect to x.

    Each difference pulls at its two pixels: with d = b - a, the derivative of |d| is sign(d) for b and
    -sign(d) for a; sign(0) = 0. A pixel inside the image stands in four differences.

    Parameters
    ----------
    x : array (N, H, W, C)

    Returns
    -------
    array (N, H, W, C)

    Example
    -------
    For the image above:  -1 - 1    1 + 1    =  -2  2
                           1 + 0   -1 + 0        1 -1
    """
    raise NotImplementedError
'''
HINTS = (
    "x[:, 1:] - x[:, :-1] has all differences down at once, x[:, :, 1:] - x[:, :, :-1] those to the right.",
    "For the gradient, start from zeros; add the signs at the second pixels of the pairs, dx[:, 1:] += sign, "
    "and subtract them at the first ones, dx[:, :-1] -= sign.",
)


def cases() -> list[Case]:
    """Return the calls to be checked."""
    whole = np.random.default_rng(4).integers(0, 3, (1, 5, 6, 2)).astype(float)
    images = [
        (normal(1, 1, 4, 6, 3), ""),
        (normal(2, 2, 5, 3, 2), "two images"),
        (whole, "neighbours that are equal"),
        (normal(3, 1, 1, 5, 3), "one row of pixels"),
    ]
    return [_loss(*image) for image in images] + [_gradient(*image) for image in images]


def _loss(x: np.ndarray, note: str) -> Case:
    down, right = np.diff(x, axis=1), np.diff(x, axis=2)
    sums = [float(np.abs(d).sum()) for d in (down, right)]
    around = sum(float(np.abs(np.roll(x, -1, axis) - x).sum()) for axis in (1, 2))
    wrong: dict[str, Any] = {
        "the differences to the right are missing": sums[0],
        "the differences down are missing": sums[1],
        "it is the sum of squares, it is to be that of |d|": float((down**2).sum() + (right**2).sum()),
        "it is half the sum of squares, it is to be the sum of |d|": float((down**2).sum() + (right**2).sum())
        / 2,
        "the differences are summed without their absolute value": float(down.sum() + right.sum()),
        "the image is closed to a ring, as by np.roll: the last row has no neighbour below": around,
        "pairs at the last row and column are left out: every pair counts": float(
            np.abs(down[:, :, :-1]).sum() + np.abs(right[:, :-1]).sum()
        ),
        "it is the mean over the elements, it is to be the sum": sum(sums) / x.size,
        "it is the sum of two means, it is to be that of two sums": sum(
            float(np.abs(d).mean()) for d in (down, right) if d.size
        ),
        "it is divided by the number of images, it is to be the sum": sum(sums) / len(x),
        "the neighbours are differences of channels: axis 3 is no direction of the image": float(
            np.abs(np.diff(x, axis=2)).sum() + np.abs(np.diff(x, axis=3)).sum()
        ),
    }
    expected = Expected(TotalVariation().measure(x), alternatives=wrong)
    return Case("tv_loss", {"x": x}, (expected,), note)


def _pulled(
    x: np.ndarray, sign: Any = np.sign, ends: tuple[int, int] = (1, 1), axes: tuple[int, ...] = (1, 2)
) -> np.ndarray:
    """Return the gradient with another sign function, one end of each pair, or one direction."""
    dx = np.zeros_like(x)
    for axis in axes:
        s = np.swapaxes(sign(np.diff(x, axis=axis)), 1, axis)
        view = np.swapaxes(dx, 1, axis)
        view[:, 1:] += ends[1] * s
        view[:, :-1] -= ends[0] * s
    return dx


def _gradient(x: np.ndarray, note: str) -> Case:
    right = np.zeros_like(x)
    module = TotalVariation()
    module.measure(x)
    module.add_gradient(x, right)
    inner = np.zeros_like(x)
    inner[:, 1:-1, 1:-1] = right[:, 1:-1, 1:-1]
    interior = np.zeros_like(x)
    module = TotalVariation(form="squared")
    module.measure(x)
    module.add_gradient(x, interior)
    around = sum(np.sign(x - np.roll(x, 1, axis)) - np.sign(np.roll(x, -1, axis) - x) for axis in (1, 2))
    wrong: dict[str, Any] = {
        "each difference pulls at its second pixel alone: the first one gets -sign(d)": _pulled(
            x, ends=(0, 1)
        ),
        "each difference pulls at its first pixel alone: the second one gets sign(d)": _pulled(
            x, ends=(1, 0)
        ),
        "both pixels of a pair get the same sign: they are to get opposite ones": _pulled(x, ends=(-1, 1)),
        "the sign is turned round": -right,
        "the differences to the right are missing": _pulled(x, axes=(1,)),
        "the differences down are missing": _pulled(x, axes=(2,)),
        "sign(0) is taken as 1: equal neighbours do not pull": _pulled(
            x, lambda d: np.where(d >= 0, 1.0, -1.0)
        ),
        "sign(0) is taken as -1: equal neighbours do not pull": _pulled(
            x, lambda d: np.where(d > 0, 1.0, -1.0)
        ),
        "it is the gradient of half the squares: the loss has |d|, whose derivative is sign(d)": _pulled(
            x, lambda d: d
        ),
        "it is the gradient of the squares: the loss has |d|, whose derivative is sign(d)": _pulled(
            x, lambda d: 2 * d
        ),
        "it is the gradient of half the squares, of the interior alone": interior,
        "the border of the image is left out": inner,
        "the image is closed to a ring, as by np.roll: the last row has no neighbour below": around,
        "it is divided by the number of elements, the loss is a sum": right / x.size,
    }
    return Case("tv_gradient", {"x": x}, (Expected(right, alternatives=wrong),), note)
