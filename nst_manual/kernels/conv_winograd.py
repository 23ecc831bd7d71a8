"""Winograd's convolution for 3x3 kernels of stride 1: a quarter of the multiplications.

A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), F(4x4, 3x3). The output is
cut into tiles of 4x4 pixels; each sees 6x6 pixels of the input, d, and one kernel, g. With the matrices below

    y = A^T [ (G g G^T) * (B^T d B) ] A                    * element by element, 36 of them; directly: 144

Written as vectors, y = (A^T x A^T) [ ((G x G) g) * ((B^T x B^T) d) ] with Kronecker products, which makes a
matrix product of every step. For T tiles, C channels in and O out:

    gather   36 strided slices of the padded rows              D (36, T C)
    B        one product with a 36x36 matrix                   V (36, T, C)
    product  36 products (T, C) @ (C, O)                       M (36, T, O)
    A        one product with a 16x36 matrix                   Y (16, T O)
    scatter  16 strided slices of the output

in bands of tile rows, several threads at a time. With many channels it is not the bands but the kernels that
do not fit into the cache: then the threads share out the 36 products, each over all tiles of a large piece of
the image, and transform the kernels of a few products just before them.

Backward is a convolution with each kernel turned by 180 degrees, C and O changed places. It uses the same
transformed kernels: to turn the kernels is to turn what goes in and what comes out, that is to read the
columns of B^T and the rows of A^T backward.

The kernels are transformed in each call anew, by a product with a 36x9 matrix, so that no transformed copy of
the weights can be out of date. Whoever knows that the weights stay as they are calls `prepare` once.

Cost: 4.5 C O operations a pixel (direct: 18), about 100 (C + O) for the transforms, and 36 C O numbers of
memory for the kernels. The transforms add and subtract numbers of different size: in float32 the error is
some ten times that of the direct sum, 1e-6 to 3e-6 of a layer's norm.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_manual.backend import array_module, parallel, scratch
from nst_manual.kernels import conv_matmul
from nst_manual.kernels.rows import (
    Sink,
    Source,
    flipped_padding,
    forward_arrays,
    input_gradient_arrays,
    padded_rows,
)
from nst_manual.kernels.tiles import gather, scatter
from nst_manual.kernels.window import Pair, output_shape

TILE = 4
B_T = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
G = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
A_T = [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]
# Tiles of one band, and bytes of each of its two arrays. Fewer tiles make the products small and the calls
# many; more bytes do not stay in the cache.
BAND_TILES = 128
BAND_BYTES = 5 * 2**20
# From so many numbers in a kernel position on, the 36 products are shared out and not the bands; over as many
# tiles as have this many bytes in V or M, and of these so many at a time in the transforms. Six components
# are one row of a tile.
MANY_CHANNELS = 256 * 512
PIECE_BYTES = 20 * 2**20
COMPONENT_BAND_TILES = 64
COMPONENTS = 6
# Numbers of the kernels that are transformed at a time.
KERNEL_CHUNK = 2**14
# With no more tiles than this, the transform of the kernels is a good part of the work.
FEW_TILES = 100

parameter_gradients = conv_matmul.parameter_gradients  # of which style transfer has none


@dataclass(frozen=True)
class Prepared:
    """Transformed kernels (36, C, O), in place of w (3, 3, C, O)."""

    kernels: Any

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """That of w."""
        return 3, 3, *self.kernels.shape[1:]


def supports(k: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
    """Whether the algorithm can compute a convolution of that geometry."""
    return k == (3, 3) and stride == dilation == (1, 1) and groups == 1 and max(padding) <= 2


def forward(
    x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int, *, out: Any = None
) -> Any:
    """Return y (N, Ho, Wo, O) for x (N, H, W, C), w (3, 3, C, O), b (O,) or None."""
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
    x: Source,
    w: Any,
    y: Sink,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    *,
    work: Any = None,
) -> None:
    """Write the rows of y for the rows of x; a bias is the sink's to add. `work` has `work_size` numbers."""
    size = output_shape(x.shape, (3, 3), stride, padding)
    _convolve(x, w, y, size, padding, False, work)


def input_gradient_rows(
    dy: Source,
    w: Any,
    dx: Sink,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    *,
    work: Any = None,
) -> None:
    """Write the rows of dx for the rows of dy. `work` has `work_size` numbers."""
    _convolve(dy, w, dx, x_shape[1:3], flipped_padding((3, 3), padding), True, work)


def worth_keeping(size: Pair) -> bool:
    """Whether an output of that height and width is so small that transformed kernels should be kept."""
    return _tiles(size[0]) * _tiles(size[1]) <= FEW_TILES


