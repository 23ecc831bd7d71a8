"""Sums over arrays on a GPU, added up in double precision, with no array as large in between.

In two launches: CuPy gives each number of a result to one block of threads, and one block alone would be a
hundredth of a GPU. So first there is a sum for each row, and then the sum of those.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import reduction


def squared_difference(x: Any, p: Any, axis: tuple[int, ...] | None = None) -> Any:
    """Return the sum of (x - p)^2 in float64, over some axes or all; p may be repeated along axes of x."""
    kernel = reduction(
        "X x, P p", "float64 y", "(x - p) * (x - p)", "a + b", "y = a", "0", "squared_difference"
    )
    return _by_rows(kernel, x, p) if axis is None else kernel(x, p, axis=axis)


def weighted_squared_difference(x: Any, p: Any, m: Any) -> Any:
    """Return the sum of m (x - p)^2 in float64, of no dimensions; m may be repeated along axes of x."""
    kernel = reduction(
        *("X x, P p, M m", "float64 y"),
        *("m * (x - p) * (x - p)", "a + b", "y = a", "0"),
        "weighted_squared_difference",
    )
    return _by_rows(kernel, x, p, m)


def absolute(x: Any) -> Any:
    """Return the sum of |x| in float64, of no dimensions."""
    kernel = reduction("X x", "float64 y", "x < 0 ? -x : x", "a + b", "y = a", "0", "absolute")
    return _by_rows(kernel, x)


def _by_rows(kernel: Any, x: Any, *others: Any) -> Any:
    """Return what a kernel sums up over all of x, whose rows are the axes before the last one or two."""
    last = (2, 3) if x.ndim == 4 else (x.ndim - 1,)
    return kernel(x, *others, axis=last).sum()
