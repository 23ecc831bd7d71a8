"""Steps on each element of arrays on a GPU: one launch each, no array in between.

Inputs may be repeated along axes of `out`, as NumPy does it; factors are numbers, or arrays of no dimensions
on the GPU. What is computed has the type of `out`.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import elementwise


def masked(x: Any, mask: Any, *, out: Any) -> Any:
    """Return out = x where the mask is true, else 0."""
    return elementwise("X x, M m", "Y y", "y = m ? (Y)x : (Y)0", "masked")(x, mask, out)


def add_multiple(x: Any, factor: Any, *, out: Any) -> Any:
    """Add factor x to out."""
    kernel = elementwise("X x, float64 factor", "Y y", "y += (Y)factor * (Y)x", "add_multiple")
    return kernel(x, factor, out)


def add_difference(x: Any, p: Any, factor: Any, *, out: Any) -> Any:
    """Add factor (x - p) to out."""
    kernel = elementwise("X x, P p, float64 factor", "Y y", "y += (Y)factor * (Y)(x - p)", "add_difference")
    return kernel(x, p, factor, out)


def add_weighted_difference(x: Any, p: Any, m: Any, factor: Any, *, out: Any) -> Any:
    """Add factor m (x - p) to out."""
    kernel = elementwise(
        *("X x, P p, M m, float64 factor", "Y y", "y += (Y)factor * (Y)m * (Y)(x - p)"),
        "add_weighted_difference",
    )
    return kernel(x, p, m, factor, out)


def add_slope(x: Any, m: Any, slope: Any, level: Any, *, out: Any) -> Any:
    """Add slope (x - m) + level to out."""
    kernel = elementwise(
        *("X x, M m, S slope, L level", "Y y", "y += (Y)slope * ((Y)x - (Y)m) + (Y)level"), "add_slope"
    )
    return kernel(x, m, slope, level, out)
