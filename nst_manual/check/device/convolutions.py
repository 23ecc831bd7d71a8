"""Every algorithm of convolution that runs on a GPU, over many geometries, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_manual.backend import to_device
from nst_manual.check.device import rounding
from nst_manual.check.device.case import Check, difference, generator
from nst_manual.kernels import conv_matmul
from nst_manual.kernels.conv import algorithms_on, get_algorithm
from nst_manual.kernels.cuda import conv_columns, conv_shifted, conv_winograd, ends
from nst_manual.kernels.window import output_shape


@dataclass(frozen=True)
class Case:
    """A convolution to try."""

    x: tuple[int, int, int, int] = (2, 9, 11, 8)
    k: tuple[int, int] = (3, 3)
    out: int = 6
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = True
    piece_bytes: int | None = None

    @property
    def geometry(self) -> tuple[Any, ...]:
        """Stride, padding, dilation and groups, as kernels take them."""
        return self.stride, self.padding, self.dilation, self.groups

    def arrays(self, dtype: str) -> tuple[Any, Any, Any, Any]:
        """Return x, w, b or None, dy."""
        rng, size = generator(self), output_shape(self.x, self.k, *self.geometry[:3])
        shapes = (
            self.x,
            (*self.k, self.x[3] // self.groups, self.out),
            (self.out,),
            (self.x[0], *size, self.out),
        )
        x, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        return x, w, b if self.bias else None, dy


CASES = {
    "3x3": Case(),
    "3x3, one image, 24 channels": Case((1, 16, 16, 24), out=32),
    "3x3, three images, no bias": Case((3, 5, 6, 4), out=3, bias=False),
    "3x3, no padding": Case((1, 10, 7, 4), padding=(0, 0)),
    "3x3, wide border": Case((1, 6, 5, 5), padding=(2, 2)),
    "3x3, uneven border": Case((1, 7, 9, 3), padding=(2, 0), out=5),
    "3x3, 3 channels in": Case((1, 13, 10, 3), out=8),
    "3x3, one channel": Case((1, 6, 7, 1), out=1),
    "3x3, one row": Case((2, 1, 13, 4), out=5),
    "3x3, one column": Case((2, 13, 1, 4), out=5),
    "3x3, smaller than the kernel": Case((1, 2, 2, 3), out=4),
    "3x3, many pieces": Case((2, 23, 14, 5), out=7, piece_bytes=2**11),
    "3x3, a row a piece": Case((2, 9, 6, 4), out=4, piece_bytes=1),
    "1x1": Case((2, 5, 7, 6), (1, 1), 9, padding=(0, 0)),
    "5x5": Case((1, 9, 8, 4), (5, 5), padding=(2, 2)),
    "5x5, many pieces": Case((2, 17, 9, 3), (5, 5), padding=(2, 2), piece_bytes=2**11),
    "2x3": Case((2, 6, 7, 4), (2, 3), padding=(1, 0)),
    "11x11, stride 4": Case((1, 39, 35, 3), (11, 11), 8, (4, 4), (2, 2)),
    "7x7, stride 2": Case((1, 17, 21, 3), (7, 7), 8, (2, 2), (3, 3)),
    "3x3, stride 2": Case((2, 9, 10, 5), stride=(2, 2)),
    "3x2, uneven stride": Case((2, 9, 10, 5), (3, 2), stride=(2, 3), padding=(1, 0)),
    "1x1, stride 2": Case((1, 7, 8, 5), (1, 1), stride=(2, 2), padding=(0, 0)),
    "3x3, dilation 2": Case((2, 9, 8, 4), padding=(2, 2), dilation=(2, 2)),
    "3x3, uneven dilation": Case((1, 9, 11, 4), padding=(1, 3), dilation=(1, 3)),
    "3x3, 2 groups": Case((2, 6, 7, 6), out=8, groups=2),
    "3x3, a group a channel": Case((1, 6, 7, 5), out=5, groups=5),
    "5x5, 2 groups, stride 2, many pieces": Case(
        (1, 15, 11, 6), (5, 5), 4, (2, 2), (2, 2), (1, 1), 2, piece_bytes=2**11
    ),
    "3x3, stride and dilation 2": Case((1, 11, 13, 3), stride=(2, 2), padding=(2, 1), dilation=(2, 2)),
}


def checks() -> Iterator[Check]:
    """Yield the checks."""
    for algorithm in algorithms_on("cuda"):
        for words, case in CASES.items():
            if get_algorithm(algorithm).supports(case.k, *case.geometry):
                for dtype in ("float64", "float32"):
                    yield Check(
                        "convolutions",
                        f"{algorithm}, {words}, {dtype}",
                        lambda a=algorithm, c=case, d=dtype: convolution_error(a, c, d),
                    )


def convolution_error(name: str, case: Case, dtype: str) -> tuple[float, float]:
    """Return error and bound, of forward or backward the one that has used up more of its bound, as a share.

    The reference is NumPy's matrix product in float64.
    """
    x, w, b, dy = case.arrays(dtype)
    exact = [None if a is None else a.astype(float) for a in (x, w, b, dy)]
    y = conv_matmul.forward(*exact[:3], *case.geometry)
    dx = conv_matmul.input_gradient(exact[3], exact[1], x.shape, *case.geometry)
    algorithm, there = get_algorithm(name), [None if a is None else to_device(a) for a in (x, w, b, dy)]
    # results go to arrays whose content is not to be read
    out, dout = (to_device(np.full(a.shape, np.nan, dtype)) for a in (y, dx))
    with pieces_of(case.piece_bytes):
        algorithm.forward(*there[:3], *case.geometry, out=out)
        algorithm.input_gradient(there[3], there[1], x.shape, *case.geometry, out=dout)
    taps, each = case.k[0] * case.k[1], case.x[3] // case.groups
    bounds = [
        rounding.convolution(name, taps * channels, channels, dtype)
        for channels in (each, case.out // case.groups)
    ]
    return worst(zip((difference(out, y), difference(dout, dx)), bounds, strict=True))


def worst(pairs: Any) -> tuple[float, float]:
    """Return the (error, bound) in which the error is the largest share of the bound; NaN is the largest."""
    return max(pairs, key=lambda pair: pair[0] / pair[1] if pair[0] == pair[0] else np.inf)


@contextmanager
def pieces_of(size: int | None) -> Iterator[None]:
    """Let algorithms work in pieces of about that many bytes, so that small images have several."""
    modules = (ends, conv_columns, conv_shifted, conv_winograd)
    before = ends.PIECE_BYTES
    for module in modules:
        module.PIECE_BYTES = before if size is None else size
    try:
        yield
    finally:
        for module in modules:
            module.PIECE_BYTES = before
