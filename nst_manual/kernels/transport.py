"""Optimal transport on a line: sorted values go to sorted values.

    v (K, M)  K sets of M values        t (K, Q)  K sets of Q values, ascending, each for 1/Q of the mass

    cost_k = sum_i (v_k,(i) - T_k,i)^2          v_(i) the i-th smallest, T_i the mean of t over the i-th
    d cost_k / d v_k,(i) = 2 (v_k,(i) - T_k,i)  of M equal shares

Among all ways to pair values of the one set with values of the other, pairing them in order costs least, with
squared distances: cost / M is the squared Wasserstein-2 distance of the two sets where M = Q. Where they
have different numbers, T_i is the mean of what the i-th value is paired with, and the distance is cost / M
plus the variance of t within the shares, which no v can do anything about and which is left out: the cost of
what already has the target's distribution, as well as M values can, is 0.

F. Santambrogio, "Optimal transport for applied mathematicians" (2015), proposition 2.17. The order is held
constant in the derivative, which is exact almost everywhere: it changes where two values are equal, and there
the cost is continuous. Equal values are ordered as they stand; complex ones by their real parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import array_module
from nst_manual.errors import ShapeError
from nst_manual.kernels.bands import bands, run

# Values of a band, which are sorted together: they stay in the cache. On a GPU a few dozen bytes are taken
# for each while they are sorted.
BAND_VALUES = 2**18
GPU_VALUES = 2**24


def forward(values: Any, target: Any, *, out: Any = None) -> tuple[Any, Any]:
    """Return (cost (K,), displacement (K, M)): sums of squares of v - T in double precision, and v - T.

    Parameters
    ----------
    values : array (K, M)
    target : array (K, Q)
        Ascending along Q.
    out : array (K, M), optional
        For the displacement; `values` itself may be given. Half the gradient of the cost's sum.

    Raises
    ------
    ShapeError
        Another number of sets.
    """
    xp = array_module(values)
    if values.ndim != 2 or target.ndim != 2 or values.shape[0] != target.shape[0]:
        cause = f"expected values (K, M) and target (K, Q), got {values.shape} and {target.shape}"
        raise ShapeError("transport", cause)
    sets, count = values.shape
    moved = xp.empty(values.shape, values.dtype) if out is None else out
    cost = xp.empty(sets, xp.result_type(values.dtype, xp.float64))
    ends = _ends(target, count)

    def band(rows: slice) -> None:
        part = xp.ascontiguousarray(values[rows])
        index = order(part)
        index += xp.arange(part.shape[0])[:, None] * count  # into the band as one row
        difference = part.ravel()[index]
        difference -= _means(target[rows], ends)
        moved_part = xp.empty_like(part)
        moved_part.ravel()[index] = difference
        moved[rows] = moved_part
        difference *= difference
        cost[rows] = difference.sum(axis=1, dtype=cost.dtype)

    sets_of_band, sets_on_gpu = (max(1, limit // max(1, count)) for limit in (BAND_VALUES, GPU_VALUES))
    run(band, ((rows,) for rows in bands(values, sets, sets_of_band, sets_on_gpu)), values)
    return cost, moved


def order(values: Any) -> Any:
    """Return the indices (K, M) that sort each row by the real part, equal ones as they stand."""
    xp = array_module(values)
    keys = values.real
    if xp is np and keys.dtype == np.float32 and keys.shape[-1] < 2**32:
        return _order_float32(keys)
    return xp.argsort(keys, axis=-1, kind="stable")


def _order_float32(keys: np.ndarray) -> np.ndarray:
    """Return what a stable argsort does, eight times as fast on a processor.

    A float's bits, those of a negative one inverted, are ordered as the floats are. With the index behind
    them they make integers of 64 bits no two of which are equal, and those NumPy sorts fast in any way.
    """
    bits = (keys + np.float32(0)).view(np.int32)  # -0 becomes 0, which it is equal to
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)
    packed = bits.astype(np.int64)
    packed <<= 32
    packed |= np.arange(keys.shape[-1])
    packed.sort(axis=-1)
    packed &= 0xFFFFFFFF
    return packed


def shares(ascending: Any, count: int) -> Any:
    """Return the means (K, count) of ascending values (K, Q) over that many equal shares of the mass.

    The values themselves where count is Q.
    """
    return _means(ascending, _ends(ascending, count))


def _ends(ascending: Any, count: int) -> tuple[Any, Any]:
    """Return where each share ends, in values: so many whole ones, and a part of the next; both (count + 1,).

    At the very end all but the last are whole ones, and the part is 1.
    """
    given = ascending.shape[1]
    ends = array_module(ascending).arange(count + 1) * given
    whole = ends // count
    whole[-1] = given - 1
    return whole, (ends - whole * count) / count


def _means(ascending: Any, ends: tuple[Any, Any]) -> Any:
    """Return the means between the ends: differences of the values' integral, which is linear in between."""
    xp = array_module(ascending)
    given, (whole, part) = ascending.shape[1], ends
    if len(whole) == given + 1:
        return ascending
    integral = xp.zeros((ascending.shape[0], given), xp.result_type(ascending.dtype, xp.float64))
    xp.cumsum(ascending[:, :-1], axis=1, dtype=integral.dtype, out=integral[:, 1:])
    reached = xp.take(ascending, whole, axis=1) * part
    reached += xp.take(integral, whole, axis=1)
    means = reached[:, 1:] - reached[:, :-1]
    means *= (len(whole) - 1) / given
    return means.astype(ascending.dtype, copy=False)


def blend(targets: list, weights: list[float]) -> Any:
    """Return the mean (K, Q) of targets (K, Q_i) with those weights, which sum to 1.

    The mean of quantiles is what lies between distributions as transport has it: their Wasserstein
    barycentre on a line. Q is the largest of them.
    """
    count = max(target.shape[1] for target in targets)
    return sum(weight * shares(target, count) for target, weight in zip(targets, weights, strict=True))


def by_positions(rows: Any, shape: tuple[int, ...]) -> Any:
    """Return rows (N, K, H W) as a view of that shape, (N, H, W, K)."""
    return rows.transpose(0, 2, 1).reshape(shape)
