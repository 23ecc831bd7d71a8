"""Sums over the positions of a layer: mean and variance of the channels, and sums over cells of s x s.

    m[n, c]     = 1 / M sum over i, j of x[n, i, j, c]                    (N, C), M = H W
    v[n, c]     = 1 / M sum over i, j of (x[n, i, j, c] - m[n, c])^2      (N, C)
    dx[n, i, j] = (dm + 2 dv (x[n, i, j] - m)) / M                       through m, v adds nothing: a sum of 0

    y[n, i, j]  = sum over u, v < s of x[n, s i + u, s j + v]             a cell at the end sums what is there
    dx[n, i, j] = dy[n, i // s, j // s]                                  its adjoint: upsampling by repetition

The variance is that of all positions (over M, not M - 1), and is made from the differences to the mean: the
mean square less the squared mean would cancel in float32. For the same reason the mean is made twice, of x
and of what is left when the first is taken away: of a channel that is the same everywhere, nothing. Both are
summed in bands of rows, and the bands in order and in double precision: the result does not depend on how
many threads there are, and is as exact for large pictures as for small ones. On a GPU each is one sum, in
double precision.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, on_gpu, scratch
from nst_manual.kernels.bands import bands, run
from nst_manual.kernels.cuda import pointwise, sums

BAND_VALUES = 2**17


def mean(x: Any) -> Any:
    """Return m (N, C) for x (N, H, W, C)."""
    if on_gpu(x):
        return (x.sum(axis=(1, 2), dtype="float64") / (x.shape[1] * x.shape[2])).astype(x.dtype)
    rough = _mean_of(x, lambda part: part)
    return rough + _mean_of(x, lambda part: _difference(part, rough))


def forward(x: Any) -> tuple[Any, Any]:
    """Return m and v, each (N, C), for x (N, H, W, C)."""
    m = mean(x)
    if on_gpu(x):
        squares = sums.squared_difference(x, m[:, None, None], axis=(1, 2))
        return m, (squares / (x.shape[1] * x.shape[2])).astype(x.dtype)

    def squared(part: Any) -> Any:
        difference = _difference(part, m)
        difference *= difference
        return difference

    return m, _mean_of(x, squared)


def input_gradient(x: Any, m: Any, dm: Any, dv: Any, *, out: Any) -> None:
    """Add dx to out (N, H, W, C), for dm and dv (N, C) and the m of `forward`."""
    positions = x.shape[1] * x.shape[2]
    slope = (dv * (2 / positions)).astype(out.dtype)[:, None, None]
    level = (dm * (1 / positions)).astype(out.dtype)[:, None, None]
    if on_gpu(x):
        pointwise.add_slope(x, m[:, None, None], slope, level, out=out)
        return

    def band(rows: slice) -> None:
        difference = _difference(x[:, rows], m)
        difference *= slope
        difference += level
        out[:, rows] += difference

    run(band, ((rows,) for rows in _bands(x)), x)


def cell_sums(x: Any, s: int, *, out: Any = None) -> Any:
    """Return y (N, ceil(H / s), ceil(W / s), C) for x (N, H, W, C)."""
    n, h, w, c = x.shape
    y = array_module(x).empty((n, -(-h // s), -(-w // s), c), x.dtype) if out is None else out

    def band(cells: slice) -> None:
        part, cell = x[:, cells.start * s : cells.stop * s], y[:, cells]
        cell[...] = 0
        for u in range(min(s, part.shape[1])):
            for v in range(min(s, part.shape[2])):
                there = part[:, u::s, v::s]
                cell[:, : there.shape[1], : there.shape[2]] += there

    run(band, ((cells,) for cells in _bands(y)), y)
    return y


def add_to_cells(dy: Any, s: int, *, out: Any) -> None:
    """Add to out (N, H, W, C) the dy (N, h, w, C) of the cell that each position is in; beyond, nothing."""

    def band(cells: slice) -> None:
        part, rows = out[:, cells.start * s : cells.stop * s], dy[:, cells]
        for u in range(min(s, part.shape[1])):
            for v in range(min(s, part.shape[2])):
                there = part[:, u::s, v : dy.shape[2] * s : s]
                there += rows[:, : there.shape[1], : there.shape[2]]

    run(band, ((cells,) for cells in _bands(dy)), dy)


def _mean_of(x: Any, function: Any) -> Any:
    """Return the mean (N, C) of function(rows of x) over all positions."""
    xp = array_module(x)
    slices = _bands(x)
    double = xp.complex128 if x.dtype.kind == "c" else xp.float64
    parts = xp.empty((len(slices), x.shape[0], x.shape[3]), double)

    def band(index: int, rows: slice) -> None:
        part = function(x[:, rows])
        part = part.reshape(part.shape[0], -1, part.shape[3])  # (N, P, C)
        # a product with ones: several times as fast as a sum over the first of two axes
        parts[index] = xp.matmul(xp.ones((1, part.shape[1]), x.dtype), part)[:, 0]

    run(band, enumerate(slices), x)
    return (parts.sum(axis=0) / (x.shape[1] * x.shape[2])).astype(x.dtype)


def _difference(part: Any, m: Any) -> Any:
    """Return rows of x less the means, in scratch memory."""
    difference = scratch("difference to the mean", part.shape, part.dtype, part)
    return array_module(part).subtract(part, m[:, None, None], out=difference)


def _bands(x: Any) -> list[slice]:
    return bands(x, x.shape[1], max(1, BAND_VALUES // (x.shape[0] * x.shape[2] * x.shape[3])))
