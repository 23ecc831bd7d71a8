"""What L-BFGS remembers: the last steps and the changes of the gradient along them.

s = x' - x,   y = g' - g,   r = 1 / (s . y)          a pair for each of the last iterations, i = newest first

H g, the product of the inverse Hessian that these pairs stand for with a vector, without the matrix
(J. Nocedal, S. Wright, Numerical Optimization, 2nd edition, algorithm 7.4 and equation 7.20):

    q = g
    newest to oldest:   a_i = r_i s_i . q         q = q - a_i y_i
    q = (s . y) / (y . y) q                       of the newest pair
    oldest to newest:   b = r_i y_i . q           q = q + (a_i - b) s_i

On a GPU the dot products stay there, as arrays of no dimensions: the host gives out the work of the whole
product and waits for none of it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nst_manual.backend import array_module, numbers, on_gpu
from nst_manual.errors import UsageError
from nst_manual.optim import corrections_gpu

# A float32 sum of a million products is wrong in the sixth digit. So many at a time are summed by BLAS in
# float32, and their sums in float64: seven digits, in a quarter of the time of a copy in float64.
BLOCK = 65536

# Sums below this may have lost terms to underflow in float32.
SMALLEST = 1e-25

# s . y must be above this share of |s| |y|: a direction without curvature, or with rounding for curvature,
# would make H indefinite or huge.
LEAST_CURVATURE = 1e-8


def dot(a: Any, b: Any) -> Any:
    """Return the dot product of two flat arrays, summed in float64: a float, on a GPU an array () of it."""
    if on_gpu(a):
        return corrections_gpu.dot(a, b)
    with np.errstate(over="ignore", invalid="ignore"):
        total = sum(float(a[i : i + BLOCK].dot(b[i : i + BLOCK])) for i in range(0, a.size, BLOCK))
    if SMALLEST < abs(total) < math.inf:
        return total
    # squares leave the range of float32 where the weights of the losses are extreme
    return float(a.astype(np.float64).dot(b.astype(np.float64)))


def products(s: Any, y: Any) -> list[Any]:
    """Return s . y, s . s and y . y: what a pair is judged by."""
    return [dot(s, y), dot(s, s), dot(y, y)]


def multiply_by(array: Any, factor: Any) -> None:
    """Multiply in place by a number; one of a GPU is an array, whose type must not become the array's."""
    array *= factor.astype(array.dtype) if on_gpu(factor) else factor


class Corrections:
    """The pairs, in two arrays that are written round and round.

    Parameters
    ----------
    history : int
        How many pairs are kept.
    like : array (n,)
        Gives length, type and place (NumPy or CuPy).

    Attributes
    ----------
    s, y : array (history, n)
    order : list of int
        Rows in use, from the oldest pair to the newest.
    curvature : list of float
        s . y of each row.
    scale : float
        (s . y) / (y . y) of the newest pair.
    """

    def __init__(self, history: int, like: Any) -> None:
        xp = array_module(like)
        # zeros take no memory before they are written: a short run with a long history costs what it uses
        # (on a GPU all of it, from the beginning)
        self.s = xp.zeros((history, like.size), like.dtype)
        self.y = xp.zeros((history, like.size), like.dtype)
        self.order: list[int] = []
        self.curvature = [0.0] * history
        self.scale = 1.0
        self._scratch = xp.empty_like(like)

    def __len__(self) -> int:
        return len(self.order)

    def clear(self) -> None:
        """Forget all pairs."""
        self.order = []

    def add(self, s: Any, y: Any, known: list[float] | None = None) -> bool:
        """Remember a pair in the place of the oldest one; refuse one without positive curvature.

        Its `products` may be known already; on a GPU they are waited for if they are not.
        """
        curvature, length, square = known or numbers(products(s, y))
        if not curvature > LEAST_CURVATURE * math.sqrt(length * square):
            return False
        row = self.order.pop(0) if len(self.order) == len(self.s) else len(self.order)
        self.s[row], self.y[row] = s, y
        self.curvature[row], self.scale = curvature, curvature / square
        self.order.append(row)
        return True

    def multiply(self, q: Any, free: Any = None) -> None:
        """Replace q (n,) by H q, in place; without pairs H is the identity.

        Parameters
        ----------
        q : array (n,)
        free : array (n,) of bool, optional
            The variables that may move. H is then that of the pairs' parts in them (pairs whose parts have no
            positive curvature are left out), and q, which is zero in the others, stays so there.
        """
        if on_gpu(q):
            self._multiply_on_gpu(q, free)
            return
        order, curvature, scale = self.order, self.curvature, self.scale
        if free is not None:
            order, curvature, scale = self._restricted(free)
        if not order:
            return
        a = {}
        for i in reversed(order):
            a[i] = dot(self.s[i], q) / curvature[i]
            self._add_multiple(q, -a[i], self.y[i], free)
        q *= scale
        for i in order:
            b = dot(self.y[i], q) / curvature[i]
            self._add_multiple(q, a[i] - b, self.s[i], free)

    def _multiply_on_gpu(self, q: Any, free: Any) -> None:
        if not self.order:
            return
        curvature, scale = self.curvature, self.scale
        if free is not None:
            least = LEAST_CURVATURE
            curvature, scale = corrections_gpu.restricted(self.s, self.y, self.order, free, least)
        corrections_gpu.multiply(q, self.s, self.y, self.order, curvature, scale, free)

    def _restricted(self, free: Any) -> tuple[list[int], dict[int, float], float]:
        """Return order, curvature and scale of the pairs' parts in the free variables."""
        curvature, scale = {}, 1.0
        part = self._scratch
        for i in self.order:
            np.multiply(self.s[i], free, out=part)
            found, length = dot(part, self.y[i]), dot(part, part)
            np.multiply(self.y[i], free, out=part)
            square = dot(part, part)
            if found > LEAST_CURVATURE * math.sqrt(length * square):
                curvature[i], scale = found, found / square
        return list(curvature), curvature, scale

    def _add_multiple(self, q: Any, factor: float, row: Any, free: Any = None) -> None:
        """Add factor * row to q without allocating, where it is free."""
        np.multiply(row, factor, out=self._scratch)
        if free is not None:
            self._scratch *= free
        q += self._scratch

    def state(self) -> dict[str, Any]:
        """Return a copy of the pairs, from the oldest to the newest."""
        xp, count = array_module(self.s), len(self.order)
        oldest = self.order[0] if count else 0
        # round and round: behind the newest row is the oldest, once all are in use
        s, y = (xp.concatenate((rows[oldest:count], rows[:oldest])) for rows in (self.s, self.y))
        return {"s": s, "y": y}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember the pairs of a state; there must be none yet."""
        count = len(state["s"])
        if count > len(self.s):
            raise UsageError("L-BFGS", f"the state has {count} corrections, and {len(self.s)} are kept")
        for s, y in zip(state["s"], state["y"], strict=True):
            self.add(s, y)
