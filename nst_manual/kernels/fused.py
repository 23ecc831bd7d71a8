"""ReLU and 2x2 pooling as a convolution's rows pass by, in cache: forward as sinks, backward as sources.

    forward    y = pool(relu(convolution + b))        only y is stored, and what the way back has to know:
                                                      ReLU a byte a value (none where y itself is kept),
                                                      max-pool a byte a window
    backward   dy at the convolution = dy unpooled where it was the maximum, 0 where the value was not positive

Answers are those of `relu`, `max_pool` and `avg_pool` one after the other, ties and NaN included. Pooling is
2x2 with stride 2, no padding, floor mode: what the networks of the VGG family have.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, scratch
from nst_manual.kernels import relu
from nst_manual.kernels.masked import masked
from nst_manual.kernels.rows import BiasRow

NO_WINNER = 4  # the code of a window in which no value was positive; 0 to 3 is where the maximum was


class ReLUSink:
    """Rows of y = relu(convolution + b) (N, H, W, O), and of where it is positive, if `mask` is given."""

    multiple = 1

    def __init__(self, y: Any, b: Any, mask: Any = None) -> None:
        self.y, self.mask, self.dtype = y, mask, y.dtype
        self.bias = None if b is None else BiasRow(b, y.shape[2], y.dtype)

    def place(self, n: int, top: int, bottom: int) -> Any:
        """Return the rows of y."""
        return self.y[n, top:bottom]

    def finish(self, n: int, top: int, bottom: int, band: Any) -> None:
        """Add the bias, rectify."""
        if self.bias is not None:
            self.bias.add_to(band)
        relu.forward(band, out=band)
        if self.mask is not None:
            array_module(band).greater(band, 0, out=self.mask[n, top:bottom])


class _PoolSink:
    """What the two kinds of pooling share: rows of the convolution in scratch memory, bias and ReLU there."""

    multiple = 2

    def __init__(self, y: Any, b: Any, width: int, rectified: bool) -> None:
        self.y, self.dtype, self.rectified = y, y.dtype, rectified
        self.shape = width, y.shape[3]
        self.bias = None if b is None else BiasRow(b, width, y.dtype)

    def place(self, n: int, top: int, bottom: int) -> Any:
        """Return scratch memory for the rows."""
        return scratch("rows to pool", (bottom - top, *self.shape), self.dtype, self.y)

    def finish(self, n: int, top: int, bottom: int, band: Any) -> None:
        """Add the bias, rectify, pool."""
        if self.bias is not None:
            self.bias.add_to(band)
        if self.rectified:
            relu.forward(band, out=band)
        self.pool(n, top, bottom, band)

    def pool(self, n: int, top: int, bottom: int, band: Any) -> None:
        """Write the rows of y that the band (rows, W, O) holds."""
        raise NotImplementedError

    def windows(self, top: int, bottom: int, band: Any) -> tuple[slice, Any]:
        """Return which rows of y the band holds, and its windows (rows, 2, W / 2, 2, O), a view."""
        rows, (_, h, w, o) = slice(top // 2, min(bottom // 2, self.y.shape[1])), self.y.shape
        count = rows.stop - rows.start
        row, pixel, channel = band.strides
        strides = (2 * row, row, 2 * pixel, pixel, channel)
        view = array_module(band).lib.stride_tricks.as_strided(band, (count, 2, w, 2, o), strides)
        return rows, view


class MaxPoolSink(_PoolSink):
    """Rows of y = max-pool of relu(convolution + b), or without ReLU; codes (N, H/2, W/2, O), a byte each."""

    def __init__(self, y: Any, code: Any, b: Any, width: int, rectified: bool) -> None:
        super().__init__(y, b, width, rectified)
        self.code = code

    def pool(self, n: int, top: int, bottom: int, band: Any) -> None:
        """Write the maxima; a tie goes to the first in row-major order."""
        xp = array_module(band)
        rows, windows = self.windows(top, bottom, band)
        y, code = self.y[n, rows], self.code[n, rows]
        left, right = windows[:, :, :, 0], windows[:, :, :, 1]  # (rows, 2, W/2, O)
        wins = scratch("pool wins", left.shape, bool, band)
        xp.greater(right, left, out=wins)
        wins |= right != right  # NaN wins, the last of several
        best = scratch("pool best", left.shape, self.dtype, band)
        xp.maximum(left, right, out=best)
        upper, lower = best[:, 0], best[:, 1]
        below = (lower > upper) | (lower != lower)
        xp.maximum(upper, lower, out=y)
        # code = 2 + wins[1] where below, else wins[0]: by bits, which costs a tenth of a branch
        first, second = wins[:, 0].view(xp.uint8), wins[:, 1].view(xp.uint8) | xp.uint8(2)
        ones = xp.negative(below.view(xp.int8)).view(xp.uint8)
        xp.bitwise_xor(first, (first ^ second) & ones, out=code)
        if self.rectified:
            code |= (~(y > 0)).view(xp.uint8) << xp.uint8(2)  # NO_WINNER


class AvgPoolSink(_PoolSink):
    """Rows of y = average-pool of relu(convolution + b); a mask (N, H, W, O) of what is positive."""

    def __init__(self, y: Any, mask: Any, b: Any, width: int, rectified: bool) -> None:
        super().__init__(y, b, width, rectified)
        self.mask = mask

    def pool(self, n: int, top: int, bottom: int, band: Any) -> None:
        """Write the averages."""
        if self.rectified:
            array_module(band).greater(band, 0, out=self.mask[n, top:bottom])
        rows, windows = self.windows(top, bottom, band)
        y = self.y[n, rows]
        y[...] = windows[:, 0, :, 0]
        for a, b in ((0, 1), (1, 0), (1, 1)):
            y += windows[:, a, :, b]
        y /= 4


class ReLUSource:
    """Rows of dy where a mask is true, or where y is positive: the ReLU's way back."""

    def __init__(self, dy: Any, mask: Any = None, y: Any = None) -> None:
        self.dy = self.like = dy
        self.shape, self.dtype = dy.shape, dy.dtype
        self.mask, self.y = mask, y

    def read(self, n: int, top: int, bottom: int, out: Any) -> None:
        """Write the masked rows."""
        rows = slice(top, bottom)
        mask = self.y[n, rows] > 0 if self.mask is None else self.mask[n, rows]
        masked(self.dy[n, rows], mask, out=out)


