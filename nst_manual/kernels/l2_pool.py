"""Root of the sum of squares over windows.

    y[n, i, j, c] = sqrt(f[i, j] sum over u, v of x[n, i s + u - p, j s + v - p, c]^2)
    dx            = x times (f dy / y, added to every pixel of its window); a window of zeros adds 0

Outside the image x is 0. f is 1; with ceil_mode a window that hangs over the padded image's end has a sum of
fewer terms, and f = kh kw / area, `area` the pixels left in it, makes up for that - all as PyTorch's
`LPPool2d` with p = 2 has it, which knows no padding.

At a window of zeros the root has no derivative; the 0 taken there is the one of smallest norm.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.kernels.window import Pair, crop, output_shape, overhang, pad, position


def forward(x: Any, k: Pair, stride: Pair, padding: Pair, ceil_mode: bool = False, *, out: Any = None) -> Any:
    """Return y (N, Ho, Wo, C) for x (N, H, W, C)."""
    xp = array_module(x)
    size = output_shape(x.shape, k, stride, padding, (1, 1), ceil_mode)
    extra = overhang(x.shape[1:3], k, size, stride, padding)
    x = pad(xp, x, padding, 0, extra)
    y = xp.empty((x.shape[0], *size, x.shape[3]), x.dtype) if out is None else out
    y[...] = 0
    for u in range(k[0]):
        for v in range(k[1]):
            y += xp.square(position(x, u, v, size, stride))
    _make_up(y, k, extra)
    return xp.sqrt(y, out=y)


def input_gradient(x: Any, y: Any, dy: Any, k: Pair, stride: Pair, padding: Pair, *, out: Any = None) -> Any:
    """Return dx (N, H, W, C) for x (N, H, W, C), the y of forward and dy, both (N, Ho, Wo, C)."""
    xp = array_module(dy)
    n, height, width, c = x.shape
    size = dy.shape[1:3]
    extra = overhang((height, width), k, size, stride, padding)
    share = dy / (y + (y == 0))  # where y is 0, so is every x that it is multiplied with
    _make_up(share, k, extra)
    bordered = (padding, extra) != ((0, 0), (0, 0))
    if out is None or bordered:
        dx = xp.zeros((n, height + 2 * padding[0] + extra[0], width + 2 * padding[1] + extra[1], c), dy.dtype)
    else:
        dx = out
        dx[...] = 0
    for u in range(k[0]):
        for v in range(k[1]):
            position(dx, u, v, size, stride)[...] += share
    if bordered:
        dx = crop(xp, dx, padding, (height, width), out=out)
    dx *= x
    return dx


def _make_up(y: Any, k: Pair, extra: Pair) -> None:
    """Multiply the last row and the last column by f; no other window hangs over."""
    y[:, -1:] *= k[0] / (k[0] - extra[0])
    y[:, :, -1:] *= k[1] / (k[1] - extra[1])
