"""Average over windows.

    y[n, i, j, c] = sum over u, v of x[n, i s + u - p, j s + v - p, c] / area[i, j]
    dx            = each dy / area, added to every pixel of its window (the adjoint)

`area` is kh kw; with ceil_mode a window that hangs over the padded image's end counts only what lies inside
image and padding, and without count_include_pad only what lies inside the image - all as in PyTorch.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.kernels.window import Pair, crop, output_shape, overhang, pad, position


def forward(
    x: Any,
    k: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    out: Any = None,
) -> Any:
    """Return y (N, Ho, Wo, C) for x (N, H, W, C)."""
    xp = array_module(x)
    image = x.shape[1:3]
    size = output_shape(x.shape, k, stride, padding, (1, 1), ceil_mode)
    x = pad(xp, x, padding, 0, overhang(image, k, size, stride, padding))
    y = xp.empty((x.shape[0], *size, x.shape[3]), x.dtype) if out is None else out
    y[...] = 0
    for u in range(k[0]):
        for v in range(k[1]):
            y += position(x, u, v, size, stride)
    y /= _areas(xp, image, k, size, stride, padding, count_include_pad, y.real.dtype)
    return y


def input_gradient(
    dy: Any,
    x_shape: tuple[int, ...],
    k: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool = True,
    *,
    out: Any = None,
) -> Any:
    """Return dx (N, H, W, C) for dy (N, Ho, Wo, C)."""
    xp = array_module(dy)
    n, height, width, c = x_shape
    size = dy.shape[1:3]
    extra = overhang((height, width), k, size, stride, padding)
    dx = xp.zeros((n, height + 2 * padding[0] + extra[0], width + 2 * padding[1] + extra[1], c), dy.dtype)
    share = dy / _areas(xp, (height, width), k, size, stride, padding, count_include_pad, dy.real.dtype)
    for u in range(k[0]):
        for v in range(k[1]):
            position(dx, u, v, size, stride)[...] += share
    return crop(xp, dx, padding, (height, width), out=out)


def _areas(
    xp: Any,
    image: Pair,
    k: Pair,
    size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    dtype: Any,
) -> Any:
    """Return the divisors (Ho, Wo, 1): the pixels that each window counts."""
    counts = []
    for a in (0, 1):
        begin = xp.arange(size[a]) * stride[a] - padding[a]
        first, last = (-padding[a], image[a] + padding[a]) if count_include_pad else (0, image[a])
        counts.append(xp.minimum(begin + k[a], last) - xp.maximum(begin, first))
    return (counts[0][:, None] * counts[1][None, :])[..., None].astype(dtype)
