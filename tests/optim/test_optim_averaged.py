"""Iterate averaging: the average with its correction, of points that the optimiser goes by unchanged."""

import numpy as np
import pytest
from descent_functions import Recorded, rosenbrock, start

from nst_manual.errors import UsageError
from nst_manual.optim import LBFGS, Adam, Averaged, GradientDescent, NoProgress, Result, ScipyLBFGS

INNER = {
    "adam": lambda: Adam(0.1),
    "gradient-descent": lambda: GradientDescent(0.001),
    "lbfgs": lambda: LBFGS(),
    "lbfgs-scipy": lambda: ScipyLBFGS(),
}


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("decay", [0.0, 0.7, 0.99])
def test_it_is_the_corrected_average_and_the_way_is_unchanged(inner, decay):
    plain, averaged, iterates, shown = Recorded(rosenbrock), Recorded(rosenbrock), [], []
    INNER[inner]().minimize(plain, start(), 15, lambda i, x: iterates.append(x.copy()))
    result = Averaged(INNER[inner](), decay).minimize(
        averaged, start(), 15, lambda i, x: shown.append((i, x.copy()))
    )
    np.testing.assert_array_equal(averaged.points, plain.points)
    total = np.zeros_like(start())
    for t, (x, (iteration, average)) in enumerate(zip(iterates, shown, strict=True), start=1):
        total = decay * total + (1 - decay) * x
        assert iteration == t
        np.testing.assert_allclose(average, total / (1 - decay**t), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(result.x, shown[-1][1])
    assert (result.iterations, result.message) == (15, "")


def test_the_noise_of_long_steps_averages_out():
    """With noisy gradients Adam keeps a distance from the minimum; the mean of its points is nearer."""
    rng = np.random.default_rng(2)

    def f(x):
        return 0.0, x + rng.normal(0, 3, x.shape)

    last = []
    averaged = Averaged(Adam(0.3), 0.98)
    optimizer = averaged.optimizer
    x = averaged.minimize(f, start(), 600, lambda i, x: last.append(optimizer.state()["x"])).x
    spread = np.sqrt(np.mean(np.square(last[-200:])))
    assert np.sqrt(np.mean(x**2)) < 0.5 * spread


def test_the_first_average_is_the_first_point_and_no_iteration_is_the_start():
    first = Adam(0.1).minimize(rosenbrock, start(), 1).x
    averaged = Averaged(Adam(0.1))
    np.testing.assert_array_equal(averaged.minimize(rosenbrock, start(), 1).x, first)
    np.testing.assert_array_equal(averaged.minimize(rosenbrock, start(), 0).x, start())


def test_shown_averages_are_never_written_again_and_keep_their_type():
    shown, copies = [], []

    def on_iteration(iteration, x):
        shown.append(x)
        copies.append(x.copy())

    Averaged(Adam(0.1), np.float64(0.9)).minimize(rosenbrock, start(np.float32), 10, on_iteration)
    np.testing.assert_array_equal(shown, copies)
    assert {x.dtype for x in shown} == {np.dtype(np.float32)}


def test_an_average_of_points_at_a_bound_stays_inside():
    low, high = np.float32(-0.1), np.float32(0.7)
    averaged = Averaged(Adam(0.3, bounds=(low, high)), 0.37)
    assert averaged.bounds == (float(low), float(high))
    averaged.minimize(
        rosenbrock,
        start(np.float32),
        60,
        lambda i, x: pytest.fail("outside") if x.min() < low or x.max() > high else None,
    )


def test_an_early_stop_returns_the_average_so_far():
    shown = []
    result = Averaged(LBFGS(), 0.5).minimize(
        rosenbrock,
        start(),
        100,
        lambda i, x: shown.append(x),
        stop=lambda i, loss: "enough" if i == 7 else "",
    )
    assert (result.iterations, result.message, len(shown)) == (7, "enough", 7)
    np.testing.assert_array_equal(result.x, shown[-1])
    result = Averaged(LBFGS(), 0.5).minimize(lambda x: (0.0, np.zeros_like(x)), start(), 9, stop=NoProgress())
    assert result.iterations == 0
    assert "the gradient is zero" in result.message
    np.testing.assert_array_equal(result.x, start())


def test_an_optimiser_may_write_its_points_into_one_array():
    class InPlace:
        bounds = None

        def minimize(self, f, x, iterations, on_iteration, stop):
            x = x.copy()
            for iteration in range(1, iterations + 1):
                x += 1
                on_iteration(iteration, x)
            return Result(x, iterations)

    found = Averaged(InPlace(), 0.5).minimize(rosenbrock, np.zeros(3), 2).x
    np.testing.assert_allclose(found, np.full(3, (0.5 * 1 + 2) / 1.5))


@pytest.mark.parametrize("decay", [1, -0.1, 1.5, float("nan"), "much"])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(UsageError, match="averaging: expected as decay a number of 0 or more and below 1"):
        Averaged(Adam(), decay)