def work_size(size: Pair, w_shape: tuple[int, ...], itemsize: int) -> int:
    """Return how many numbers the algorithm wants to work in for an output of that height and width.

    Without them it takes memory of its own. It may be none.
    """
    if not _many_channels(w_shape):
        return 0
    return 36 * _piece_rows(size, w_shape, itemsize) * _tiles(size[1]) * sum(w_shape[2:])


def prepared_shape(w_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the transformed kernels."""
    return (36, *w_shape[2:])


def prepare(w: Any, out: Any) -> Prepared:
    """Return the kernels w (3, 3, C, O) transformed, in `out` (36, C, O); to be passed in their place."""
    return Prepared(_transform(w, out))


def _kernels(w: Any, dtype: Any) -> Any:
    """Return transformed kernels (36, C, O), those that are prepared or in scratch memory."""
    if isinstance(w, Prepared):
        return w.kernels
    return _transform(w, scratch("winograd kernels", (36, *w.shape[2:]), dtype, w))


def _transform(w: Any, out: Any) -> Any:
    """Write (G x G) g to out (36, C, O)."""
    matrix = _matrices(out.dtype.name, array_module(w), False)[1]
    flat, kernels = w.reshape(9, -1), out.reshape(36, -1)

    # by as many components as `_by_components` takes, so that the bits do not depend on who transforms
    step = COMPONENTS if _many_channels(w.shape) else 36

    def chunk(begin: int, end: int) -> None:
        for k in range(0, 36, step):
            part = kernels[k : k + step, begin:end]
            array_module(w).matmul(matrix[k : k + step], flat[:, begin:end], out=part)

    parallel(chunk, ((begin, begin + KERNEL_CHUNK) for begin in range(0, flat.shape[1], KERNEL_CHUNK)))
    return out


@functools.cache
def _matrices(dtype: str, xp: Any, turned: bool) -> tuple[Any, Any, Any]:
    """Return B^T x B^T (36, 36), G x G (36, 9) and A^T x A^T (16, 36), or those for turned kernels."""
    b, g, a = (np.kron(m, m) for m in (B_T, G, A_T))
    if turned:
        b, a = b[:, ::-1], a[::-1]
    return tuple(xp.asarray(np.ascontiguousarray(m), dtype) for m in (b, g, a))


def _tiles(pixels: int) -> int:
    return -(-pixels // TILE)


def _many_channels(w_shape: tuple[int, ...]) -> bool:
    return w_shape[2] * w_shape[3] >= MANY_CHANNELS


def _piece_rows(size: Pair, w_shape: tuple[int, ...], itemsize: int) -> int:
    """Return how many rows of tiles `_by_components` takes at a time."""
    row_bytes = 36 * _tiles(size[1]) * max(w_shape[2:]) * itemsize
    return max(1, min(_tiles(size[0]), PIECE_BYTES // row_bytes))


def _convolve(x: Source, w: Any, y: Sink, size: Pair, padding: Pair, turned: bool, work: Any = None) -> None:
    """Write the rows of the convolution of x with w, or with w turned; its output is of `size`."""
    if _many_channels(w.shape):
        _by_components(x, w, y, size, padding, turned, work)
        return
    kernels = _kernels(w, y.dtype)
    _by_bands(x, kernels.transpose(0, 2, 1) if turned else kernels, y, size, padding, turned)


def _by_components(x: Source, w: Any, y: Sink, size: Pair, padding: Pair, turned: bool, work: Any) -> None:
    """Convolve in large pieces: all of V, then the 36 products, then all of Y, each on several threads."""
    xp, dtype = array_module(x.like), np.dtype(y.dtype)
    b_matrix, g_matrix, a_matrix = _matrices(dtype.name, xp, turned)
    c, o = w.shape[:1:-1] if turned else w.shape[2:]
    down, across = _tiles(size[0]), _tiles(size[1])
    rows = _piece_rows(size, w.shape, dtype.itemsize)
    step = max(1, COMPONENT_BAND_TILES // across)  # rows of tiles that are transformed at a time
    count = 36 * rows * across * (c + o)
    work = scratch("winograd V, M", (count,), dtype, x.like) if work is None else work[:count]

    def piece(n: int, begin: int, end: int) -> None:
        tiles = (end - begin) * across
        v = work[: 36 * tiles * c].reshape(36, tiles * c)
        m = work[36 * tiles * c : 36 * tiles * (c + o)].reshape(36, tiles * o)

        def transform_input(first: int, last: int) -> None:
            d = scratch("winograd D", (6, 6, last - first, across, c), dtype, x.like)
            gather(_pixels(x, n, first, last, across, padding), TILE, d)
            part = v[:, (first - begin) * across * c : (last - begin) * across * c]
            xp.matmul(b_matrix, d.reshape(36, -1), out=part)

        def product(k: int, end: int) -> None:
            kernels = _some_kernels(w, g_matrix, k, end, dtype)
            kernels = kernels.transpose(0, 2, 1) if turned else kernels
            xp.matmul(v[k:end].reshape(-1, tiles, c), kernels, out=m[k:end].reshape(-1, tiles, o))

        def transform_output(first: int, last: int) -> None:
            tiled = scratch("winograd Y", (4, 4, last - first, across, o), dtype, x.like)
            part = m[:, (first - begin) * across * o : (last - begin) * across * o]
            xp.matmul(a_matrix, part, out=tiled.reshape(16, -1))
            _hand_over(y, n, first, last, size, tiled)

        bands = [(first, min(first + step, end)) for first in range(begin, end, step)]
        parallel(transform_input, bands)
        parallel(product, ((k, k + COMPONENTS) for k in range(0, 36, COMPONENTS)))
        parallel(transform_output, bands)

    for n in range(x.shape[0]):
        for begin in range(0, down, rows):
            piece(n, begin, min(begin + rows, down))


def _some_kernels(w: Any, g_matrix: Any, k: int, end: int, dtype: Any) -> Any:
    """Return components k to end of the transformed kernels (end - k, C, O)."""
    if isinstance(w, Prepared):
        return w.kernels[k:end]
    flat = w.reshape(9, -1)
    kernels = scratch("winograd some kernels", (end - k, flat.shape[1]), dtype, w)
    for i in range(0, flat.shape[1], KERNEL_CHUNK):
        chunk = slice(i, i + KERNEL_CHUNK)
        array_module(w).matmul(g_matrix[k:end], flat[:, chunk], out=kernels[:, chunk])
    return kernels.reshape(end - k, *w.shape[2:])


def _pixels(x: Source, n: int, first: int, last: int, across: int, padding: Pair) -> Any:
    """Return the pixels (4 rows + 2, 4 across + 2, C) that some rows of tiles see, in scratch memory."""
    rows = TILE * (last - first) + 2
    return padded_rows(x, n, TILE * first - padding[0], rows, -padding[1], TILE * across + 2)


def _hand_over(y: Sink, n: int, first: int, last: int, size: Pair, tiled: Any) -> None:
    """Give the sink some rows of tiles (4, 4, rows, across, O)."""
    top, bottom = TILE * first, min(size[0], TILE * last)
    if hasattr(y, "take_tiles"):  # pooling is easier done on tiles than on rows
        y.take_tiles(n, top, bottom, tiled)
        return
    place = y.place(n, top, bottom)
    scatter(tiled, place)
    y.finish(n, top, bottom, place)


def _by_bands(x: Source, kernels: Any, y: Sink, size: Pair, padding: Pair, turned: bool) -> None:
    """Convolve with transformed kernels (36, C, O), from pixels to pixels a band at a time."""
    xp = array_module(x.like)
    n, _, _, c = x.shape
    o = kernels.shape[2]
    b_matrix, _, a_matrix = _matrices(np.dtype(y.dtype).name, xp, turned)
    across = _tiles(size[1])

    def band(n: int, first: int, last: int) -> None:
        rows = last - first  # of tiles
        tiles = rows * across
        # D and M, V and Y do not live at the same time: two arrays for the four
        one = scratch("winograd D, M", (36 * tiles * max(c, o),), y.dtype, x.like)
        two = scratch("winograd V, Y", (36 * tiles * max(c, o),), y.dtype, x.like)
        d = one[: 36 * tiles * c].reshape(6, 6, rows, across, c)
        gather(_pixels(x, n, first, last, across, padding), TILE, d)
        v = two[: 36 * tiles * c].reshape(36, tiles, c)
        xp.matmul(b_matrix, d.reshape(36, -1), out=v.reshape(36, -1))
        m = one[: 36 * tiles * o].reshape(36, tiles, o)
        xp.matmul(v, kernels, out=m)
        tiled = two[: 16 * tiles * o].reshape(4, 4, rows, across, o)
        xp.matmul(a_matrix, m.reshape(36, -1), out=tiled.reshape(16, -1))
        _hand_over(y, n, first, last, size, tiled)

    bands = band_rows(size, 36 * max(c, o) * np.dtype(y.dtype).itemsize)
    parallel(band, ((i, *rows) for i in range(n) for rows in bands))


def band_rows(size: Pair, tile_bytes: int) -> list[tuple[int, int]]:
    """Return (first, last) rows of tiles of each band; their number is even where there are rows enough."""
    down, across = _tiles(size[0]), _tiles(size[1])
    bands = -(-down * across // max(1, min(BAND_TILES, BAND_BYTES // tile_bytes)))
    bands = min(down, bands + bands % 2)
    edges = [down * i // bands for i in range(bands + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))
