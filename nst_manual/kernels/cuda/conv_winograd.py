"""Winograd's convolution on the GPU: F(4x4, 3x3), a quarter of the multiplications.

As `nst_manual.kernels.conv_winograd`, whose docstring has the formulas, with the transforms as kernels of our
own (`winograd.cu`):

    B        from the source, masked and unpooled on the way              V (36, T, C)
    product  36 products (T, C) @ (C, O), one call of cuBLAS              M (36, T, O)
    A        back, with bias, ReLU and pooling on the way to the sink

for T tiles at a time, as many as V and M may take. Backward uses the same transformed kernels, transposed,
and turns the tiles instead.

Cost: 4.5 C O operations a pixel in the products; 2.25 numbers of V and of M for each of the input and output,
written once and read once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nst_manual.backend import array_module, gpu_functions, product
from nst_manual.kernels.by_rows import ByRows
from nst_manual.kernels.cuda.ends import PIECE_BYTES, End, integers, pieces, sink_end, source_end
from nst_manual.kernels.rows import Sink, Source, flipped_padding
from nst_manual.kernels.window import Pair, output_shape
from nst_manual.kernels.winograd_transforms import matrices

TILE, COMPONENTS = 4, 36


@dataclass(frozen=True)
class Prepared:
    """Transformed kernels (36, C, O), in place of w (3, 3, C, O)."""

    kernels: Any

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """That of w."""
        return 3, 3, *self.kernels.shape[1:]


class CudaWinograd(ByRows):
    """The algorithm."""

    devices = ("cuda",)

    def supports(self, k: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
        """Whether the algorithm can compute a convolution of that geometry."""
        return k == (3, 3) and stride == dilation == (1, 1) and max(padding) <= 2 and groups == 1

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
        size = output_shape(x.shape, (3, 3), stride, padding)
        self._convolve(x, self._kernels(w, y.dtype), y, size, padding, False, work)

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
        kernels = self._kernels(w, dx.dtype).transpose(0, 2, 1)
        self._convolve(dy, kernels, dx, x_shape[1:3], flipped_padding((3, 3), padding), True, work)

    def work_size(self, size: Pair, w_shape: tuple[int, ...], groups: int, itemsize: int) -> int:
        """Return how many numbers the algorithm works in for an output of that height and width."""
        down, across = (-(-side // TILE) for side in size)
        row = COMPONENTS * across * sum(w_shape[2:])
        return row * min(down, max(1, PIECE_BYTES // (row * itemsize)))

    def worth_keeping(self, size: Pair) -> bool:
        """Whether transformed kernels should be kept: to make them is a product, each time."""
        return True

    def prepared_shape(self, w_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the transformed kernels."""
        return COMPONENTS, *w_shape[2:]

    def prepare(self, w: Any, out: Any) -> Prepared:
        """Return the kernels w (3, 3, C, O) transformed, in `out` (36, C, O): to be passed for them."""
        matrix = matrices(TILE, out.dtype.name, array_module(w), False)[1]  # (36, 9)
        flat = w.reshape(1, 9, -1).astype(out.dtype, copy=False)
        product(matrix[None], flat, out.reshape(1, COMPONENTS, -1))
        return Prepared(out)

    def _kernels(self, w: Any, dtype: Any) -> Any:
        """Return transformed kernels (36, C, O), those that are prepared or new ones."""
        if isinstance(w, Prepared):
            return w.kernels
        return self.prepare(w, array_module(w).empty(self.prepared_shape(w.shape), dtype)).kernels

    def _convolve(
        self, x: Source, kernels: Any, y: Sink, size: Pair, padding: Pair, turned: bool, work: Any
    ) -> None:
        """Write the convolution of x with the kernels (36, C, O), or with them turned, of that size."""
        xp, (count, height, width, c), o = array_module(x.like), x.shape, kernels.shape[2]
        source, sink = source_end(x), sink_end(y)
        transform_in, transform_out = (_function(end, turned) for end in (source, sink))
        down, across = (-(-side // TILE) for side in size)
        row = COMPONENTS * across * (c + o)
        if work is None:
            work = xp.empty(self.work_size(size, (3, 3, c, o), 1, y.dtype.itemsize), y.dtype)
        for n, first, last in pieces(count, down, row * y.dtype.itemsize):
            tiles = (last - first) * across
            v = work[: COMPONENTS * tiles * c].reshape(COMPONENTS, tiles, c)
            m = work[COMPONENTS * tiles * c :][: COMPONENTS * tiles * o].reshape(COMPONENTS, tiles, o)
            piece = n, first, last - first, across
            transform_in(tiles * c, *source.arrays, v, *integers(*piece, height, width, c, *padding))
            product(v, kernels, m)
            transform_out(tiles * o, m, *sink.arrays, *integers(*piece, *size, o))


def _function(end: End, turned: bool) -> Any:
    functions = gpu_functions("winograd", TURNED=int(turned), **end.defines)
    return functions("input_transform" if "SOURCE" in end.defines else "output_transform")


winograd = CudaWinograd()
