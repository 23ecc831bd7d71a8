"""Rectified linear unit.

    y  = x  where x > 0, else 0
    dx = dy where x > 0, else 0          (the derivative at 0 is taken as 0)

NaN passes through forward, so that a broken network is seen and not painted over; backward it counts as not
positive. Complex input is split by its real part, which is what a complex-step derivative needs.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.kernels.masked import masked


def forward(x: Any, *, out: Any = None) -> Any:
    """Return y, shaped as x."""
    xp = array_module(x)
    if x.dtype.kind != "c":
        return xp.maximum(x, 0, out=out)
    y = xp.where(x.real <= 0, 0, x)  # `<=`, so that NaN is kept
    if out is None:
        return y
    out[...] = y
    return out


def input_gradient(x: Any, dy: Any, *, out: Any = None) -> Any:
    """Return dx, shaped as x."""
    return masked(dy, x.real > 0, out=out)
