"""Convolution as it is defined: the version to read, and to hold the others against.

    y[n, i, j, o]  = b[o] + sum over u, v, c of  x[n, i s + u d - p, j s + v d - p, c]  w[u, v, c, o]
    dx[n, h, w, c] = sum over o and all (i, j, u, v) with i s + u d - p = h, j s + v d - p = w
                     of  dy[n, i, j, o]  w[u, v, c, o]
    dw[u, v, c, o] = sum over n, i, j of  x[n, i s + u d - p, j s + v d - p, c]  dy[n, i, j, o]
    db[o]          = sum over n, i, j of  dy[n, i, j, o]

(cross-correlation, as everywhere in the field). For a fixed kernel position (u, v) the image that the kernel
meets is a strided view of the padded input, so each step is one small matrix product over channels, and each
of the three gradients is the forward line with two of its three arrays changed places. With groups, channels
are cut into equal slices that do not see each other.

Cost: kh kw passes over the output; no memory beyond the padded input.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.kernels.window import Pair, crop, group_slices, output_shape, pad, position


def supports(k: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
    """Whether the algorithm can compute a convolution of that geometry: any."""
    return True


def forward(
    x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int, *, out: Any = None
) -> Any:
    """Return y (N, Ho, Wo, O) for x (N, H, W, C), w (kh, kw, C / groups, O), b (O,) or None."""
    xp = array_module(x)
    kh, kw, _, o = w.shape
    size = output_shape(x.shape, (kh, kw), stride, padding, dilation)
    y = xp.empty((x.shape[0], *size, o), xp.result_type(x, w)) if out is None else out
    y[...] = 0 if b is None else b
    x = pad(xp, x, padding)
    for cs, os in group_slices(groups, x.shape[3], o):
        for u in range(kh):
            for v in range(kw):
                y[..., os] += position(x, u, v, size, stride, dilation)[..., cs] @ w[u, v, :, os]
    return y


def input_gradient(
    dy: Any,
    w: Any,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    *,
    out: Any = None,
) -> Any:
    """Return dx (N, H, W, C) for dy (N, Ho, Wo, O)."""
    xp = array_module(dy)
    kh, kw, _, o = w.shape
    n, height, width, c = x_shape
    padded = (n, height + 2 * padding[0], width + 2 * padding[1], c)
    dx = xp.zeros(padded, xp.result_type(dy, w))
    size = dy.shape[1:3]
    for cs, os in group_slices(groups, c, o):
        for u in range(kh):
            for v in range(kw):
                position(dx, u, v, size, stride, dilation)[..., cs] += dy[..., os] @ w[u, v, :, os].T
    return crop(xp, dx, padding, (height, width), out=out)


def parameter_gradients(
    x: Any, dy: Any, w_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[Any, Any]:
    """Return dw (kh, kw, C / groups, O) and db (O,)."""
    xp = array_module(x)
    kh, kw, _, o = w_shape
    x = pad(xp, x, padding)
    size = dy.shape[1:3]
    dw = xp.zeros(w_shape, xp.result_type(x, dy))
    for cs, os in group_slices(groups, x.shape[3], o):
        for u in range(kh):
            for v in range(kw):
                seen = position(x, u, v, size, stride, dilation)[..., cs]
                dw[u, v, :, os] = xp.tensordot(seen, dy[..., os], axes=((0, 1, 2), (0, 1, 2)))
    return dw, dy.sum(axis=(0, 1, 2))
