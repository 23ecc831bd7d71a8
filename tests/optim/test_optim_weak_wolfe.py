"""The search along a path with bends: the weak Wolfe conditions hold where it ends, and it ends."""

import math

import numpy as np
import pytest
from descent_functions import quadratic, start

from nst_manual.optim import LBFGS
from nst_manual.optim.line_search import C1, C2, MOST_EVALUATIONS
from nst_manual.optim.weak_wolfe import weak_wolfe


def bent(t):
    """Fall steeply, bend at 0.3 into a steep rise: no point of it satisfies the strong conditions."""
    return (-t, -1.0) if t < 0.3 else (-0.3 + 2 * (t - 0.3), 2.0)


LINES = {
    "far too short": lambda t: ((t / 1e4 - 1) ** 2, 2 * (t / 1e4 - 1) / 1e4),
    "far too long": lambda t: ((1e4 * t - 1) ** 2, 2e4 * (1e4 * t - 1)),
    "just right": lambda t: ((t - 1) ** 2, 2 * (t - 1)),
    "a bend": bent,
    "level beyond": lambda t: (-min(t, 5.0), -1.0 if t < 5 else 0.0),  # all variables at their bounds
    "infinite beyond": lambda t: (
        (-math.log(0.2 - t) - 9 * t, 1 / (0.2 - t) - 9) if t < 0.2 else (math.inf, math.nan)
    ),
    "not a number beyond": lambda t: ((t - 0.01) ** 2, 2 * (t - 0.01)) if t < 0.02 else (math.nan, math.nan),
}


@pytest.mark.parametrize("line", LINES)
def test_the_search_ends_at_a_good_step_the_last_one_tried(line):
    asked = []
    loss, slope = LINES[line](0.0)
    step = weak_wolfe(lambda t: (asked.append(t), LINES[line](t))[1], loss, slope)
    lower, level = LINES[line](step)
    assert asked[0] == 1
    assert asked[-1] == step
    assert len(set(asked)) == len(asked)
    assert lower <= loss + C1 * step * slope
    assert level >= C2 * slope


@pytest.mark.parametrize(
    "line",
    [lambda t: (t, 1.0), lambda t: (-t, -1.0), lambda t: (math.nan, math.nan)],
    ids=["uphill", "endless", "not a number"],
)
def test_a_search_that_cannot_succeed_ends(line):
    asked = []
    assert weak_wolfe(lambda t: (asked.append(t), line(t))[1], 0.0, -1.0) is None
    assert len(asked) == MOST_EVALUATIONS
    assert all(0 < t < math.inf for t in asked)


def test_a_bracket_that_interpolation_would_hardly_shrink_is_halved():
    """A cliff: the cubic points to its edge from below again and again."""
    asked = []

    def along(t):
        asked.append(t)
        return (-t, -1.0) if t < 1e-3 else (1e3, 1e-9)

    step = weak_wolfe(along, 0.0, -1.0)
    assert step is None or step < 1e-3
    below = [t for t in asked if t < 1e-3]
    assert max(below) > 0.99e-3


def test_steps_of_bounded_lbfgs_earn_what_their_path_promises():
    """Each direction is zero where a variable is held, and the slope is that of the others."""

    def f(x):
        return quadratic(x - np.linspace(-1, 1, 12).reshape(x.shape))

    bounds, shown = (-0.5, 0.6), [np.clip(start(), -0.5, 0.6)]
    LBFGS(bounds=bounds).minimize(f, start(), 8, lambda i, x: shown.append(x.copy()))
    assert len(shown) == 9
    held = 0
    for here, there in zip(shown, shown[1:], strict=False):
        (loss, g), (lower, _) = f(here), f(there)
        fixed = ((here == bounds[0]) & (g > 0)) | ((here == bounds[1]) & (g < 0))
        held += fixed.sum()
        np.testing.assert_array_equal(there[fixed], here[fixed])
        assert ((there - here) * g).sum() < 0
        assert lower < loss
    assert held
