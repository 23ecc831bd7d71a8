"""The iteration of `nst_manual.kernels.matrix_sqrt` on a GPU, where the GPU itself decides what it needs.

When to stop scaling and when to stop is asked of each step's residual, and asking would wait for it. So the
number of steps is fixed, the decisions are numbers on the GPU, and from the step on that is the last T is I:
to multiply by it changes nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nst_manual.backend import array_module, elementwise

# Enough for a smallest eigenvalue of 1e-32 of the norm; what is below 1e-16 of it is rounding.
STEPS = 48

_DECIDE = """
double scaled = sqrt(3 / (1 + low + low * low));
scaled = scaled < LARGEST ? scaled : LARGEST;
double residual = sqrt(square);
double grown = scaled / 2 * low * (3 - scaled * scaled * low * low);
next_low = grown < 1 ? grown : 1.0;
next_previous = residual;
scaling = residual < NEAR ? 1.0 : scaled;
next_done = done;
if (done > 0) {
    scaling = 0;
} else if (residual < NEAR && (previous < SMALL || residual > previous / 2)) {
    next_done = 1;
}
"""


class Steps:
    """What the steps multiply by, one after the other.

    Parameters
    ----------
    like : array (C, C)
        Of the matrices' kind.
    smallest : array of no dimensions
        The smallest eigenvalue over the norm, 0 where it is not known.
    largest_scaling, near : float
        The constants of `matrix_sqrt`.

    Attributes
    ----------
    scaling : array of no dimensions
        a of the last `factor`; 0 for a step that changes nothing any more.
    """

    def __init__(self, like: Any, smallest: Any, largest_scaling: float, near: float) -> None:
        xp = array_module(like)
        small = math.sqrt(float(np.finfo(like.dtype).eps)) / 10
        operation = _DECIDE
        for name, value in (("LARGEST", largest_scaling), ("NEAR", near), ("SMALL", small)):
            operation = operation.replace(name, repr(value))
        self.identity = xp.eye(len(like), dtype=like.dtype)
        self.scaling: Any = None
        self._decide = elementwise(
            "float64 square, float64 low, float64 previous, float64 done",
            "float64 scaling, float64 next_low, float64 next_previous, float64 next_done",
            operation,
            "square_root_decide",
        )
        low = xp.where(smallest > 0, xp.sqrt(xp.minimum(smallest, 1.0)), 1.0)
        self._state = low, xp.full((), xp.inf), xp.zeros(())

    def factor(self, p: Any) -> Any:
        """Return T = a/2 (3 I - a^2 P) for the P that becomes I, or I where the last step has been."""
        apart = p - self.identity
        self.scaling, *self._state = self._decide((apart * apart).sum(dtype="float64"), *self._state)
        kernel = elementwise(
            "T p, T one, float64 a",
            "T t",
            "t = a > 0 ? (T)(a / 2 * (3 * one - a * a * p)) : one",
            "square_root_factor",
        )
        return kernel(p, self.identity, self.scaling)

    def valid(self) -> Any:
        """Return 1 if the iteration has come to its end, else NaN; of no dimensions."""
        done = self._state[2]
        return done / done


def forward(a: Any, smallest: float, largest_scaling: float, near: float) -> tuple[Any, Any]:
    """Return the square root of A (C, C) and its inverse, as `matrix_sqrt.forward` does."""
    xp = array_module(a)
    size = _norm(a)
    steps = Steps(a, smallest / size, largest_scaling, near)
    y, z = a / size.astype(a.dtype), steps.identity
    for _ in range(STEPS):
        t = steps.factor(xp.matmul(z, y))
        y, z = xp.matmul(y, t), xp.matmul(t, z)
    root = xp.sqrt(size) * steps.valid()
    return y * root.astype(a.dtype), z / root.astype(a.dtype)


def input_gradient(root: Any, droot: Any, smallest: float, largest_scaling: float, near: float) -> Any:
    """Return dA (C, C), as `matrix_sqrt.input_gradient` does."""
    xp = array_module(root)
    size = _norm(root)
    steps = Steps(root, smallest / size**2, largest_scaling, near)
    size = size.astype(root.dtype)
    y, e = root / size, droot / size
    for _ in range(STEPS):
        t = steps.factor(xp.matmul(y, y))
        commutator = xp.matmul(y, e) - xp.matmul(e, y)
        cubed = (steps.scaling**3 / 2).astype(root.dtype)
        e = xp.matmul(e, t) - cubed * xp.matmul(y, commutator)
        y = xp.matmul(y, t)
    return e * (steps.valid() / 2).astype(root.dtype)


def _norm(a: Any) -> Any:
    """Return the Frobenius norm, 1 where it is 0; of no dimensions."""
    xp = array_module(a)
    size = xp.sqrt((a * a).sum(dtype="float64"))
    return xp.where(size > 0, size, 1.0)
