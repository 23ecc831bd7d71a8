"""A border that repeats the outermost pixels.

    y[n, i, j, c] = x[n, clip(i - p, 0, H - 1), clip(j - q, 0, W - 1), c]    p rows above and below, q columns
    dx[h, w]      = sum of dy over all places that show x[h, w]              left and right

An inner pixel is shown once; one of the edge 1 + p or 1 + q times, one of the corners (1 + p)(1 + q) times.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.kernels.window import Pair


def forward(x: Any, p: Pair, *, out: Any = None) -> Any:
    """Return y (N, H + 2 p, W + 2 q, C) for x (N, H, W, C) and p = (p, q)."""
    n, height, width, c = x.shape
    shape = (n, height + 2 * p[0], width + 2 * p[1], c)
    y = array_module(x).empty(shape, x.dtype) if out is None else out
    bottom, right = p[0] + height, p[1] + width
    y[:, p[0] : bottom, p[1] : right] = x
    y[:, p[0] : bottom, : p[1]] = x[:, :, :1]
    y[:, p[0] : bottom, right:] = x[:, :, -1:]
    # whole rows, corners included
    y[:, : p[0]] = y[:, p[0] : p[0] + 1]
    y[:, bottom:] = y[:, bottom - 1 : bottom]
    return y


def input_gradient(dy: Any, p: Pair, *, out: Any = None) -> Any:
    """Return dx (N, H, W, C) for dy (N, H + 2 p, W + 2 q, C): the adjoint of forward."""
    n, height, width, c = dy.shape
    height, width = height - 2 * p[0], width - 2 * p[1]
    dx = array_module(dy).empty((n, height, width, c), dy.dtype) if out is None else out
    bottom = p[0] + height
    dx[...] = 0
    _add_folded(dy[:, p[0] : bottom], p[1], dx)
    # rows above and below: first all into one, then as any row
    _add_folded(dy[:, : p[0]].sum(axis=1, keepdims=True), p[1], dx[:, :1])
    _add_folded(dy[:, bottom:].sum(axis=1, keepdims=True), p[1], dx[:, -1:])
    return dx


def _add_folded(dy: Any, q: int, dx: Any) -> None:
    """Add rows (N, h, W + 2 q, C) to dx (N, h, W, C), what lies left and right of it to its edges."""
    right = q + dx.shape[2]
    dx += dy[:, :, q:right]
    dx[:, :, 0] += dy[:, :, :q].sum(axis=2)
    dx[:, :, -1] += dy[:, :, right:].sum(axis=2)
