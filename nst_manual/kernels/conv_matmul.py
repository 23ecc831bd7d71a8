"""Convolution as one matrix product a band of output rows (im2col).

What the kernel meets at each output pixel is copied into a row of `columns` (pixels, kh kw C), so that

    forward    y       = columns @ W + b             W = w as (kh kw C, O)
    backward   columns = dy @ W^T, each then added to the pixel it was copied from (col2im)
    weights    dW      = columns^T @ dy

The columns hold kh kw times the input. Made for a few output rows at a time they stay in the level-2 cache,
and the copies cost little beside the product: 3x3 layers of VGG run at the rate of `sgemm` itself. A 1x1
kernel of stride 1 needs no copy at all.

Cost: 2 kh kw C O operations a pixel, and BAND_BYTES of columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nst_manual.backend import array_module
from nst_manual.kernels.window import Pair, crop, group_slices, output_shape, pad, position
from nst_manual.threads import parallel

# Columns of one band. Measured on VGG layers: the product slows down below 1 MB, the copies above 4 MB.
BAND_BYTES = 2**21
# Of an image, so that there is work for several threads in the small deep layers too.
MIN_BANDS = 4
# Groups with fewer channels are put together until they have so many.
NARROW = 32


def supports(k: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
    """Whether the algorithm can compute a convolution of that geometry: any."""
    return True


def forward(
    x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int, *, out: Any = None
) -> Any:
    """Return y (N, Ho, Wo, O) for x (N, H, W, C), w (kh, kw, C / groups, O), b (O,) or None."""
    xp = array_module(x)
    w, groups = bundled(w, groups)
    o = w.shape[3]
    size = output_shape(x.shape, w.shape[:2], stride, padding, dilation)
    y = xp.empty((x.shape[0], *size, o), xp.result_type(x, w)) if out is None else out
    x = pad(xp, x, padding)
    for cs, os in group_slices(groups, x.shape[3], o):
        matrix = _matrix(w, os, y.dtype)  # (kh kw C/g, O/g)

        def band(
            n: int, rows: slice, number: int, cs: slice = cs, os: slice = os, matrix: Any = matrix
        ) -> None:
            columns = _columns(xp, x[n : n + 1, ..., cs], w.shape[:2], rows, size[1], stride, dilation)
            target = y[n, rows, :, os]
            if y.flags.c_contiguous:
                xp.matmul(columns, matrix, out=y[n, rows].reshape(-1, o)[:, os])  # a view: nothing is copied
            else:
                target[...] = (columns @ matrix).reshape(target.shape)
            if b is not None:
                target += b[os]

        parallel(band, _bands(x, w, size))
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
    w, groups = bundled(w, groups)
    kh, kw, c, o = w.shape
    n, height, width, _ = x_shape
    padded = xp.zeros((n, height + 2 * padding[0], width + 2 * padding[1], c * groups), xp.result_type(dy, w))
    size = dy.shape[1:3]
    for cs, os in group_slices(groups, c * groups, o):
        matrix = _matrix(w, os, padded.dtype).T  # (O/g, kh kw C/g)

        def band(
            n: int, rows: slice, number: int, cs: slice = cs, os: slice = os, matrix: Any = matrix
        ) -> None:
            columns = dy[n, rows, :, os].reshape(-1, o // groups) @ matrix
            columns = columns.reshape(1, -1, size[1], kh, kw, c)
            under = _under(padded[n : n + 1, ..., cs], rows, stride)
            for u in range(kh):
                for v in range(kw):
                    position(under, u, v, columns.shape[1:3], stride, dilation)[...] += columns[:, :, :, u, v]

        # A band also adds to rows that the next one begins with. The even ones do not meet, nor do the odd
        # ones; and this order of additions is the same for any number of threads.
        bands = list(_bands(padded, w, size, least=-(-dilation[0] * (kh - 1) // stride[0])))
        for parity in (0, 1):
            parallel(band, (item for item in bands if item[2] % 2 == parity))
    return crop(xp, padded, padding, (height, width), out=out)


def parameter_gradients(
    x: Any, dy: Any, w_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[Any, Any]:
    """Return dw (kh, kw, C / groups, O) and db (O,)."""
    xp = array_module(x)
    x = pad(xp, x, padding)
    size, o = dy.shape[1:3], dy.shape[3]
    dw = xp.zeros(w_shape, xp.result_type(x, dy))
    for cs, os in group_slices(groups, x.shape[3], o):
        for n, rows, _ in _bands(x, dw, size):
            columns = _columns(xp, x[n : n + 1, ..., cs], w_shape[:2], rows, size[1], stride, dilation)
            band = dy[n, rows, :, os].reshape(-1, o // groups)
            dw[..., os] += (columns.T @ band).reshape(*w_shape[:3], o // groups)
    return dw, dy.sum(axis=(0, 1, 2))


def bundled(w: Any, groups: int) -> tuple[Any, int]:
    """Return kernels and number of groups for the same convolution in fewer groups, where those are narrow.

    Several groups become one with zeros between them: more multiplications, in products that are worth a
    call. Of 256 groups of one channel it makes 8 of 32, some six to twelve times as fast.
    """
    c, o = w.shape[2], w.shape[3] // groups
    together = max(b for b in range(1, groups + 1) if groups % b == 0 and (b == 1 or b * max(c, o) <= NARROW))
    if together == 1:
        return w, groups
    wide = array_module(w).zeros((*w.shape[:2], together * c, w.shape[3]), w.dtype)
    for group in range(groups):
        place = group % together
        os = slice(group * o, (group + 1) * o)
        wide[:, :, place * c : (place + 1) * c, os] = w[..., os]
    return wide, groups // together


def _matrix(w: Any, os: slice, dtype: Any) -> Any:
    """Return a group's kernel as a matrix (kh kw C/g, O/g), a view where there is one group and no cast."""
    return w[..., os].reshape(-1, os.stop - os.start).astype(dtype, copy=False)


def _bands(x: Any, w: Any, size: Pair, least: int = 1) -> Iterator[tuple[int, slice, int]]:
    """Yield (image, output rows, number) such that the columns of those rows take about BAND_BYTES.

    There are at least MIN_BANDS where the rows suffice, each of at least `least` rows.
    """
    row_bytes = size[1] * w[..., 0].size * x.itemsize
    rows = min(BAND_BYTES // row_bytes, -(-size[0] // MIN_BANDS))
    rows = max(1, least, rows)
    for n in range(x.shape[0]):
        for number, top in enumerate(range(0, size[0], rows)):
            yield n, slice(top, min(top + rows, size[0])), number


def _under(x: Any, rows: slice, stride: Pair) -> Any:
    """Return the view of padded x (1, Hp, Wp, C) that begins where the band's first window does."""
    return x[:, rows.start * stride[0] :]


def _columns(xp: Any, x: Any, k: Pair, rows: slice, width: int, stride: Pair, dilation: Pair) -> Any:
    """Return (pixels of the band, kh kw C) of padded x (1, Hp, Wp, C): row by row what the kernel meets."""
    c = x.shape[3]
    size = (rows.stop - rows.start, width)
    under = _under(x, rows, stride)
    if k == (1, 1):
        return position(under, 0, 0, size, stride).reshape(-1, c)  # a view where the stride is 1
    columns = xp.empty((*size, *k, c), x.dtype)
    for u in range(k[0]):
        for v in range(k[1]):
            columns[:, :, u, v] = position(under, u, v, size, stride, dilation)[0]
    return columns.reshape(-1, k[0] * k[1] * c)
