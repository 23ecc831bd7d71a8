"""Both ends of a convolution on the GPU: source and sink of `kernels.rows` as `common.cu` takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_manual.backend import array_module
from nst_manual.kernels import fused
from nst_manual.kernels.rows import ArraySink, ArraySource, Sink, Source

REALS = {"float32": "float", "float64": "double"}

# Bytes that an algorithm works in at a time, about: it takes as many rows as fit. Large enough that a piece
# fills a GPU, small beside the features of a large picture.
PIECE_BYTES = 2**27

# names in `common.cu`
_POOLS = {
    (fused.MaxPoolSink, False): "MAX_POOL",
    (fused.MaxPoolSink, True): "RELU_MAX_POOL",
    (fused.AvgPoolSink, False): "AVG_POOL",
    (fused.AvgPoolSink, True): "RELU_AVG_POOL",
}


@dataclass(frozen=True)
class End:
    """One end: how the kernels are to be compiled, and the arrays that they get.

    Attributes
    ----------
    defines : dict
    arrays : tuple of array
        Of a source x, code, kept; of a sink y, code, bias. What a kind does without is any array of the type.
    """

    defines: dict[str, str | int]
    arrays: tuple[Any, Any, Any]


def source_end(source: Source) -> End:
    """Return a source's."""
    if isinstance(source, ArraySource):
        kind, x, code, kept = "PIXELS", source.x, None, None
    elif isinstance(source, fused.ReLUSource):
        kind = "POSITIVE" if source.mask is None else "MASKED"
        x, code, kept = source.dy, source.mask, source.y
    elif isinstance(source, fused.MaxUnpoolSource):
        kind, x, code, kept = "MAX_UNPOOLED", source.dy, source.code, None
    elif isinstance(source, fused.AvgUnpoolSource):
        kind = "AVG_UNPOOLED" if source.mask is None else "AVG_MASKED"
        x, code, kept = source.dy, source.mask, None
    else:
        raise TypeError(f"no source that a GPU can read: {type(source).__name__}")
    x = array_module(x).ascontiguousarray(x)
    defines = {"REAL": REALS[x.dtype.name], "SOURCE": kind}
    return End(defines, (x, _bytes(code, x), x if kept is None else kept))


def sink_end(sink: Sink) -> End:
    """Return a sink's; its y has to be contiguous."""
    y, code = sink.y, None
    if isinstance(sink, ArraySink):
        kind = "PLAIN"
    elif isinstance(sink, fused.ReLUSink):
        kind, code = "RELU" if sink.mask is None else "RELU_MASK", sink.mask
    else:
        kind, code = _POOLS[type(sink), sink.rectified], sink.kept
    bias = None if sink.bias is None else sink.bias.b
    defines = {"REAL": REALS[y.dtype.name], "SINK": kind, "BIAS": int(bias is not None)}
    return End(defines, (y, _bytes(code, y), y if bias is None else bias))


def pools(end: End) -> bool:
    """Whether a sink's kernels take windows of 2x2 pixels."""
    return "POOL" in end.defines["SINK"]


def pieces(count: int, rows: int, row_bytes: int, multiple: int = 1) -> Iterator[tuple[int, int, int]]:
    """Yield (image, first row, last row) of pieces of about PIECE_BYTES that begin at multiples of rows."""
    step = max(1, PIECE_BYTES // max(1, row_bytes))
    step = max(multiple, step - step % multiple)
    for n in range(count):
        for first in range(0, rows, step):
            yield n, first, min(first + step, rows)


def integers(*values: int) -> list[np.int32]:
    """Return numbers as a kernel's parameters of type int."""
    return [np.int32(value) for value in values]


def _bytes(code: Any, x: Any) -> Any:
    """Return codes or a mask as bytes; any bytes where there are none."""
    return (x if code is None else code).reshape(-1).view(np.uint8)
