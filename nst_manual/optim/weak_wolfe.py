"""How far along a path with bends: a step that satisfies the weak Wolfe conditions.

p(t) = f(P(x + t d))                  loss along the path, p'(t) its slope, where variables at a bound stay

p(t)  <= p(0) + C1 t p'(0)            sufficient decrease
p'(t) >= C2 p'(0)                     it does not end where the loss still falls steeply

Where a variable comes to its bound, p' jumps: the loss may turn from steep fall to steep rise at a bend, and
the strong conditions hold nowhere near. The weak ones do, and a bracket finds them (A. Lewis, M. Overton,
"Nonsmooth optimization via quasi-Newton methods", Mathematical Programming 2013, algorithm 2.6).

Differs from the paper in that a step inside the bracket is where the cubic through its ends is lowest
(`line_search.cubic_minimum`); the middle, as in the paper, where there is none or that did not halve it.
"""

from __future__ import annotations

import math

from nst_manual.optim.line_search import (
    C2,
    MARGIN,
    MOST_EVALUATIONS,
    MOST_GROWTH,
    Along,
    Point,
    cubic_minimum,
)


def weak_wolfe(along: Along, loss: float, slope: float, step: float = 1.0) -> float | None:
    """Return a step that satisfies both conditions, the last one that was tried; None if none was found.

    Parameters
    ----------
    along : callable
        t -> (p(t), p'(t)); values that are not finite count as too far.
    loss, slope : float
        p(0), and p'(0) < 0.
    step : float
        The first to be tried.
    """
    start = low = Point(0.0, loss, slope)
    high, width = None, math.inf
    for _ in range(MOST_EVALUATIONS):
        here = Point(step, *along(step))
        if not here.decreases(start):
            high = here
        elif here.slope < C2 * slope:
            low = here
        else:
            return step
        if high is None:
            step = low.step * MOST_GROWTH
            continue
        before, width = width, high.step - low.step
        wanted = cubic_minimum(low, high)
        if math.isnan(wanted) or width > before / 2:  # the bracket has to shrink
            wanted = (low.step + high.step) / 2
        step = min(max(wanted, low.step + MARGIN * width), high.step - MARGIN * width)
    return None