class _UnpoolSource:
    """What the two kinds of unpooling share; `shape` (N, H, W, O) is that before pooling."""

    def __init__(self, dy: Any, shape: tuple[int, int, int, int]) -> None:
        self.dy = self.like = dy
        self.shape, self.dtype = shape, dy.dtype

    def read(self, n: int, top: int, bottom: int, out: Any) -> None:
        """Write the rows: each window's dy at its four pixels, as `spread` has it."""
        h, w = self.dy.shape[1:3]
        out[:, 2 * w :] = 0  # a last pixel without a window
        for a in (0, 1):
            # the rows 2 i + a between top and bottom
            first, last = -(-(top - a) // 2), -(-(bottom - a) // 2)
            out[max(0, 2 * h + a - top) :: 2] = 0  # a last row without a window
            rows = slice(first, min(last, h))
            for b in (0, 1):
                target = out[2 * first + a - top :: 2, b : 2 * w : 2]
                self.spread(n, rows, 2 * a + b, target[: rows.stop - rows.start])

    def spread(self, n: int, rows: slice, position: int, out: Any) -> None:
        """Write what the pixels at that position of the windows get."""
        raise NotImplementedError


class MaxUnpoolSource(_UnpoolSource):
    """Rows of dy where the maxima were, by their codes."""

    def __init__(self, dy: Any, code: Any, shape: tuple[int, int, int, int]) -> None:
        super().__init__(dy, shape)
        self.code = code

    def spread(self, n: int, rows: slice, position: int, out: Any) -> None:
        """Write dy to the pixels that were the maximum."""
        masked(self.dy[n, rows], self.code[n, rows] == position, out=out)


class AvgUnpoolSource(_UnpoolSource):
    """Rows of dy / 4, where the mask of the ReLU is true."""

    def __init__(self, dy: Any, mask: Any, shape: tuple[int, int, int, int]) -> None:
        super().__init__(dy, shape)
        self.mask = mask

    def read(self, n: int, top: int, bottom: int, out: Any) -> None:
        """Write the rows."""
        super().read(n, top, bottom, out)
        if self.mask is not None:
            masked(out, self.mask[n, top:bottom], out=out)

    def spread(self, n: int, rows: slice, position: int, out: Any) -> None:
        """Write a quarter of dy."""
        array_module(out).multiply(self.dy[n, rows], self.dtype.type(0.25), out=out)
