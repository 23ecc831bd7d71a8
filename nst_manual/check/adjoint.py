"""The adjoint identity: for a linear A, backward is A', and <A x, y> = <x, A' y> for any x and y.

One pair of random arrays sees every coefficient at once, at any size, exactly but for rounding: there is no
step that would have to be chosen. J. Claerbout, "Earth soundings analysis: processing versus inversion"
(1992), calls it the dot-product test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nst_manual.check.report import Check, judged
from nst_manual.check.subject import Subject

# Sums of n terms in any order round off by some of eps times what the absolute values sum up to; a wrong
# coefficient shows far above.
ROUNDING = 50
Linear = Callable[[np.ndarray], np.ndarray]


def adjoint_identity(
    forward: Linear,
    adjoint: Linear,
    x: np.ndarray,
    y: np.ndarray,
    *,
    magnitude: Linear | None = None,
    name: str = "adjoint",
    rounding: float = 1.0,
) -> Check:
    """Check that `adjoint` is the adjoint of the linear `forward`.

    Parameters
    ----------
    forward, adjoint : callable
        x -> A x and y -> A' y. Without a bias, or with that taken off.
    x, y : array
        Random numbers, shaped as what goes in and what comes out.
    magnitude : callable, optional
        A with the absolute values of its coefficients. What it makes of |x|, times |y|, is the size of the
        terms that were summed, so that the bound is tight where they cancel as well; without it, the norms of
        the four arrays stand for that.
    name : str
    rounding : float
        By how much more than a plain sum the operation may round.

    Returns
    -------
    Check
        The error is |<A x, y> - <x, A' y>|, absolute; so is the bound.
    """
    ax, aty = np.asarray(forward(x)), np.asarray(adjoint(y))
    method = "adjoint identity"
    if ax.shape != y.shape or aty.shape != x.shape:
        words = f"shapes: forward {ax.shape} for {y.shape}, adjoint {aty.shape} for {x.shape}"
        return Check(name, method, np.inf, 0.0, False, words)
    if magnitude is not None:
        size = float(np.vdot(magnitude(np.abs(x)), np.abs(y)))
    else:
        size = float(np.linalg.norm(ax) * np.linalg.norm(y) + np.linalg.norm(x) * np.linalg.norm(aty))
    eps = max(np.finfo(array.dtype).eps for array in (ax, aty))
    error = abs(float(np.vdot(ax, y) - np.vdot(x, aty)))
    cause = (
        "backward is not the adjoint: some coefficient of forward is missing, moved or scaled on the way back"
    )
    return judged(name, method, error, rounding * ROUNDING * float(eps) * size, cause=cause)


def is_affine(subject: Subject) -> bool:
    """Whether forward is linear but for a constant: then its backward can be checked by the identity."""
    if subject.loss():
        return False
    # numbers that x cannot happen to be: along x itself, any odd function of degree one looks linear
    other = np.random.default_rng([977, 4]).standard_normal(subject.x.shape)
    zero = np.array(subject.forward(np.zeros(subject.x.shape)))
    parts = 2.0 * (subject.forward(subject.x) - zero) - 3.0 * (subject.forward(other) - zero)
    both = subject.forward(2.0 * subject.x - 3.0 * other) - zero
    scale = np.linalg.norm(parts) + np.linalg.norm(zero)
    return bool(np.linalg.norm(both - parts) <= (1e-4 if subject.narrow else 1e-10) * scale)


def check_adjoint(name: str, subject: Subject) -> Check:
    """Return the identity's check of an affine subject, at random x and dy."""
    zero = np.array(subject.forward(np.zeros(subject.x.shape)))

    def linear(x: np.ndarray) -> Any:
        return subject.forward(x) - zero

    return adjoint_identity(
        linear,
        lambda dy: np.array(subject.backward(dy=dy), float),
        subject.x,
        subject.dy,
        name=name,
        # the constant's rounding stays in the difference; transforms like Winograd's round more than sums
        rounding=20 + float(np.linalg.norm(zero) / (np.linalg.norm(subject.y - zero) or 1.0)),
    )
