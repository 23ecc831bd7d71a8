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

in bands of tile rows, several threads at a time. Backward is a convolution with each kernel turned by 180
degrees, C and O changed places. It uses the same transformed kernels: to turn the kernels is to turn what
goes in and what comes out, that is to read the columns of B^T and the rows of A^T backward.

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
from nst_manual.kernels.rows import ArraySink, ArraySource, Sink, Source, flipped_padding, padded_rows
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
    size = output_shape(x.shape, w.shape[:2], stride, padding, dilation)
    shape = (x.shape[0], *size, w.shape[3])
    y = array_module(x).empty(shape, np.result_type(x, w)) if out is None else out
    forward_rows(ArraySource(x), w, ArraySink(y, b), stride, padding, dilation, groups)
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
    dx = array_module(dy).empty(x_shape, np.result_type(dy, w)) if out is None else out
    input_gradient_rows(ArraySource(dy), w, ArraySink(dx), x_shape, stride, padding, dilation, groups)
    return dx


def forward_rows(
    x: Source, w: Any, y: Sink, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """Write the rows of y for the rows of x; a bias is the sink's to add."""
    size = output_shape(x.shape, (3, 3), stride, padding)
    _convolve(x, _kernels(w, y.dtype), y, size, padding, turned=False)


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
    """Write the rows of dx for the rows of dy."""
    kernels = _kernels(w, dx.dtype).transpose(0, 2, 1)  # (36, O, C)
    _convolve(dy, kernels, dx, x_shape[1:3], flipped_padding((3, 3), padding), turned=True)


def worth_keeping(size: Pair) -> bool:
    """Whether an output of that height and width is so small that transformed kernels should be kept."""
    return _tiles(size[0]) * _tiles(size[1]) <= FEW_TILES


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

    def chunk(begin: int, end: int) -> None:
        array_module(w).matmul(matrix, flat[:, begin:end], out=kernels[:, begin:end])

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


def _convolve(x: Source, kernels: Any, y: Sink, size: Pair, padding: Pair, turned: bool) -> None:
    """Write the rows of the convolution of x with transformed kernels (36, C, O); its output is of `size`."""
    xp = array_module(x.like)
    n, _, _, c = x.shape
    o = kernels.shape[2]
    b_matrix, _, a_matrix = _matrices(np.dtype(y.dtype).name, xp, turned)
    across = _tiles(size[1])

    def band(n: int, first: int, last: int) -> None:
        rows = last - first  # of tiles
        tiles = rows * across
        top = TILE * first
        # D and M, V and Y do not live at the same time: two arrays for the four
        one = scratch("winograd D, M", (36 * tiles * max(c, o),), y.dtype, x.like)
        two = scratch("winograd V, Y", (36 * tiles * max(c, o),), y.dtype, x.like)
        pixels = padded_rows(
            x, n, top - padding[0], TILE * rows + 2, -padding[1], TILE * across + 2
        )  # (4 rows + 2, 4 across + 2, C)
        d = one[: 36 * tiles * c].reshape(6, 6, rows, across, c)
        gather(pixels, TILE, d)
        v = two[: 36 * tiles * c].reshape(36, tiles, c)
        xp.matmul(b_matrix, d.reshape(36, -1), out=v.reshape(36, -1))
        m = one[: 36 * tiles * o].reshape(36, tiles, o)
        xp.matmul(v, kernels, out=m)
        tiled = two[: 16 * tiles * o].reshape(4, 4, rows, across, o)
        xp.matmul(a_matrix, m.reshape(36, -1), out=tiled.reshape(16, -1))
        bottom = min(size[0], TILE * last)
        if hasattr(y, "take_tiles"):  # pooling is easier done on tiles than on rows
            y.take_tiles(n, top, bottom, tiled)
            return
        place = y.place(n, top, bottom)
        scatter(tiled, place)
        y.finish(n, top, bottom, place)

    bands = band_rows(size, 36 * max(c, o) * np.dtype(y.dtype).itemsize)
    parallel(band, ((i, *rows) for i in range(n) for rows in bands))


def band_rows(size: Pair, tile_bytes: int) -> list[tuple[int, int]]:
    """Return (first, last) rows of tiles of each band; their number is even where there are rows enough."""
    down, across = _tiles(size[0]), _tiles(size[1])
    bands = -(-down * across // max(1, min(BAND_TILES, BAND_BYTES // tile_bytes)))
    bands = min(down, bands + bands % 2)
    edges = [down * i // bands for i in range(bands + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))
