"""Convolution of stride 1 on the GPU as shifted products that accumulate: nothing is copied but the border.

With a border of zeros on each row, pixels are numbered through: r = i Wp + j, Wp = W + 2 p. What kernel row u
meets at output pixel r are kw neighbours that lie side by side in memory, from pixel r + u Wp on: kw C
numbers, without a copy of them. So for each u there is one product,

    Y[r] += X[r + u Wp .. r + u Wp + kw - 1] @ W[u]                W[u] = w[u] as (kw C, O)

Rows r of X overlap, which cuBLAS refuses; those with the same r mod kw do not, and are kw C numbers apart:
kw products of a batch, each to every kw-th row of Y. The last kw - 1 pixels of each row see the next one, and
are left out when Y is taken to the sink.

Backward is the same with kernels turned by 180 degrees, C and O changed places, and the border that remains.

Cost: 2 kh kw C O (W + 2 p) / W operations a pixel; the padded input and Y, of which kh products add to one
place. With TF32, products round their factors to ten bits of mantissa.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nst_manual.backend import array_module, gpu_functions, product
from nst_manual.kernels.by_rows import ByRows
from nst_manual.kernels.cuda.ends import PIECE_BYTES, integers, pieces, pools, sink_end, source_end
from nst_manual.kernels.rows import (
    Sink,
    Source,
    flipped_padding,
)
from nst_manual.kernels.tiles import strided
from nst_manual.kernels.window import Pair, output_shape


@dataclass(frozen=True)
class Prepared:
    """Kernels w (kh, kw, C, O), and the same turned (kh, kw, O, C)."""

    w: Any
    turned: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """That of w."""
        return self.w.shape


@dataclass
class Shifted(ByRows):
    """The algorithm, in float32 (or float64) or with TF32.

    Parameters
    ----------
    tf32 : bool
    """

    tf32: bool = False

    devices = ("cuda",)

    def supports(self, k: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
        """Whether the algorithm can compute a convolution of that geometry."""
        fits = padding[0] < k[0] and padding[1] < k[1]
        return stride == dilation == (1, 1) and groups == 1 and fits

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
        """Write y for x. `work` has `work_size` numbers."""
        size = output_shape(x.shape, w.shape[:2], stride, padding)
        kernels = w.w if isinstance(w, Prepared) else w
        self._convolve(x, kernels.astype(y.dtype, copy=False), y, size, padding, work)

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
        """Write dx for dy. `work` has `work_size` numbers."""
        if not isinstance(w, Prepared):
            w = self.prepare(w, array_module(w).empty(self.prepared_shape(w.shape), dx.dtype))
        self._convolve(dy, w.turned, dx, x_shape[1:3], flipped_padding(w.shape[:2], padding), work)

    def work_size(self, size: Pair, w_shape: tuple[int, ...], groups: int, itemsize: int) -> int:
        """Return how many numbers the algorithm works in for an output of that height and width."""
        kh, kw, c, o = w_shape
        # of pieces as they are in `_convolve`, forward and backward alike
        row = (size[1] + kw - 1) * (c + o)
        rows = min(size[0] + size[0] % 2, max(2, PIECE_BYTES // (row * itemsize)))
        return row * rows + ((kh - 1) * (size[1] + kw - 1) + 2 * kw) * max(c, o) + kw * max(c, o)

    def worth_keeping(self, size: Pair) -> bool:
        """Whether turned kernels should be kept: they cost a launch and their size, each time."""
        return True

    def prepared_shape(self, w_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the turned kernels."""
        return *w_shape[:2], w_shape[3], w_shape[2]

    def prepare(self, w: Any, out: Any) -> Prepared:
        """Return w (kh, kw, C, O) with a copy turned, in `out` (kh, kw, O, C): to be passed for it."""
        out[...] = w[::-1, ::-1].transpose(0, 1, 3, 2)
        return Prepared(w.astype(out.dtype, copy=False), out)

    def _convolve(self, x: Source, w: Any, y: Sink, size: Pair, padding: Pair, work: Any) -> None:
        """Write the convolution of x with w (kh, kw, C, O), which is of that size."""
        xp, (count, height, width, c), (kh, kw, _, o) = array_module(x.like), x.shape, w.shape
        source, sink = source_end(x), sink_end(y)
        gather = gpu_functions("rows", **source.defines)("gather")
        finish = gpu_functions("rows", **sink.defines)("finish_rows")
        across = size[1] + kw - 1  # Wp
        row, even = across * (c + o), 2 if pools(sink) else 1
        if work is None:
            work = xp.empty(self.work_size(size, w.shape, 1, y.dtype.itemsize), y.dtype)
        matrices = w.reshape(kh, 1, kw * c, o)
        for n, first, last in pieces(count, size[0], row * y.dtype.itemsize, even):
            rows = last - first
            seen, steps = rows + kh - 1, -(-rows * across // kw)
            pixels = seen * across + 2 * kw  # the last ones, which are not written, see no result's pixel
            padded = work[: pixels * c]
            results = work[pixels * c :][: steps * kw * o]
            where = n, first - padding[0], -padding[1], seen, across
            gather(seen * across * c, *source.arrays, padded, *integers(*where, height, width, c))
            target = strided(results, (kw, steps, o), (o, kw * o, 1))
            for u in range(kh):
                met = strided(padded[u * across * c :], (kw, steps, kw * c), (c, kw * c, 1))
                shared = strided(matrices[u], (kw, kw * c, o), (0, o, 1))
                product(met, shared, target, add=u > 0, tf32=self.tf32)
            threads = -(-rows // even) * -(-size[1] // even) * o
            finish(threads, results, *sink.arrays, *integers(n, first, rows, across, *size, o))


shifted, shifted_tf32 = Shifted(), Shifted(tf32=True)
