"""SciPy's L-BFGS-B behind our interface: the iterations asked for, each lower, a word when it cannot."""

import numpy as np
import pytest
from descent_functions import Recorded, quadratic, rosenbrock, start

from nst_manual.optim import ScipyLBFGS


def test_it_finds_the_minimum_of_a_quadratic():
    result = ScipyLBFGS().minimize(quadratic, start(), 40)
    assert np.abs(result.x).max() < 1e-8


def test_it_finds_the_minimum_of_a_curved_valley():
    result = ScipyLBFGS().minimize(rosenbrock, np.zeros((1, 2, 2, 3)), 150)
    np.testing.assert_allclose(result.x, np.ones((1, 2, 2, 3)), atol=1e-6)


def test_the_loss_never_rises_from_one_iteration_to_the_next():
    losses = [rosenbrock(start())[0]]
    ScipyLBFGS().minimize(rosenbrock, start(), 40, lambda iteration, x: losses.append(rosenbrock(x)[0]))
    assert len(losses) == 41
    assert all(after < before for before, after in zip(losses, losses[1:], strict=False))


def test_a_loss_that_changes_little_is_no_reason_to_stop():
    # SciPy's own tolerance, 2e-9 of the loss, would end this at once
    def f(x):
        loss, gradient = rosenbrock(x)
        return 1e6 + 1e-3 * loss, 1e-3 * gradient

    result = ScipyLBFGS().minimize(f, start(), 25)
    assert (result.iterations, result.message) == (25, "")
    assert rosenbrock(result.x)[0] < 0.5 * rosenbrock(start())[0]


def test_an_iteration_costs_little_more_than_an_evaluation():
    f = Recorded(rosenbrock)
    ScipyLBFGS().minimize(f, start(), 40)
    assert 41 <= len(f.points) <= 60


def test_more_history_is_another_way_down():
    ends = [ScipyLBFGS(history).minimize(rosenbrock, start(), 30) for history in (1, 10)]
    losses = [rosenbrock(end.x)[0] for end in ends]
    assert losses[1] < losses[0]


@pytest.mark.parametrize(
    "function",
    [lambda x: (0.0, np.zeros_like(x)), lambda x: (quadratic(x)[0], -quadratic(x)[1])],
    ids=["flat", "gradient of the wrong sign"],
)
def test_where_no_progress_is_possible_it_says_so_and_stays(function):
    shown = []
    result = ScipyLBFGS().minimize(function, start(), 10, lambda iteration, x: shown.append(iteration))
    np.testing.assert_allclose(result.x, start(), rtol=4e-16)  # SciPy gets it in another unit and back
    assert result.iterations == 0
    assert shown == []
    assert result.message.startswith("L-BFGS found no lower point (")
    assert result.failed == bool(function(start())[1].any())


def test_at_the_minimum_it_ends_and_keeps_what_it_found():
    shown = []
    result = ScipyLBFGS().minimize(
        lambda x: (float((x**2).sum()), 2 * x), start(), 50, lambda iteration, x: shown.append(iteration)
    )
    assert 1 <= result.iterations < 50
    assert shown == list(range(1, result.iterations + 1))
    assert "no lower point" in result.message
    assert np.abs(result.x).max() < 1e-12


def test_a_line_search_that_fails_is_tried_again_without_the_history():
    # for a while every new point looks worse: long enough for SciPy to give up, not for us
    def f(x):
        loss, gradient = rosenbrock(x)
        worse = 30 < len(recorded.points) <= 75 and not any(np.array_equal(x, point) for point in accepted)
        return (loss + 1e9 if worse else loss), gradient

    recorded, accepted = Recorded(f), [start()]
    result = ScipyLBFGS().minimize(recorded, start(), 60, lambda iteration, x: accepted.append(x.copy()))
    assert len(accepted) == 61
    assert (result.iterations, result.message) == (60, "")
    assert rosenbrock(result.x)[0] < rosenbrock(accepted[20])[0]
    assert len(recorded.points) > 75
