"""How far along a direction: a step that satisfies the strong Wolfe conditions.

p(t) = f(x + t d)                     loss along the direction, p'(t) = g(x + t d) . d

p(t)    <= p(0) + C1 t p'(0)          sufficient decrease: the step earns what the slope promises
|p'(t)| <= C2 |p'(0)|                 curvature: it does not end where the loss still falls steeply

The second one makes s . y positive, which L-BFGS needs. After J. Nocedal, S. Wright, Numerical Optimization,
2nd edition, algorithms 3.5 and 3.6, with cubic interpolation (equation 3.59).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

Along = Callable[[float], tuple[float, float]]

C1, C2 = 1e-4, 0.9

# A search that takes more evaluations than this is stuck.
MOST_EVALUATIONS = 20

# A search that has not gone far enough goes on by so many times its last stretch.
LEAST_GROWTH, MOST_GROWTH = 0.5, 4.0

# A step inside a bracket keeps this share of its width from both ends, so that the bracket shrinks.
MARGIN = 0.1


class Point(NamedTuple):
    """A step t, with p(t) and p'(t)."""

    step: float
    loss: float
    slope: float

    def decreases(self, start: Point) -> bool:
        """Whether the first condition holds; what is not a number never does."""
        return self.loss <= start.loss + C1 * self.step * start.slope

    def is_level(self, start: Point) -> bool:
        """Whether the second condition holds."""
        return abs(self.slope) <= C2 * abs(start.slope)


def strong_wolfe(along: Along, loss: float, slope: float, step: float = 1.0) -> float | None:
    """Return a step that satisfies both conditions, the last one that was tried; None if none was found.

    Algorithm 3.5: further and further, until a step either is good or has a good one before it.

    Parameters
    ----------
    along : callable
        t -> (p(t), p'(t)); values that are not finite count as too far.
    loss, slope : float
        p(0), and p'(0) < 0.
    step : float
        The first to be tried.
    """
    start = before = Point(0.0, loss, slope)
    for tried in range(1, MOST_EVALUATIONS + 1):
        here = Point(step, *along(step))
        left = MOST_EVALUATIONS - tried
        if not here.decreases(start) or here.loss >= before.loss:
            return _narrow(along, start, before, here, left)
        if here.is_level(start):
            return step
        if not here.slope < 0:
            return _narrow(along, start, here, before, left)
        stretch = here.step - before.step
        least, most = here.step + LEAST_GROWTH * stretch, here.step + MOST_GROWTH * stretch
        step = _between(least, most, cubic_minimum(before, here), otherwise=most)
        before = here
    return None


def _narrow(along: Along, start: Point, low: Point, high: Point, evaluations: int) -> float | None:
    """Return a good step between two (algorithm 3.6).

    `low` has the lowest loss of those that decrease it enough, and its slope points towards `high`.
    """
    for _ in range(evaluations):
        margin = MARGIN * (high.step - low.step)
        middle = (low.step + high.step) / 2
        step = _between(low.step + margin, high.step - margin, cubic_minimum(low, high), otherwise=middle)
        here = Point(step, *along(step))
        if not here.decreases(start) or here.loss >= low.loss:
            high = here
            continue
        if here.is_level(start):
            return step
        if here.slope * (high.step - low.step) >= 0:
            high = low
        low = here
    return None


def cubic_minimum(a: Point, b: Point) -> float:
    """Return where the cubic through two points, with their slopes, is lowest; NaN where it has no minimum.

    Equation 3.59. A loss that overflowed gives NaN too.
    """
    width = b.step - a.step
    d1 = a.slope + b.slope - 3 * (b.loss - a.loss) / width
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return math.nan
    d2 = math.copysign(math.sqrt(square), width)
    below = b.slope - a.slope + 2 * d2
    return b.step - width * (b.slope + d2 - d1) / below if below else math.nan


def _between(end: float, other: float, wanted: float, otherwise: float) -> float:
    """Return what is nearest to `wanted` between two ends, in either order; `otherwise` where it is NaN."""
    if math.isnan(wanted):
        return otherwise
    return min(max(wanted, min(end, other)), max(end, other))
