"""ReLU and 2x2 pooling as a convolution's rows pass by, in cache: forward as sinks, backward as sources.

    forward    y = pool(relu(convolution + b))        only y is stored, and what the way back has to know:
                                                      ReLU a byte a value (none where y itself is kept),
                                                      max-pool a byte a window
    backward   dy at the convolution = dy unpooled where the maximum was, 0 where the value was not positive

Answers are those of `relu`, `max_pool` and `avg_pool` one after the other, ties and NaN included. Pooling is
2x2 with stride 2, no padding, floor mode: what the networks of the VGG family have.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, scratch
from nst_manual.kernels.masked import masked
from nst_manual.kernels.rows import BiasRow
from nst_manual.kernels.tiles import scatter

NO_WINNER = 4  # the code of a window in which no value was positive; 0 to 3 is where the maximum was


class ReLUSink:
    """Rows of y = relu(convolution + b) (N, H, W, O), and of where it is positive, if `mask` is given."""

    multiple = 1

    def __init__(self, y: Any, b: Any, mask: Any = None) -> None:
        self.y, self.mask, self.dtype = y, mask, y.dtype
        self.bias = _bias(y, b, y.shape[2])

    def place(self, n: int, top: int, bottom: int) -> Any:
        """Return the rows of y."""
        return self.y[n, top:bottom]

    def finish(self, n: int, top: int, bottom: int, band: Any) -> None:
        """Add the bias, rectify."""
        self.bias.add_to(band)
        self.bias.rectify(band)
        if self.mask is not None:
            array_module(band).greater(band, 0, out=self.mask[n, top:bottom])


class _PoolSink:
    """What the two kinds of pooling share: a band, as rows in scratch memory or as tiles; bias and ReLU.

    Parameters
    ----------
    y : array (N, H / 2, W / 2, O)
    kept : array
        What the way back has to know.
    b : array (O,) or None
    width : int
        W.
    rectified : bool
        Whether there is a ReLU before the pooling.
    """

    multiple = 2

    def __init__(self, y: Any, kept: Any, b: Any, width: int, rectified: bool) -> None:
        self.y, self.kept, self.dtype, self.rectified = y, kept, y.dtype, rectified
        self.shape = width, y.shape[3]
        self.bias = _bias(y, b, width)

    def place(self, n: int, top: int, bottom: int) -> Any:
        """Return scratch memory for the rows."""
        return scratch("rows to pool", (bottom - top, *self.shape), self.dtype, self.y)

    def finish(self, n: int, top: int, bottom: int, band: Any) -> None:
        """Add the bias, rectify, pool the band (rows, W, O)."""
        self._before(band)
        rows = self._rows(top, bottom)
        down, across = 2 * (rows.stop - rows.start), 2 * self.y.shape[2]
        quads = [band[a:down:2, b:across:2] for a in (0, 1) for b in (0, 1)]  # (rows / 2, W / 2, O)
        self.pool_rows(n, top, bottom, rows, band, quads)

    def take_tiles(self, n: int, top: int, bottom: int, tiles: Any) -> None:
        """Add the bias, rectify, pool the band as tiles (4, 4, rows, across, O), of contiguous planes."""
        self._before(tiles)
        quads = [tiles[a::2, b::2] for a in (0, 1) for b in (0, 1)]  # (2, 2, rows, across, O)
        self.pool_tiles(n, top, bottom, self._rows(top, bottom), tiles, quads)

    def _before(self, band: Any) -> None:
        self.bias.add_to(band)
        if self.rectified:
            self.bias.rectify(band)

    def _rows(self, top: int, bottom: int) -> slice:
        """Return the rows of y that come of a band."""
        return slice(top // 2, min(bottom // 2, self.y.shape[1]))


class MaxPoolSink(_PoolSink):
    """Rows of y = max-pool of relu(convolution + b), or without ReLU; `kept` are codes (N, H/2, W/2, O)."""

    def pool_rows(self, n: int, top: int, bottom: int, rows: slice, band: Any, quads: list) -> None:
        """Pool a band of rows."""
        self._maximum(quads, self.y[n, rows], self.kept[n, rows])

    def pool_tiles(self, n: int, top: int, bottom: int, rows: slice, tiles: Any, quads: list) -> None:
        """Pool a band of tiles."""
        shape = quads[0].shape
        y, code = scratch("pooled", shape, self.dtype, tiles), scratch("codes", shape, "uint8", tiles)
        self._maximum(quads, y, code)
        scatter(y, self.y[n, rows])
        scatter(code, self.kept[n, rows])

    def _maximum(self, quads: list, y: Any, code: Any) -> None:
        """Write maxima and codes of the windows' four pixels; a tie goes to the first, NaN wins."""
        xp = array_module(y)
        shape = y.shape
        upper, lower = (scratch(f"{row} maxima", shape, self.dtype, y) for row in ("upper", "lower"))
        first, second, below = (scratch(f"{row} wins", shape, bool, y) for row in ("upper", "lower", "row"))
        # with ReLU, a window with NaN has no winner whatever these say
        _larger(quads[0], quads[1], upper, first, nan=not self.rectified)
        _larger(quads[2], quads[3], lower, second, nan=not self.rectified)
        _larger(upper, lower, y, below, nan=not self.rectified)
        # code = 2 + second where below, else first: by bits, which costs a tenth of a branch
        first, second, below = (wins.view(xp.uint8) for wins in (first, second, below))
        second |= xp.uint8(2)
        second ^= first
        second &= xp.negative(below.view(xp.int8), out=below.view(xp.int8)).view(xp.uint8)
        xp.bitwise_xor(first, second, out=code)
        if self.rectified:  # NO_WINNER where no value is positive, NaN included
            none = xp.logical_not(xp.greater(y, 0, out=below.view(bool)), out=below.view(bool)).view(xp.uint8)
            code |= xp.multiply(none, xp.uint8(NO_WINNER), out=none)


