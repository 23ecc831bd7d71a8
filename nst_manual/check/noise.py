"""How much of an error the noise of a computed number explains, and the step that suits the noise.

A number that is computed is a smooth function of x plus noise: rounding, and what ill-conditioned steps
make of it. At points so near one another that the function is a polynomial of low order between them,

    f(x + i t d),  i = 0, 1, 2, ...      D_k = differences of order k,   D_k = sum_j (-1)^j binom(k, j) f_j

the differences have the noise left in them alone, with a variance binom(2k, k) times that of f: so the
noise is the root of the mean of D_k^2 / binom(2k, k), the same for all k (R. Hamming, "Introduction to
applied numerical analysis", 1971; J. More, S. Wild, "Estimating computational noise", SIAM J. Sci. Comput.
33, 2011). Where several k agree, t is right; else it is too small (the values are equal) or too large.

A slope by differences then has noise / h of error from the noise and h^2 or so from the function's bends;
More and Wild, "Estimating derivatives of noisy simulations" (2012), balance the two. Here several steps are
tried, and the one is taken at which its noise and what smaller steps change are least together.

Differs from the papers in the small number of points, and in that the bends are not estimated by themselves.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from nst_manual.check.derivatives import Function, central_slope, step_size
from nst_manual.check.report import Check

POINTS = 7
ORDERS = (2, 3, 4)
# As parts of the largest x: so near that f is nearly linear. Equal values ask for the next.
NEAR = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
# Orders that differ by more than this do not see noise, but the function.
AGREEMENT = 4.0
# Standard deviations of an error that noise is allowed, and the largest bound of all: a mistake of a part in
# a thousand is to be seen, and what hides it is not judged.
DEVIATIONS, LARGEST = 5.0, 1e-4
# A slope by `central_slope` has the noise of four values in it, this times noise / h.
OF_SLOPE = math.sqrt(2 * (16 + 1 / 4)) / 3
# Steps that are tried, each so many times the last, as long as they are below this part of the largest x.
GROWTH, LONGEST = 3.0, 0.3


def noise_of(f: Function, x: np.ndarray, direction: np.ndarray, near: tuple[float, ...] = NEAR) -> float:
    """Return the standard deviation of the noise in a number f(x), 0 where none is seen.

    Parameters
    ----------
    f : callable
        array -> number.
    x : array
    direction : array
        Along which the points lie; its length does not matter.
    near : tuple of float
        Steps to try, as parts of the largest x. With a single one, no agreement is asked for: a slope by
        complex step has no digits that a step would have to reach, and larger ones would cross kinks.
    """
    scale = float(np.max(np.abs(x), initial=0.0)) or 1.0
    direction = direction / (float(np.max(np.abs(direction), initial=0.0)) or 1.0)
    least = math.inf
    for part in near:
        values = np.array([np.real(f(x + i * part * scale * direction)) for i in range(POINTS)], float)
        if not np.isfinite(values).all():
            return math.inf
        if len(np.unique(values)) <= POINTS / 2:
            continue
        found = [_of_order(values, order) for order in ORDERS]
        least = min(least, *found)
        if len(near) == 1 or max(found) <= AGREEMENT * min(found):
            return max(found)
    return least if np.isfinite(least) else 0.0


def _of_order(values: np.ndarray, order: int) -> float:
    """Return the noise that differences of one order see."""
    differences = np.diff(values, order)
    return math.sqrt(float(np.mean(differences**2)) / math.comb(2 * order, order))


def balanced_step(f: Function, x: np.ndarray, direction: np.ndarray, noise: float) -> tuple[float, float]:
    """Return the step for `central_slope` at which noise and bends disturb least together, and by how much.

    Parameters
    ----------
    f, x, direction
        As of `noise_of`.
    noise : float
        Of f.

    Returns
    -------
    step : float
        At least the one that suits rounding, 20 `step_size`; a larger one is taken where noise asks for it.
    disturbed : float
        How far the slope along the direction, its largest element made 1, is off by then. It is seen by
        forward alone: no gradient has a part in it.
    """
    scale = float(np.max(np.abs(x), initial=0.0)) or 1.0
    direction = direction / (float(np.max(np.abs(direction), initial=0.0)) or 1.0)
    best, least = 20 * step_size(x), math.inf
    h, before = best, None
    while h < LONGEST * scale:
        slope, half = (central_slope(f, x, direction, part) for part in (h, h / 2))
        # two comparisons: one may happen to find no difference
        change = max(abs(slope - other) for other in (half, before) if other is not None)
        if (disturbed := OF_SLOPE * noise / h + change) < least:
            best, least = h, disturbed
        h, before = h * GROWTH, slope
    return best, least


def judged_with_noise(check: Check, noise: float, where_from: str) -> Check:
    """Return a check judged anew: its bound has what noise explains in it, and the note says so.

    Parameters
    ----------
    check : Check
    noise : float
        Standard deviation of the check's error.
    where_from : str
        The noise, in words, as "the value has noise of 1e-9".

    Returns
    -------
    Check
        The same where noise matters little; one that has not passed where it explains so much that mistakes
        would be hidden.
    """
    bound = check.bound + DEVIATIONS * noise
    if bound <= 1.1 * check.bound:
        return check
    if not bound <= LARGEST:
        words = (
            f"{where_from}, which explains errors up to {bound:.1e}: it cannot be judged; forward has to be "
            "computed with more digits, or checked elsewhere"
        )
        said = {"note": words} if check.cause else {"cause": words}
        return dataclasses.replace(check, passed=False, **said)
    note = f"{where_from}: the bound is {bound:.1e} in place of {check.bound:.0e}"
    return dataclasses.replace(check, bound=bound, passed=bool(check.error <= bound), note=note)
