"""Where a convolution's rows come from and where they go, band by band.

An algorithm that works in bands of rows does not ask for its whole input nor make its whole output. It reads
rows of a `Source` and hands finished rows to a `Sink`, while they are in the processor's cache. Plain arrays
are the ones here; `nst_manual.kernels.fused` has those that also mask, rectify and pool on the way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from nst_manual.backend import array_module, scratch
from nst_manual.kernels import relu
from nst_manual.kernels.window import Pair, output_shape


class Source(Protocol):
    """Images (N, H, W, C) of which rows can be read."""

    shape: tuple[int, int, int, int]
    dtype: Any
    like: Any  # an array that lives where the rows do

    def read(self, n: int, top: int, bottom: int, out: Any) -> None:
        """Write rows top to bottom of image n to out (bottom - top, W, C)."""


class Sink(Protocol):
    """Takes the rows of images (N, H, W, O); bands begin at multiples of `multiple` rows.

    A sink may also have `take_tiles(n, top, bottom, tiles)`, in place of the two calls, for an algorithm that
    has the band as 4x4 tiles (4, 4, rows, across, O).
    """

    multiple: int
    dtype: Any

    def place(self, n: int, top: int, bottom: int) -> Any:
        """Return the array (bottom - top, W, O) into which the band is to be written."""

    def finish(self, n: int, top: int, bottom: int, band: Any) -> None:
        """Do what is to be done with the band that has been written."""


class ArraySource:
    """The rows of an array (N, H, W, C)."""

    def __init__(self, x: Any) -> None:
        self.x = self.like = x
        self.shape, self.dtype = x.shape, x.dtype

    def read(self, n: int, top: int, bottom: int, out: Any) -> None:
        """Copy the rows."""
        out[...] = self.x[n, top:bottom]


class ArraySink:
    """Rows into an array (N, H, W, O), a bias (O,) added."""

    multiple = 1

    def __init__(self, y: Any, b: Any = None) -> None:
        self.y, self.dtype = y, y.dtype
        self.bias = None if b is None else BiasRow(b, y.shape[2], y.dtype)

    def place(self, n: int, top: int, bottom: int) -> Any:
        """Return the rows of the array itself."""
        return self.y[n, top:bottom]

    def finish(self, n: int, top: int, bottom: int, band: Any) -> None:
        """Add the bias."""
        if self.bias is not None:
            self.bias.add_to(band)


class BiasRow:
    """A bias (O,), repeated for the W pixels of a row: one long addition instead of W short ones.

    And as many zeros: for NumPy, the maximum with an array is four times as fast as that with one number.
    """

    def __init__(self, b: Any, width: int, dtype: Any) -> None:
        self.b, self.width = b.astype(dtype, copy=False), width

    @functools.cached_property
    def row(self) -> Any:
        """The bias W times (W O,); made when a band comes, which on a GPU none does."""
        return array_module(self.b).tile(self.b, self.width)

    @functools.cached_property
    def zeros(self) -> Any:
        """As many zeros."""
        return array_module(self.b).zeros_like(self.row)

    def add_to(self, band: Any) -> None:
        """Add to band (..., at most W, O)."""
        if band.flags.c_contiguous:
            width = band.shape[-2] * band.shape[-1]
            flat = band.reshape(-1, width)  # a view
            flat += self.row[:width]
        else:
            band += self.b

    def rectify(self, band: Any) -> None:
        """Replace band (..., at most W, O) by max(0, band)."""
        if band.flags.c_contiguous and band.dtype.kind == "f":
            width = band.shape[-2] * band.shape[-1]
            flat = band.reshape(-1, width)
            array_module(band).maximum(flat, self.zeros[:width], out=flat)
        else:
            relu.forward(band, out=band)


def forward_arrays(
    forward_rows: Callable[..., None],
    x: Any,
    w: Any,
    b: Any,
    geometry: tuple[Pair, Pair, Pair, int],
    out: Any,
) -> Any:
    """Run an algorithm's `forward_rows` from array to array: what its `forward` does."""
    size = output_shape(x.shape, w.shape[:2], *geometry[:3])
    shape = (x.shape[0], *size, w.shape[3])
    y = array_module(x).empty(shape, np.result_type(x.dtype, w.dtype)) if out is None else out
    forward_rows(ArraySource(x), w, ArraySink(y, b), *geometry)
    return y


def input_gradient_arrays(
    input_gradient_rows: Callable[..., None],
    dy: Any,
    w: Any,
    x_shape: tuple[int, ...],
    geometry: tuple[Pair, Pair, Pair, int],
    out: Any,
) -> Any:
    """Run an algorithm's `input_gradient_rows` from array to array: what its `input_gradient` does."""
    dx = array_module(dy).empty(x_shape, np.result_type(dy.dtype, w.dtype)) if out is None else out
    input_gradient_rows(ArraySource(dy), w, ArraySink(dx), x_shape, *geometry)
    return dx


def padded_rows(source: Source, n: int, top: int, rows: int, left: int, width: int) -> Any:
    """Return (rows, width, C) in scratch memory: rows from `top` and pixels from `left` on of image n.

    Both may begin before the image and end behind it; there it is zero.
    """
    _, height, w, c = source.shape
    band = scratch("padded rows", (rows, width, c), source.dtype, source.like)
    a, b = min(max(0, -top), rows), min(max(0, height - top), rows)
    band[:a] = 0
    band[b:] = 0
    band[a:b, : -left if left < 0 else 0] = 0
    band[a:b, w - left :] = 0
    if a < b:
        source.read(n, top + a, top + b, band[a:b, max(0, -left) : w - left])
    return band


def band_slices(height: int, rows: int) -> list[slice]:
    """Return slices of at most that many rows which together are the height."""
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def flipped_padding(k: Pair, padding: Pair) -> Pair:
    """Return the padding with which a convolution of stride 1 runs backward as a convolution forward."""
    return k[0] - 1 - padding[0], k[1] - 1 - padding[1]
