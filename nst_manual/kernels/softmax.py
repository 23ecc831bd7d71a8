"""Softmax and its logarithm, over the last axis (channels).

    softmax      y = exp(x) / sum exp(x)          dx = y (dy - sum(dy y))
    log-softmax  y = x - log sum exp(x)           dx = dy - exp(y) sum(dy)

The largest x is subtracted before exp, which changes neither value and keeps exp from overflowing. Both
backward passes need only y.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module


def softmax(x: Any, *, out: Any = None) -> Any:
    """Return y, shaped as x (..., C)."""
    xp = array_module(x)
    y = xp.subtract(x, x.real.max(axis=-1, keepdims=True), out=out)
    xp.exp(y, out=y)
    y /= y.sum(axis=-1, keepdims=True)
    return y


def softmax_input_gradient(y: Any, dy: Any, *, out: Any = None) -> Any:
    """Return dx for dy and the output y of `softmax`."""
    xp = array_module(y)
    dx = xp.subtract(dy, (dy * y).sum(axis=-1, keepdims=True), out=out)
    dx *= y
    return dx


def log_softmax(x: Any, *, out: Any = None) -> Any:
    """Return y, shaped as x (..., C)."""
    xp = array_module(x)
    y = xp.subtract(x, x.real.max(axis=-1, keepdims=True), out=out)
    y -= xp.log(xp.exp(y).sum(axis=-1, keepdims=True))
    return y


def log_softmax_input_gradient(y: Any, dy: Any, *, out: Any = None) -> Any:
    """Return dx for dy and the output y of `log_softmax`."""
    xp = array_module(y)
    return xp.subtract(dy, xp.exp(y) * dy.sum(axis=-1, keepdims=True), out=out)
