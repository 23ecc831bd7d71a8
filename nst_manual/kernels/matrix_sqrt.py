"""Square root of a symmetric positive definite matrix by Newton-Schulz iteration, and its backward pass.

    forward        Q = A^1/2, and R = A^-1/2 beside it
    input_gradient dA from dQ:  Q dA + dA Q = dQ           since Q^2 = A gives  Q dQ + dQ Q = dA  forward

N. Higham, "Stable iterations for the matrix square root" (1997), the coupled form; T.-Y. Lin,
S. Maji, "Improved bilinear pooling with CNNs" (BMVC 2017), for the way back: the solution of the
Lyapunov equation, by the same iteration. With s = ||A||_F, Y = A / s and Z = I,

    T = a/2 (3 I - a^2 Z Y)     Y <- Y T     Z <- T Z      Y -> (A / s)^1/2,  Z -> (A / s)^-1/2

Products of matrices and nothing else: processors and GPUs are good at those, and a complex step passes.
Each eigenvalue y of Y goes to 1 (as a part of what it should be) by y <- a/2 y (3 - a^2 y^2), small ones by
only 3/2 a step with a = 1, as in those papers; hence a > 1 as long as small ones are expected: L. Chen,
E. Chow, "A stable scaling of Newton-Schulz for improving the sign function computation of a Hermitian matrix"
(2014), of which the recursion in `scalings` is. The square root is the same for every a.

Differs from Lin and Maji in the number of steps: theirs is fixed and small, and their result is not the
square root. Here the iteration goes on until rounding ends it, so that the gradient of the square root is
the gradient of what was computed. A GPU that is not to be waited for makes the same decisions by itself, and
always the same number of steps (`kernels.cuda.square_root`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nst_manual.backend import array_module, on_gpu
from nst_manual.errors import ShapeError
from nst_manual.kernels.cuda import square_root
from nst_manual.kernels.rows import band_slices
from nst_manual.threads import parallel

STEPS = 120
# A residual below which the iteration converges quadratically, and needs no scaling.
NEAR = 0.1
# Rows of a product that one thread computes.
BAND_ROWS = 128
# With a above this, the largest eigenvalues would be thrown down to where the smallest are (Chen and Chow).
LARGEST_SCALING = 1.69770248525577


def forward(a: Any, smallest: float = 0.0) -> tuple[Any, Any]:
    """Return the square root of A (C, C) and its inverse.

    Parameters
    ----------
    a : array (C, C)
        Symmetric, positive definite. Of a complex one, the real part has to be.
    smallest : float
        A lower bound of the eigenvalues where one is known, else 0: it spares steps, up to half of them; the
        result is the same.

    Returns
    -------
    root, inverse : array (C, C)
        Filled with NaN where the iteration does not converge: A is not positive definite, or not finite.
        Rounding leaves an error of about eps sqrt(k) relative to the norm of the root, and eps k to that of
        the inverse, k being the quotient of the largest eigenvalue of A and the smallest.

    Raises
    ------
    ShapeError
        A is not a square matrix.
    """
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ShapeError("matrix square root", f"expected a square matrix, got shape {a.shape}")
    if on_gpu(a):
        return square_root.forward(a, smallest, LARGEST_SCALING, NEAR)
    size = _norm(a)
    y, z = a / (size or 1.0), _identity(a)
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges is told by what it returns
        for step in _steps(smallest / (size or 1.0)):
            t = step.factor(product(z, y))
            y, z = product(y, t), product(t, z)
            if step.last:
                return y * math.sqrt(size), z / math.sqrt(size)
    return y * math.nan, z * math.nan


def input_gradient(root: Any, droot: Any, smallest: float = 0.0) -> Any:
    """Return dA (C, C), the solution of Q dA + dA Q = dQ.

    Parameters
    ----------
    root : array (C, C)
        Q, as `forward` has returned it.
    droot : array (C, C)
        dQ, the gradient with respect to each entry of Q.
    smallest : float
        As of `forward`, of the same A.

    Notes
    -----
    The solution is half the upper right block of the sign of ((Q, dQ), (0, -Q)), and these are the blocks of
    Newton's iteration for the sign, with S = ((Y, E), (0, -Y)) and S <- a/2 S (3 I - a^2 S^2).
    """
    if droot.shape != root.shape:
        raise ShapeError("matrix square root, upstream gradient", f"expected {root.shape}, got {droot.shape}")
    if on_gpu(root):
        return square_root.input_gradient(root, droot, smallest, LARGEST_SCALING, NEAR)
    size = _norm(root)
    y, e = root / (size or 1.0), droot / (size or 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in _steps(smallest / (size or 1.0) ** 2):
            t = step.factor(product(y, y))
            commutator = product(y, e) - product(e, y)
            e = product(e, t) - step.scaling**3 / 2 * product(y, commutator)
            y = product(y, t)
            if step.last:
                return e / 2
    return e * math.nan


def scalings(smallest: float) -> Iterator[float]:
    """Yield a of each step, for eigenvalues of Y between sqrt(smallest) and 1; it goes to 1 as they do."""
    low = math.sqrt(smallest)
    while True:
        a = min(LARGEST_SCALING, math.sqrt(3 / (1 + low + low**2)))
        yield a
        low = min(1.0, a / 2 * low * (3 - a**2 * low**2))


class _Step:
    """What a step multiplies by, and whether it is the last."""

    def __init__(self, scaling: float, previous: float) -> None:
        self.scaling, self.previous = scaling, previous
        self.residual, self.last = math.inf, False

    def factor(self, p: Any) -> Any:
        """Return T = a/2 (3 I - a^2 P) for the P that becomes I.

        With a = 1 and a small residual r = ||P - I||, the next is 3/4 r^2: from below the square root of eps,
        one step makes it all that rounding lets it be. One more does the same to the derivative, which comes
        after: a complex step is then as exact. Where rounding keeps r above, it ends when r shrinks no more.
        """
        identity = _identity(p)
        self.residual = _norm(p - identity)
        if self.residual < NEAR:
            self.scaling = 1.0
            small = math.sqrt(float(np.finfo(p.dtype).eps)) / 10
            self.last = self.previous < small or self.residual > self.previous / 2
        return self.scaling / 2 * (3 * identity - self.scaling**2 * p)


def _steps(smallest: float) -> Iterator[_Step]:
    """Yield the steps for a matrix whose eigenvalues, as parts of its norm, are said to be above smallest."""
    residual = math.inf
    for _, scaling in zip(range(STEPS), scalings(min(1.0, smallest) or 1.0), strict=False):
        step = _Step(scaling, residual)
        yield step
        residual = step.residual


def product(a: Any, b: Any) -> Any:
    """Return A B, computed in bands of rows by several threads."""
    xp = array_module(a)
    if len(a) <= BAND_ROWS or on_gpu(a):
        return xp.matmul(a, b)
    out = xp.empty(a.shape, xp.result_type(a, b))

    def band(rows: slice) -> None:
        xp.matmul(a[rows], b, out=out[rows])

    parallel(band, ((rows,) for rows in band_slices(a.shape[0], BAND_ROWS)))
    return out


def _identity(a: Any) -> Any:
    return array_module(a).eye(a.shape[0], dtype=a.dtype)


def _norm(a: Any) -> float:
    """Return the Frobenius norm of the real part, which is at least the largest eigenvalue."""
    return math.sqrt(float((a.real**2).sum(dtype="float64")))
