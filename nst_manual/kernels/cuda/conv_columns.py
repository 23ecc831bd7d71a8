"""Convolution of any geometry on the GPU, as a matrix product over columns (im2col).

    forward    columns = what each output pixel meets, (pixels, groups, kh kw C/g);  Y = columns @ W
    backward   columns = dy @ W^T, each then added to the pixel it was copied from (col2im)

for as many output rows at a time as the columns may take. Groups are the matrices of a batch. The columns of
a group are filled up with zeros to a multiple of ALIGNED numbers, as tensor cores want them.

Cost: 2 kh kw C/g O operations a pixel, and kh kw times the input in columns, written once and read once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nst_manual.backend import array_module, gpu_functions, product
from nst_manual.kernels.by_rows import ByRows
from nst_manual.kernels.cuda.ends import (
    PIECE_BYTES,
    REALS,
    integers,
    pieces,
    pools,
    sink_end,
    source_end,
)
from nst_manual.kernels.rows import ArraySource, Sink, Source
from nst_manual.kernels.tiles import strided
from nst_manual.kernels.window import Pair, output_shape

ALIGNED = 4


@dataclass
class Columns(ByRows):
    """The algorithm, in float32 (or float64) or with TF32.

    Parameters
    ----------
    tf32 : bool
    """

    tf32: bool = False

    devices = ("cuda",)
    works_on_input = False  # both ways it goes by rows of the output

    def supports(self, k: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
        """Whether the algorithm can compute a convolution of that geometry: any."""
        return True

    def work_size(self, size: Pair, w_shape: tuple[int, ...], groups: int, itemsize: int) -> int:
        """Return how many numbers the algorithm works in for an output of that height and width."""
        row = size[1] * _pixel(w_shape, groups)
        return row * min(size[0] + size[0] % 2, max(2, PIECE_BYTES // (row * itemsize)))

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
        xp, (count, height, width, c) = array_module(x.like), x.shape
        kh, kw, _, o = w.shape
        size = output_shape(x.shape, (kh, kw), stride, padding, dilation)
        kernels = _matrices(w, groups, y.dtype)  # (groups, inner, O/g)
        inner, each = kernels.shape[1:]
        source, sink = source_end(x), sink_end(y)
        columns = gpu_functions("rows", **source.defines)("columns")
        finish = gpu_functions("rows", **sink.defines)("finish_rows")
        even = 2 if pools(sink) else 1
        row = size[1] * _pixel(w.shape, groups) * y.dtype.itemsize
        window = kh, kw, *stride, *padding, *dilation
        if work is None:
            work = xp.empty(self.work_size(size, w.shape, groups, y.dtype.itemsize), y.dtype)
        for n, first, last in pieces(count, size[0], row, even):
            rows, pixels = last - first, (last - first) * size[1]
            met = work[: pixels * groups * inner].reshape(pixels, groups, inner)
            where = n, first, rows, size[1], height, width, c, groups, inner
            columns(met.size, *source.arrays, met, *integers(*where, *window))
            # a sink that does not pool finishes in the place of the results
            results = work[met.size :][: pixels * o] if even == 2 else y.y[n, first:last]
            results = results.reshape(pixels, o)
            target = strided(results, (groups, pixels, each), (each, o, 1))
            product(met.transpose(1, 0, 2), kernels, target, tf32=self.tf32)
            if sink.defines["SINK"] != "PLAIN" or sink.defines["BIAS"]:
                threads = -(-rows // even) * -(-size[1] // even) * o
                finish(threads, results, *sink.arrays, *integers(n, first, rows, size[1], *size, o))

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
        xp, (count, height, width, o) = array_module(dy.like), dy.shape
        kh, kw = w.shape[:2]
        _, *image, c = x_shape
        kernels = _matrices(w, groups, dx.dtype)
        inner, each = kernels.shape[1:]
        source, whole = source_end(dy), dx.y
        gather = gpu_functions("rows", **source.defines)("gather")
        add_columns = gpu_functions("rows", REAL=REALS[whole.dtype.name])("add_columns")
        whole[...] = 0
        window = kh, kw, *stride, *padding, *dilation
        if work is None:
            work = xp.empty(self.work_size((height, width), w.shape, groups, whole.itemsize), whole.dtype)
        for n, first, last in pieces(count, height, width * _pixel(w.shape, groups) * whole.itemsize):
            rows, pixels = last - first, (last - first) * width
            columns = work[: pixels * groups * inner].reshape(pixels, groups, inner)
            if isinstance(dy, ArraySource):
                part = source.arrays[0][n, first:last]
            else:
                part = work[columns.size :][: pixels * o]
                where = n, first, 0, rows, width, height, width, o
                gather(part.size, *source.arrays, part, *integers(*where))
            upstream = strided(part, (groups, pixels, each), (each, o, 1))
            product(upstream, kernels.transpose(0, 2, 1), columns.transpose(1, 0, 2), tf32=self.tf32)
            top = max(0, first * stride[0] - padding[0])
            bottom = min(image[0], (last - 1) * stride[0] - padding[0] + (kh - 1) * dilation[0] + 1)
            if bottom <= top:
                continue
            where = n, top, bottom - top, first, rows, width, *image, c, groups, inner
            add_columns((bottom - top) * image[1] * c, columns, whole, *integers(*where, *window))


def _pixel(w_shape: tuple[int, ...], groups: int) -> int:
    """Return how many numbers a pixel of the output has, its columns and the output itself."""
    return groups * _inner(w_shape) + w_shape[3]


def _inner(w_shape: tuple[int, ...]) -> int:
    """Return the length of a group's columns."""
    length = w_shape[0] * w_shape[1] * w_shape[2]
    return length + -length % ALIGNED


def _matrices(w: Any, groups: int, dtype: Any) -> Any:
    """Return kernels (kh, kw, C/g, O) as a matrix (inner, O/g) for each group, filled up with zeros."""
    kh, kw, c, o = w.shape
    length, inner = kh * kw * c, _inner(w.shape)
    if groups == 1 and inner == length:
        return w.reshape(1, length, o).astype(dtype, copy=False)
    found = array_module(w).zeros((groups, inner, o // groups), dtype)
    found[:, :length] = w.reshape(length, groups, o // groups).transpose(1, 0, 2)
    return found


columns, columns_tf32 = Columns(), Columns(tf32=True)
