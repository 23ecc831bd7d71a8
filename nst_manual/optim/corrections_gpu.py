"""The product H g of L-BFGS on a GPU: `corrections.py` has the formulas, and what a processor does.

Nothing is waited for, so what a pair is judged by is not known when the work is given out. One that would be
left out gets a curvature of infinity, by which its share is 0. And launches are what counts where the vectors
are images: all pairs are judged at once, and a step of the recursion is a dot product and one kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import array_module, elementwise, in_rows, reduction

_DOT = "T x, T y", "float64 total", "(double)x * y", "a + b", "total = a", "0", "dot"
_RESTRICTED_DOT = (
    *("T x, T y, bool moves", "float64 total"),
    *("moves ? (double)x * y : 0.0", "a + b", "total = a", "0", "restricted_dot"),
)
_ADD_MULTIPLE = (
    *("T row, float64 plus, float64 minus, float64 curvature, bool moves", "T q"),
    *("if (moves) q += (T)((plus - minus) / curvature) * row", "add_multiple"),
)
# one thread goes through the pairs, from the oldest to the newest
_JUDGE = (
    "raw float64 found, raw float64 length, raw float64 square, int64 newest, int64 count, int64 history, "
    "float64 least, float64 infinity",
    "raw float64 curvature, raw float64 scale",
    """
    scale[0] = 1;
    for (long long k = 0; k < count; ++k) {
        long long row = (newest - count + 1 + k + history) % history;
        bool curves = found[row] > least * sqrt(length[row] * square[row]);
        curvature[row] = curves ? found[row] : infinity;
        if (curves) scale[0] = found[row] / square[row];
    }
    """,
    "judge",
)


def dot(a: Any, b: Any) -> Any:
    """Return the dot product of two flat arrays in float64, of no dimensions."""
    return reduction(*_DOT)(in_rows(a), in_rows(b), axis=1).sum()


def restricted(s: Any, y: Any, order: list[int], free: Any, least: float) -> tuple[Any, Any]:
    """Return curvature (history,) and scale of the pairs' parts in the free variables.

    Parameters
    ----------
    s, y : array (history, n)
    order : list of int
        Rows in use, from the oldest pair to the newest, round and round.
    free : array (n,) of bool
    least : float
        The share of |s| |y| that s . y must be above; below, the curvature is infinity.
    """
    xp, history, shape = array_module(s), len(s), in_rows(free).shape
    kernel, free = reduction(*_RESTRICTED_DOT), in_rows(free)
    s, y = s.reshape(history, *shape), y.reshape(history, *shape)
    sums = [kernel(a, b, free, axis=2).sum(axis=1) for a, b in ((s, y), (s, s), (y, y))]
    curvature, scale = xp.empty(history, xp.float64), xp.empty((), xp.float64)
    counts = np.int64(order[-1]), np.int64(len(order)), np.int64(history)
    elementwise(*_JUDGE)(*sums, *counts, np.float64(least), np.float64(np.inf), curvature, scale, size=1)
    return curvature, scale


def multiply(q: Any, s: Any, y: Any, order: list[int], curvature: Any, scale: Any, free: Any = None) -> None:
    """Replace q (n,) by H q, in place.

    Parameters
    ----------
    q : array (n,)
    s, y : array (history, n)
    order : list of int
    curvature : array (history,), or list of float
    scale : array (), or float
    free : array (n,) of bool, optional
        The variables that may move; all of them without.
    """
    moves, add = True if free is None else free, elementwise(*_ADD_MULTIPLE)
    a = {}
    for i in reversed(order):
        a[i] = dot(s[i], q)
        add(y[i], 0.0, a[i], curvature[i], moves, q)
    q *= scale.astype(q.dtype) if hasattr(scale, "astype") else scale
    for i in order:
        add(s[i], a[i], dot(y[i], q), curvature[i], moves, q)
