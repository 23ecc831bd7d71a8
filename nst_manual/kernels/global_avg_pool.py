"""Average over all positions of a channel.

    y[n, c]        = sum over i, j of x[n, i, j, c] / (H W)
    dx[n, i, j, c] = dy[n, c] / (H W)

M. Lin, Q. Chen, S. Yan, "Network in network" (ICLR 2014, arXiv:1312.4400), section 3.2.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module


def forward(x: Any, *, out: Any = None) -> Any:
    """Return y (N, 1, 1, C) for x (N, H, W, C)."""
    return array_module(x).mean(x, axis=(1, 2), keepdims=True, out=out)


def input_gradient(dy: Any, x_shape: tuple[int, ...], *, out: Any = None) -> Any:
    """Return dx (N, H, W, C) for dy (N, 1, 1, C)."""
    dx = array_module(dy).empty(x_shape, dy.dtype) if out is None else out
    dx[...] = dy / (x_shape[1] * x_shape[2])
    return dx
