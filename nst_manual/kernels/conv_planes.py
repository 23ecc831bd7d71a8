"""Convolution of images with few channels: im2col with each channel as a plane.

What `conv_matmul` copies for a pixel are runs of C numbers, and for the three colours of an image that is
nearly nothing but the copying. Here the columns lie on their side, (kh kw C, pixels), so that what is copied
are whole rows of the image:

    forward    y       = columns^T @ W + b               W = w as (kh kw C, O)
    backward   columns = W @ dy^T, each row then added to its place in the plane it was copied from

Cost: 2 kh kw C O operations a pixel and BAND_BYTES of columns. Meant for the first layer of a network; with
many channels `conv_matmul` is faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import array_module, scratch
from nst_manual.kernels import conv_matmul
from nst_manual.kernels.rows import Sink, Source, forward_arrays, input_gradient_arrays, padded_rows
from nst_manual.kernels.window import Pair, output_shape
from nst_manual.threads import parallel

BAND_BYTES = 2**20

parameter_gradients = conv_matmul.parameter_gradients


def supports(k: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
    """Whether the algorithm can compute a convolution of that geometry."""
    return groups == 1


def forward(
    x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int, *, out: Any = None
) -> Any:
    """Return y (N, Ho, Wo, O) for x (N, H, W, C), w (kh, kw, C, O), b (O,) or None."""
    return forward_arrays(forward_rows, x, w, b, (stride, padding, dilation, groups), out)


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
    geometry = stride, padding, dilation, groups
    return input_gradient_arrays(input_gradient_rows, dy, w, x_shape, geometry, out)


def forward_rows(
    x: Source, w: Any, y: Sink, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """Write the rows of y for the rows of x; a bias is the sink's to add."""
    xp = array_module(x.like)
    kh, kw, c, o = w.shape
    size = output_shape(x.shape, (kh, kw), stride, padding, dilation)
    matrix = w.reshape(-1, o).astype(y.dtype, copy=False)  # (kh kw C, O)
    width = (size[1] - 1) * stride[1] + dilation[1] * (kw - 1) + 1
    width = max(width, padding[1] + x.shape[2])  # rows are read whole, though the last window may end before

    def band(n: int, top: int, bottom: int) -> None:
        rows = bottom - top
        seen = (rows - 1) * stride[0] + dilation[0] * (kh - 1) + 1
        pixels = padded_rows(x, n, top * stride[0] - padding[0], seen, -padding[1], width)
        planes = scratch("planes", (c, seen, width), y.dtype, x.like)
        planes[...] = pixels.transpose(2, 0, 1)
        columns = scratch("plane columns", (kh, kw, c, rows, size[1]), y.dtype, x.like)
        for u in range(kh):
            for v in range(kw):
                columns[u, v] = _seen(planes, u, v, (rows, size[1]), stride, dilation)
        place = y.place(n, top, bottom)
        columns = columns.reshape(kh * kw * c, -1)
        if place.flags.c_contiguous:
            xp.matmul(columns.T, matrix, out=place.reshape(-1, o))  # a view: the result is not copied
        else:
            place[...] = (columns.T @ matrix).reshape(place.shape)
        y.finish(n, top, bottom, place)

    parallel(band, _bands(x.shape[0], size, kh * kw * c * np.dtype(y.dtype).itemsize, y.multiple))


def input_gradient_rows(
    dy: Source,
    w: Any,
    dx: Sink,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> None:
    """Write dx for the rows of dy."""
    xp = array_module(dy.like)
    kh, kw, c, o = w.shape
    n, height, width, _ = x_shape
    size = dy.shape[1:3]
    matrix = w.reshape(-1, o).astype(dx.dtype, copy=False)  # (kh kw C, O)
    planes = xp.zeros((n, c, height + 2 * padding[0], width + 2 * padding[1]), dx.dtype)

    def band(n: int, top: int, bottom: int) -> None:
        rows = bottom - top
        pixels = scratch("dy rows", (rows, size[1], o), dx.dtype, dy.like)
        dy.read(n, top, bottom, pixels)
        columns = scratch("plane columns", (kh, kw, c, rows, size[1]), dx.dtype, dy.like)
        xp.matmul(matrix, pixels.reshape(-1, o).T, out=columns.reshape(kh * kw * c, -1))
        under = planes[n, :, top * stride[0] :]
        for u in range(kh):
            for v in range(kw):
                target = _seen(under, u, v, (rows, size[1]), stride, dilation)
                target += columns[u, v]

    # A band also adds to rows that the next one begins with: the even ones do not meet, nor do the odd ones,
    # and this order of additions is the same for any number of threads.
    least = -(-dilation[0] * (kh - 1) // stride[0])
    bands = _bands(n, size, kh * kw * c * np.dtype(dx.dtype).itemsize, least=least)
    for parity in (0, 1):
        parallel(band, (item for number, item in enumerate(bands) if number % 2 == parity))
    for i in range(n):
        place = dx.place(i, 0, height)
        inner = planes[i, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width]
        place[...] = inner.transpose(1, 2, 0)
        dx.finish(i, 0, height, place)


def _seen(planes: Any, u: int, v: int, size: Pair, stride: Pair, dilation: Pair) -> Any:
    """Return the view (C, rows, Wo) of padded planes (C, Hp, Wp) that kernel position (u, v) meets."""
    top, left = u * dilation[0], v * dilation[1]
    bottom, right = top + (size[0] - 1) * stride[0] + 1, left + (size[1] - 1) * stride[1] + 1
    return planes[:, top : bottom : stride[0], left : right : stride[1]]


def _bands(n: int, size: Pair, pixel_bytes: int, multiple: int = 1, least: int = 1) -> list:
    """Return (image, top, bottom) of bands whose columns take about BAND_BYTES, an even number an image.

    Even because the two halves of the backward pass, and two threads, then have as much to do.
    """
    rows = max(1, least, BAND_BYTES // (pixel_bytes * size[1]))
    bands = -(-size[0] // rows)
    rows = max(least, -(-size[0] // (bands + bands % 2)))
    rows += -rows % multiple
    tops = range(0, size[0], rows)
    return [(i, top, min(top + rows, size[0])) for i in range(n) for top in tops]
