"""Our L-BFGS as a whole: where it comes, what it promises of arrays, and how it ends when it cannot go on."""

import math

import numpy as np
import pytest
from descent_functions import Recorded, quadratic, rosenbrock, start, wide

from nst_manual.optim import LBFGS
from nst_manual.optim.lbfgs import FIRST_STEP
from nst_manual.optim.line_search import MOST_EVALUATIONS


def test_it_finds_the_minimum_of_a_quadratic():
    result = LBFGS().minimize(quadratic, start(), 40)
    assert np.abs(result.x).max() < 1e-8


def test_it_finds_the_minimum_of_a_curved_valley():
    result = LBFGS().minimize(rosenbrock, np.zeros((1, 2, 2, 3)), 150)
    np.testing.assert_allclose(result.x, np.ones((1, 2, 2, 3)), atol=1e-8)


def test_float32_comes_as_far_as_float32_can():
    x = LBFGS().minimize(rosenbrock, np.zeros((1, 2, 2, 3), np.float32), 150).x
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, np.ones((1, 2, 2, 3)), atol=1e-2)


def test_the_loss_never_rises_from_one_iteration_to_the_next():
    losses = [rosenbrock(start())[0]]
    LBFGS().minimize(rosenbrock, start(), 40, lambda iteration, x: losses.append(rosenbrock(x)[0]))
    assert len(losses) == 41
    assert all(after < before for before, after in zip(losses, losses[1:], strict=False))


def test_more_history_is_another_way_down():
    ends = [LBFGS(history).minimize(rosenbrock, start(), 30) for history in (1, 10)]
    losses = [rosenbrock(end.x)[0] for end in ends]
    assert losses[1] < losses[0]


def test_the_first_step_to_be_tried_is_as_long_whatever_the_scale_of_the_loss():
    for scale in (1e-6, 1.0, 1e9):
        f = Recorded(lambda x, s=scale: (s * quadratic(x)[0], s * quadratic(x)[1]))
        LBFGS().minimize(f, start(), 1)
        step = f.points[1] - f.points[0]
        assert math.sqrt((step**2).mean()) == pytest.approx(FIRST_STEP)
        np.testing.assert_allclose(step / step[0, 0, 0, 0], quadratic(start())[1] / start()[0, 0, 0, 0])


@pytest.mark.parametrize("scale", [1e-28, 1e28])
def test_the_way_is_the_same_where_squares_leave_the_range_of_float32(scale):
    def f(x):
        loss, gradient = rosenbrock(x.astype(float))
        return scale * loss, (scale * gradient).astype(np.float32)

    result = LBFGS().minimize(f, start(np.float32), 30)
    assert (result.iterations, result.message) == (30, "")
    assert f(result.x)[0] < 1e-2 * f(start())[0]


def test_points_are_never_written_again():
    kept, copies = [], []

    def f(x):
        kept.append(x)
        copies.append(x.copy())
        return rosenbrock(x)

    def on_iteration(iteration, x):
        kept.append(x)
        copies.append(x.copy())

    result = LBFGS(3).minimize(f, start(), 15, on_iteration)
    np.testing.assert_array_equal(kept, copies)
    np.testing.assert_array_equal(result.x, kept[-1])


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: (0.0, np.zeros_like(x)), "the gradient is zero"),
        (lambda x: (quadratic(x)[0], -quadratic(x)[1]), "the line search failed"),
        (lambda x: (math.nan, np.full_like(x, math.nan)), "the line search failed"),
    ],
    ids=["flat", "gradient of the wrong sign", "not a number"],
)
def test_where_no_progress_is_possible_it_says_so_and_stays(function, why):
    shown = []
    result = LBFGS().minimize(function, start(), 10, lambda iteration, x: shown.append(iteration))
    np.testing.assert_array_equal(result.x, start())
    assert result.iterations == 0
    assert shown == []
    assert result.message == f"L-BFGS found no lower point ({why})"
    assert result.failed == (why == "the line search failed")


def test_a_gradient_of_zero_is_seen_without_a_search():
    f = Recorded(lambda x: (0.0, np.zeros_like(x)))
    LBFGS().minimize(f, start(), 10)
    assert len(f.points) == 1


def test_at_the_minimum_it_ends_and_keeps_what_it_found():
    shown = []
    result = LBFGS().minimize(wide, start(), 200, lambda iteration, x: shown.append(iteration))
    assert 1 <= result.iterations < 200
    assert shown == list(range(1, result.iterations + 1))
    assert "no lower point" in result.message
    assert np.abs(result.x).max() < 1e-6


def test_a_line_search_that_fails_is_tried_again_along_the_gradient():
    # for one whole search every new point looks worse
    def f(x):
        loss, gradient = rosenbrock(x)
        count = len(recorded.points)
        return (loss + 1e9 if begin <= count < begin + MOST_EVALUATIONS else loss), gradient

    begin, recorded = 10**9, Recorded(f)
    LBFGS().minimize(recorded, start(), 20)
    begin, recorded = len(recorded.points), Recorded(f)
    accepted = []
    result = LBFGS().minimize(recorded, start(), 40, lambda iteration, x: accepted.append(x.copy()))
    assert (result.iterations, result.message) == (40, "")
    retry = recorded.points[begin + MOST_EVALUATIONS] - accepted[19]
    gradient = rosenbrock(accepted[19])[1]
    np.testing.assert_allclose(
        retry, -gradient * FIRST_STEP / math.sqrt((gradient**2).mean()), rtol=1e-6, atol=1e-9
    )
    assert rosenbrock(result.x)[0] < rosenbrock(accepted[19])[0]
