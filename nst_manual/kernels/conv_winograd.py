"""Winograd's convolution for 3x3 kernels of stride 1: a quarter of the multiplications, or a fifth.

A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), F(4x4, 3x3) and
F(6x6, 3x3). The output is cut into tiles of t x t pixels; each sees k x k pixels of the input, d, k = t + 2,
and one kernel, g. With the matrices of `winograd_transforms`

    y = A^T [ (G g G^T) * (B^T d B) ] A          * element by element: 36 of them for t = 4; directly: 144

For T tiles, C channels in and O out, in bands of tile rows, several threads at a time:

    B        what the tiles see of the padded rows, transformed       V (k k, T, C)
    product  k k products (T, C) @ (C, O)                             M (k k, T, O)
    A        transformed back                                         Y (t t, T, O)
    scatter  t t strided slices of the output

With many channels it is not the bands but the kernels that do not fit into the cache: then the threads share
out the k k products, each over all tiles of a large piece of the image, and transform the kernels of a few
products just before them.

Backward is a convolution with each kernel turned by 180 degrees, C and O changed places. It uses the same
transformed kernels: to turn the kernels is to turn what goes in and what comes out, that is to read the
columns of B^T and the rows of A^T backward.

The kernels are transformed in each call anew, by a product with a k k x 9 matrix, so that no transformed copy
of the weights can be out of date. Whoever knows that the weights stay as they are calls `prepare` once.

Groups share the transforms; each has products of its own.

Cost, for t = 4 and 6: 4.5 and 3.6 C O operations a pixel (direct: 18), about 70 (C + O) for the transforms,
and 36 or 64 C O numbers of memory for the kernels. The transforms add and subtract numbers of different size:
in float32 the error is some 8 or 15 times that of the direct sum, of a layer's norm up to 1.3e-6 or 2.4e-6
forward and 3.5e-6 or 6.4e-6 backward (measured with VGG-16's weights, `tools/measure_accuracy.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_manual.backend import array_module, scratch
from nst_manual.kernels.by_rows import ByRows
from nst_manual.kernels.rows import (
    Sink,
    Source,
    flipped_padding,
    padded_rows,
)
from nst_manual.kernels.tiles import scatter
from nst_manual.kernels.window import Pair, group_slices, output_shape
from nst_manual.kernels.winograd_transforms import (
    band_size,
    matrices,
    planes,
    planes_size,
    transform_input,
    transform_output,
)
from nst_manual.threads import parallel

# Numbers of the kernels that are transformed at a time.
KERNEL_CHUNK = 2**14
# With no more tiles than this, the transform of the kernels is a good part of the work.
FEW_TILES = 100


@dataclass(frozen=True)
class Prepared:
    """Transformed kernels (k k, C / groups, O), in place of w (3, 3, C / groups, O)."""

    kernels: Any

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """That of w."""
        return 3, 3, *self.kernels.shape[1:]


@dataclass
class Winograd(ByRows):
    """The algorithm with tiles of one size.

    Parameters
    ----------
    tile : int
        t, 4 or 6.
    band_tiles : int
        Of one band. Fewer tiles make the products small and the calls many.
    band_bytes : int
        Of each of a band's two arrays, at most. More do not stay in the cache.
    many_channels : int
        From so many numbers in a kernel position on, C O, the k k products are shared out and not the bands.
    piece_bytes : int
        Of V, and of M, where the products are shared out: they are over as many tiles as that.
    piece_band_tiles : int
        So many are transformed at a time there.
    components : int
        Of the k k products, so many are taken at a time there.
    """

    tile: int
    band_tiles: int = 128
    band_bytes: int = 5 * 2**20
    many_channels: int = 256 * 512
    piece_bytes: int = 20 * 2**20
    piece_band_tiles: int = 32
    components: int = 6

    devices = ("cpu",)

    def supports(self, k: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
        """Whether the algorithm can compute a convolution of that geometry."""
        return k == (3, 3) and stride == dilation == (1, 1) and max(padding) <= 2

    def forward_rows(
        self,
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
        """Write the rows of y for the rows of x; a bias is the sink's. `work` has `work_size` numbers."""
        size = output_shape(x.shape, (3, 3), stride, padding)
        self._convolve(x, w, y, size, padding, groups, False, work)

    def input_gradient_rows(
        self,
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
        self._convolve(dy, w, dx, x_shape[1:3], flipped_padding((3, 3), padding), groups, True, work)

    def worth_keeping(self, size: Pair) -> bool:
        """Whether an output of that height and width is so small that transformed kernels should be kept."""
        return self.tiles(size[0]) * self.tiles(size[1]) <= FEW_TILES

    def work_size(self, size: Pair, w_shape: tuple[int, ...], groups: int, itemsize: int) -> int:
        """Return how many numbers the algorithm wants to work in for an output of that height and width.

        Without them it takes memory of its own. It may be none.
        """
        if not self._many_channels(w_shape):
            return 0
        channels = w_shape[2] * groups, w_shape[3]
        return self._piece_size(self._piece_rows(size, channels, itemsize), self.tiles(size[1]), channels)

    def prepared_shape(self, w_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the transformed kernels."""
        return ((self.tile + 2) ** 2, *w_shape[2:])

    def prepare(self, w: Any, out: Any) -> Prepared:
        """Return the kernels w (3, 3, C, O) transformed, in `out` (k k, C, O): to be passed for them."""
        return Prepared(self._transform(w, out))

    def tiles(self, pixels: int) -> int:
        """Return how many tiles cover so many pixels in a row."""
        return -(-pixels // self.tile)

    def band_rows(self, size: Pair, tile_bytes: int) -> list[tuple[int, int]]:
        """Return (first, last) rows of tiles of each band; an even number of bands where rows suffice."""
        down, across = self.tiles(size[0]), self.tiles(size[1])
        bands = -(-down * across // max(1, min(self.band_tiles, self.band_bytes // tile_bytes)))
        bands = min(down, bands + bands % 2)
        edges = [down * i // bands for i in range(bands + 1)]
        return list(zip(edges[:-1], edges[1:], strict=True))

    def _kernels(self, w: Any, dtype: Any) -> Any:
        """Return transformed kernels (k k, C, O), those that are prepared or in scratch memory."""
        if isinstance(w, Prepared):
            return w.kernels
        return self._transform(w, scratch("winograd kernels", self.prepared_shape(w.shape), dtype, w))

    def _transform(self, w: Any, out: Any) -> Any:
        """Write (G x G) g to out (k k, C, O)."""
        xp, count = array_module(w), len(out)
        matrix = matrices(self.tile, out.dtype.name, xp, False)[1]
        flat, kernels = w.reshape(9, -1), out.reshape(count, -1)
        # by as many components as `_by_components` takes, so that the bits do not depend on who transforms
        step = self.components if self._many_channels(w.shape) else count

        def chunk(begin: int, end: int) -> None:
            for k in range(0, count, step):
                part = kernels[k : k + step, begin:end]
                xp.matmul(matrix[k : k + step], flat[:, begin:end], out=part)

        parallel(chunk, ((begin, begin + KERNEL_CHUNK) for begin in range(0, flat.shape[1], KERNEL_CHUNK)))
        return out

    def _some_kernels(self, w: Any, k: int, end: int, dtype: Any) -> Any:
        """Return components k to end of the transformed kernels (end - k, C, O)."""
        if isinstance(w, Prepared):
            return w.kernels[k:end]
        xp, flat = array_module(w), w.reshape(9, -1)
        matrix = matrices(self.tile, np.dtype(dtype).name, xp, False)[1][k:end]
        kernels = scratch("winograd some kernels", (len(matrix), flat.shape[1]), dtype, w)
        for i in range(0, flat.shape[1], KERNEL_CHUNK):
            chunk = slice(i, i + KERNEL_CHUNK)
            xp.matmul(matrix, flat[:, chunk], out=kernels[:, chunk])
        return kernels.reshape(-1, *w.shape[2:])

    def _many_channels(self, w_shape: tuple[int, ...]) -> bool:
        return w_shape[2] * w_shape[3] >= self.many_channels

    def _piece_rows(self, size: Pair, channels: Pair, itemsize: int) -> int:
        """Return how many rows of tiles `_by_components` takes at a time; `channels` are those in and out."""
        row_bytes = (self.tile + 2) ** 2 * self.tiles(size[1]) * max(channels) * itemsize
        return max(1, min(self.tiles(size[0]), self.piece_bytes // row_bytes))

    def _piece_size(self, rows: int, across: int, channels: Pair) -> int:
        """Return how many numbers V and M of so many rows of tiles have."""
        return sum(planes_size((self.tile + 2) ** 2, rows * across * count) for count in channels)

    def _convolve(
        self, x: Source, w: Any, y: Sink, size: Pair, padding: Pair, groups: int, turned: bool, work: Any
    ) -> None:
        """Write the rows of the convolution of x with w, or with w turned; its output is of `size`."""
        run = self._by_components if self._many_channels(w.shape) else self._by_bands
        run(x, w, y, size, padding, groups, turned, work)

    def _by_bands(
        self, x: Source, w: Any, y: Sink, size: Pair, padding: Pair, groups: int, turned: bool, work: Any
    ) -> None:
        """Convolve from pixels to pixels a band at a time."""
        xp, dtype, k = array_module(x.like), np.dtype(y.dtype), self.tile + 2
        b_matrix, _, a_matrix = matrices(self.tile, dtype.name, xp, turned)
        kernels = self._kernels(w, dtype)
        c, o = _channels(w.shape, groups, turned)
        across = self.tiles(size[1])

        def band(n: int, first: int, last: int) -> None:
            rows = last - first  # of tiles
            numbers = band_size(self.tile, rows, across, c, o)
            # V and M do not live at the same time as what is before and behind them: two arrays for all
            one, two = (scratch(f"winograd {i}", (numbers,), dtype, x.like) for i in (1, 2))
            v = planes(one, k * k, rows * across * c)
            pixels = self._pixels(x, n, first, last, across, padding)
            transform_input(pixels, b_matrix, v.reshape(k, k, rows, -1), one, two)
            m = planes(two, k * k, rows * across * o)
            _multiply(v.reshape(k * k, -1, c), kernels, m.reshape(k * k, -1, o), groups, turned)
            tiled = transform_output(m.reshape(k, k, -1), a_matrix, one, two)
            self._hand_over(y, n, first, last, size, tiled.reshape(self.tile, self.tile, rows, across, o))

        bands = self.band_rows(size, k * k * max(c, o) * dtype.itemsize)
        parallel(band, ((i, *rows) for i in range(x.shape[0]) for rows in bands))

    def _by_components(
        self, x: Source, w: Any, y: Sink, size: Pair, padding: Pair, groups: int, turned: bool, work: Any
    ) -> None:
        """Convolve in large pieces: all of V, the k k products, all of Y, each on several threads."""
        xp, dtype, k = array_module(x.like), np.dtype(y.dtype), self.tile + 2
        b_matrix, _, a_matrix = matrices(self.tile, dtype.name, xp, turned)
        c, o = _channels(w.shape, groups, turned)
        down, across = self.tiles(size[0]), self.tiles(size[1])
        rows = self._piece_rows(size, (c, o), dtype.itemsize)
        step = max(1, self.piece_band_tiles // across)  # rows of tiles that are transformed at a time
        # kernels that are transformed beside the products are so faster by more components at a time
        components = max(1, self.components // 2) if isinstance(w, Prepared) else self.components
        numbers = band_size(self.tile, step, across, c, o)
        if work is None:
            work = scratch("winograd V, M", (self._piece_size(rows, across, (c, o)),), dtype, x.like)

        def piece(n: int, begin: int, end: int) -> None:
            tiles = (end - begin) * across
            v = planes(work, k * k, tiles * c)
            m = planes(work[planes_size(k * k, tiles * c) :], k * k, tiles * o)

            def input_rows(first: int, last: int) -> None:
                spare = [scratch(f"winograd {i}", (numbers,), dtype, x.like) for i in (1, 2)]
                pixels = self._pixels(x, n, first, last, across, padding)
                part = v.reshape(k, k, end - begin, -1)[:, :, first - begin : last - begin]
                transform_input(pixels, b_matrix, part, *spare)

            def product(i: int, end: int) -> None:
                kernels = self._some_kernels(w, i, end, dtype)
                some_v, some_m = v[i:end].reshape(-1, tiles, c), m[i:end].reshape(-1, tiles, o)
                _multiply(some_v, kernels, some_m, groups, turned)

            def output_rows(first: int, last: int) -> None:
                spare = [scratch(f"winograd {i}", (numbers,), dtype, x.like) for i in (1, 2)]
                part = m.reshape(k, k, -1)[..., (first - begin) * across * o : (last - begin) * across * o]
                tiled = transform_output(part, a_matrix, *spare)
                tiled = tiled.reshape(self.tile, self.tile, -1, across, o)
                self._hand_over(y, n, first, last, size, tiled)

            bands = [(first, min(first + step, end)) for first in range(begin, end, step)]
            parallel(input_rows, bands)
            parallel(product, ((i, i + components) for i in range(0, k * k, components)))
            parallel(output_rows, bands)

        for n in range(x.shape[0]):
            for begin in range(0, down, rows):
                piece(n, begin, min(begin + rows, down))

    def _pixels(self, x: Source, n: int, first: int, last: int, across: int, padding: Pair) -> Any:
        """Return the pixels (t rows + 2, t across + 2, C) that some rows of tiles see, in scratch memory."""
        top, rows, width = self.tile * first, self.tile * (last - first) + 2, self.tile * across + 2
        return padded_rows(x, n, top - padding[0], rows, -padding[1], width)

    def _hand_over(self, y: Sink, n: int, first: int, last: int, size: Pair, tiled: Any) -> None:
        """Give the sink some rows of tiles (t, t, rows, across, O)."""
        top, bottom = self.tile * first, min(size[0], self.tile * last)
        if hasattr(y, "take_tiles"):  # pooling is easier done on tiles than on rows
            y.take_tiles(n, top, bottom, tiled)
            return
        place = y.place(n, top, bottom)
        scatter(tiled, place)
        y.finish(n, top, bottom, place)


def _channels(w_shape: tuple[int, ...], groups: int, turned: bool) -> Pair:
    """Return the channels that go in, and those that come out."""
    c, o = w_shape[2] * groups, w_shape[3]
    return (o, c) if turned else (c, o)


def _multiply(v: Any, kernels: Any, m: Any, groups: int, turned: bool) -> None:
    """Write the products of V (k k, T, C) and kernels (k k, C / groups, O), group by group, to M (k k, T, O).

    Turned, V has the O channels and M the C.
    """
    xp = array_module(v)
    for cs, os in group_slices(groups, kernels.shape[1] * groups, kernels.shape[2]):
        part = kernels[..., os]
        if turned:
            xp.matmul(v[..., os], part.transpose(0, 2, 1), out=m[..., cs])
        else:
            xp.matmul(v[..., cs], part, out=m[..., os])


winograd = Winograd(tile=4)
winograd6 = Winograd(tile=6)
