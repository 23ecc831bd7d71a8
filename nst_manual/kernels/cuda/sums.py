"""Sums over arrays on a GPU, added up in double precision: one launch each, no array in between."""

from __future__ import annotations

from typing import Any

from nst_manual.backend import reduction


def squared_difference(x: Any, p: Any, axis: tuple[int, ...] | None = None) -> Any:
    """Return the sum of (x - p)^2 in float64, over some axes or all; p may be repeated along axes of x."""
    kernel = reduction(
        "X x, P p", "float64 y", "(x - p) * (x - p)", "a + b", "y = a", "0", "squared_difference"
    )
    return kernel(x, p, axis=axis)


def weighted_squared_difference(x: Any, p: Any, m: Any) -> Any:
    """Return the sum of m (x - p)^2 in float64, of no dimensions; m may be repeated along axes of x."""
    kernel = reduction(
        *("X x, P p, M m", "float64 y"),
        *("m * (x - p) * (x - p)", "a + b", "y = a", "0"),
        "weighted_squared_difference",
    )
    return kernel(x, p, m)


def absolute(x: Any) -> Any:
    """Return the sum of |x| in float64, of no dimensions."""
    return reduction("X x", "float64 y", "x < 0 ? -x : x", "a + b", "y = a", "0", "absolute")(x)
