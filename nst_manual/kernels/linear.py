"""Fully connected layer.

y = x w + b      dx = dy w^T      dw = x^T dy      db = sum over n of dy
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module


def forward(x: Any, w: Any, b: Any, *, out: Any = None) -> Any:
    """Return y (N, out) for x (N, in), w (in, out), b (out,) or None."""
    y = array_module(x).matmul(x, w, out=out)
    if b is not None:
        y += b
    return y


def input_gradient(dy: Any, w: Any, *, out: Any = None) -> Any:
    """Return dx (N, in) for dy (N, out)."""
    return array_module(dy).matmul(dy, w.T, out=out)


def parameter_gradients(x: Any, dy: Any) -> tuple[Any, Any]:
    """Return dw (in, out) and db (out,)."""
    return x.T @ dy, dy.sum(axis=0)
