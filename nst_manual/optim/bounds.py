"""Pixel bounds: low <= x <= high in every element, held during the optimisation.

P(x) = min(max(x, low), high)                         the nearest point inside

A point inside is a minimum (to first order) where the projected gradient vanishes (J. Nocedal, S. Wright,
Numerical Optimization, 2nd edition, equation 16.71):

    x - P(x - g) = 0        g = 0 between the bounds, g >= 0 at the lower one, g <= 0 at the upper one

Differs from clamping the last image, which peers do: there the loss of the saved picture is no minimum of
anything.
"""

from __future__ import annotations

import math
from typing import Any

from nst_manual.backend import array_module
from nst_manual.errors import UsageError
from nst_manual.optim.corrections import dot

Bounds = tuple[float, float]


def check_bounds(bounds: Bounds | None) -> Bounds | None:
    """Return bounds as two Python floats, which leave the type of an array alone; None stays.

    Raises
    ------
    UsageError
        Not two numbers, the first below the second.
    """
    if bounds is None:
        return None
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low < high:
        raise UsageError("bounds", f"expected two numbers, the lower one first, got {bounds!r}", "0 and 255")
    return low, high


def project(x: Any, bounds: Bounds | None) -> Any:
    """Return P(x), a new array of its type; x itself where there are no bounds."""
    return x if bounds is None else array_module(x).clip(x, *bounds)


def outward(x: Any, direction: Any, bounds: Bounds) -> Any:
    """Return where a direction leaves the bounds at once: an array of bool, shaped as x."""
    low, high = bounds
    return ((x <= low) & (direction < 0)) | ((x >= high) & (direction > 0))


def bent_slope(gradient: Any, direction: Any, free: Any, inside: Any) -> Any:
    """Return the slope of the loss along the bent path x(t) = P(x + t d).

    p'(t) = sum g_i d_i        over the i with P(x + t d)_i = (x + t d)_i

    An element that has come to its bound moves no more, and has no part in it. Where one has come there just
    now p has a kink, and this is the slope to the left. Without bounds it is g . d. A number as `dot` has it.

    Parameters
    ----------
    gradient : array (n,)
        Of the loss at `inside`.
    direction : array (n,)
        d.
    free, inside : array (n,)
        x + t d, and what `project` has made of it: the same array where there are no bounds.
    """
    return dot(gradient, direction if inside is free else direction * (inside == free))
