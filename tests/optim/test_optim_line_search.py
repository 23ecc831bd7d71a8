"""The line search: the strong Wolfe conditions hold where it ends, and it ends."""

import math

import pytest
from descent_functions import quadratic, rosenbrock, start, wide

from nst_manual.optim import LBFGS
from nst_manual.optim.line_search import C1, C2, MOST_EVALUATIONS, Point, cubic_minimum, strong_wolfe


@pytest.mark.parametrize("function", [quadratic, rosenbrock, wide])
def test_accepted_steps_satisfy_the_strong_wolfe_conditions(function):
    shown = [start()]
    LBFGS().minimize(function, start(), 15, lambda iteration, x: shown.append(x.copy()))
    assert len(shown) == 16
    for here, there in zip(shown, shown[1:], strict=False):
        (loss, g), (lower, following) = function(here), function(there)
        slope, slope_there = ((there - here) * g).sum(), ((there - here) * following).sum()
        assert slope < 0
        assert lower <= loss + C1 * slope + 1e-12 * abs(loss)
        assert abs(slope_there) <= C2 * abs(slope) * (1 + 1e-9)


LINES = {
    "far too short": lambda t: ((t / 1e4 - 1) ** 2, 2 * (t / 1e4 - 1) / 1e4),
    "far too long": lambda t: ((1e4 * t - 1) ** 2, 2e4 * (1e4 * t - 1)),
    "just right": lambda t: ((t - 1) ** 2, 2 * (t - 1)),
    "waves": lambda t: (math.cos(3 * t) - 0.1 * t, -3 * math.sin(3 * t) - 0.1),
    "a kink": lambda t: (abs(t - 0.3) + 0.01 * t * t, math.copysign(1, t - 0.3) + 0.02 * t),
    "infinite beyond": lambda t: (
        (-math.log(0.2 - t) - 9 * t, 1 / (0.2 - t) - 9) if t < 0.2 else (math.inf, math.nan)
    ),
    "not a number beyond": lambda t: ((t - 0.01) ** 2, 2 * (t - 0.01)) if t < 0.02 else (math.nan, math.nan),
}


@pytest.mark.parametrize("line", [name for name in LINES if name != "a kink"])
def test_the_search_ends_at_a_good_step_the_last_one_tried(line):
    asked = []

    def along(t):
        asked.append(t)
        return LINES[line](t)

    # waves begin at a top, where there is no slope
    begin = 0.1 if line == "waves" else 0.0
    loss, slope = LINES[line](begin)
    assert slope < 0
    step = strong_wolfe(lambda t: along(begin + t), loss, slope)
    lower, level = LINES[line](begin + step)
    assert asked[-1] == begin + step
    assert asked[0] == begin + 1
    assert lower <= loss + C1 * step * slope
    assert abs(level) <= C2 * abs(slope)


def test_the_interpolation_is_exact_for_cubics_whichever_end_comes_first():
    def point(t):
        return Point(t, (t - 2) ** 3 - 3 * (t - 2), 3 * (t - 2) ** 2 - 3)  # lowest at 3

    for a, b in [(1.2, 5.0), (5.0, 1.2), (0.0, 2.5), (2.5, 0.0)]:
        assert cubic_minimum(point(a), point(b)) == pytest.approx(3)
    assert math.isnan(cubic_minimum(Point(0, 0, -1), Point(1, -1, -1)))  # a straight line has none


def test_a_step_of_one_that_is_good_costs_one_evaluation():
    asked = []
    strong_wolfe(lambda t: (asked.append(t), LINES["just right"](t))[1], *LINES["just right"](0.0))
    assert asked == [1.0]


@pytest.mark.parametrize(
    "line",
    [
        lambda t: (t, 1.0),
        lambda t: (-t, -1.0),
        lambda t: (math.nan, math.nan),
        LINES["a kink"],
        lambda t: (-t, -1.0) if t <= 1 else (-0.5, -0.01),  # level beyond 1, but higher than before
    ],
    ids=["uphill", "endless", "not a number", "kink", "ledge"],
)
def test_a_search_that_cannot_succeed_ends(line):
    asked = []
    slope = -1.0
    assert strong_wolfe(lambda t: (asked.append(t), line(t))[1], line(0.0)[0], slope) is None
    assert len(asked) == MOST_EVALUATIONS
    assert all(0 < t < math.inf for t in asked)