class AvgPoolSink(_PoolSink):
    """Rows of y = average-pool of relu(convolution + b); `kept` is where it is positive (N, H, W, O)."""

    def pool_rows(self, n: int, top: int, bottom: int, rows: slice, band: Any, quads: list) -> None:
        """Pool a band of rows."""
        if self.rectified:
            array_module(band).greater(band, 0, out=self.kept[n, top:bottom])
        self._average(quads, self.y[n, rows])

    def pool_tiles(self, n: int, top: int, bottom: int, rows: slice, tiles: Any, quads: list) -> None:
        """Pool a band of tiles."""
        if self.rectified:
            mask = scratch("tile mask", tiles.shape, bool, tiles)
            scatter(array_module(tiles).greater(tiles, 0, out=mask), self.kept[n, top:bottom])
        y = scratch("pooled", quads[0].shape, self.dtype, tiles)
        self._average(quads, y)
        scatter(y, self.y[n, rows])

    def _average(self, quads: list, y: Any) -> None:
        """Write the averages of the windows' four pixels."""
        y[...] = quads[0]
        for quad in quads[1:]:
            y += quad
        y /= 4


def _larger(a: Any, b: Any, out: Any, wins: Any, nan: bool = True) -> None:
    """Write max(a, b), and whether b wins: being larger, or NaN if that is to be looked for."""
    xp = array_module(a)
    xp.greater(b.real, a.real, out=wins)
    if nan:
        xp.logical_or(wins, xp.not_equal(b, b, out=scratch("nan", wins.shape, bool, a)), out=wins)
    if a.dtype.kind == "c":  # goes by its real part, for a complex step
        out[...] = xp.where(wins, b, a)
    else:
        xp.maximum(a, b, out=out)


def _bias(y: Any, b: Any, width: int) -> BiasRow:
    """Return the bias for rows of that width, zeros where there is none: ReLU wants a row of zeros anyway."""
    return BiasRow(array_module(y).zeros(y.shape[3]) if b is None else b, width, y.dtype)


class ReLUSource:
    """Rows of dy where a mask is true, or where y is positive: the ReLU's way back."""

    def __init__(self, dy: Any, mask: Any = None, y: Any = None) -> None:
        self.dy = self.like = dy
        self.shape, self.dtype = dy.shape, dy.dtype
        self.mask, self.y = mask, y

    def read(self, n: int, top: int, bottom: int, out: Any) -> None:
        """Write the masked rows."""
        rows = slice(top, bottom)
        if self.mask is None:
            mask = scratch("mask", out.shape, bool, out)
            array_module(out).greater(self.y[n, rows], 0, out=mask)
        else:
            mask = self.mask[n, rows]
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
        here = scratch("mask", out.shape, bool, out)
        array_module(out).equal(self.code[n, rows], position, out=here)
        masked(self.dy[n, rows], here, out=out)


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
