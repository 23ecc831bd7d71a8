"""What all optimisers promise: one interface, arrays as they came, errors let through."""

import numpy as np
import pytest
from descent_functions import Recorded, quadratic, rosenbrock, start, wide

from nst_manual.errors import DivergedError, Interrupted
from nst_manual.optim import LBFGS, Adam, GradientDescent, ScipyLBFGS

OPTIMIZERS = {
    "adam": Adam(0.05),
    "gradient-descent": GradientDescent(0.001),
    "lbfgs": LBFGS(),
    "lbfgs-scipy": ScipyLBFGS(),
}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


def test_the_functions_have_the_gradients_that_they_say():
    x, step = start(), 1e-6
    for function in (quadratic, rosenbrock, wide):
        for index in np.ndindex(x.shape):
            moved = np.zeros_like(x)
            moved[index] = step
            slope = (function(x + moved)[0] - function(x - moved)[0]) / (2 * step)
            assert slope == pytest.approx(function(x)[1][index], rel=1e-5, abs=1e-6)


@every_optimizer
@pytest.mark.parametrize("function", [quadratic, rosenbrock])
def test_the_loss_falls(optimizer, function):
    x = start()
    result = optimizer.minimize(function, x, 40)
    assert function(result.x)[0] < 0.6 * function(x)[0]


@every_optimizer
def test_iterations_are_counted_from_one_to_the_number_asked_for(optimizer):
    numbers = []
    result = optimizer.minimize(rosenbrock, start(), 25, lambda iteration, x: numbers.append(iteration))
    assert numbers == list(range(1, 26))
    assert result.iterations == 25
    assert result.message == ""


@every_optimizer
def test_each_iteration_shows_the_point_it_came_to_and_the_last_is_the_result(optimizer):
    shown = []
    result = optimizer.minimize(rosenbrock, start(), 8, lambda iteration, x: shown.append(x.copy()))
    np.testing.assert_array_equal(shown[-1], result.x)
    assert all(not np.array_equal(a, b) for a, b in zip(shown, shown[1:], strict=False))
    # a shorter run comes by the same points
    for iterations in (1, 5):
        np.testing.assert_array_equal(
            shown[iterations - 1], optimizer.minimize(rosenbrock, start(), iterations).x
        )


@every_optimizer
def test_no_iterations_give_the_start_and_ask_nothing(optimizer):
    f = Recorded(quadratic)
    x = start()
    result = optimizer.minimize(f, x, 0, lambda iteration, x: pytest.fail("there is no iteration to show"))
    np.testing.assert_array_equal(result.x, start())
    assert (result.iterations, result.message, f.points) == (0, "", [])


@every_optimizer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_and_type_are_kept(optimizer, dtype):
    f, shown = Recorded(rosenbrock), []
    result = optimizer.minimize(f, start(dtype), 5, lambda iteration, x: shown.append(x))
    for x in [*f.points, *shown, result.x]:
        assert x.dtype == dtype
        assert x.shape == start().shape


@every_optimizer
def test_the_start_is_not_written(optimizer):
    x = start()
    optimizer.minimize(rosenbrock, x, 5)
    np.testing.assert_array_equal(x, start())


@every_optimizer
def test_the_first_question_is_asked_at_the_start(optimizer):
    for dtype, rounding in [(np.float32, 0), (np.float64, 4e-16)]:
        f = Recorded(rosenbrock)
        optimizer.minimize(f, start(dtype), 2)
        np.testing.assert_allclose(f.points[0], start(dtype), rtol=rounding)


@every_optimizer
def test_the_gradient_may_be_a_buffer_that_is_written_again(optimizer):
    buffer = np.empty_like(start())

    def f(x):
        loss, buffer[...] = rosenbrock(x)
        return loss, buffer

    expected = optimizer.minimize(rosenbrock, start(), 10).x
    np.testing.assert_array_equal(optimizer.minimize(f, start(), 10).x, expected)


@every_optimizer
def test_errors_of_the_function_come_through_as_they_are(optimizer):
    def f(x):
        if len(recorded.points) == 3:
            raise error
        return quadratic(x)

    for error in (
        DivergedError("style/relu1_1", "the loss is nan"),
        Interrupted("SIGTERM", 15),
        KeyboardInterrupt(),
    ):
        recorded = Recorded(f)
        with pytest.raises(type(error)) as caught:
            optimizer.minimize(recorded, start(), 10)
        assert caught.value is error


@every_optimizer
def test_errors_of_whoever_watches_come_through_too(optimizer):
    def on_iteration(iteration, x):
        if iteration == 2:
            raise Interrupted("SIGINT", 2)

    f = Recorded(rosenbrock)
    with pytest.raises(Interrupted, match="by SIGINT"):
        optimizer.minimize(f, start(), 10, on_iteration)
    assert len(f.points) <= 6  # it stopped there and then


@every_optimizer
def test_the_same_run_twice_gives_the_same_bits(optimizer):
    runs = [optimizer.minimize(rosenbrock, start(np.float32), 12).x for _ in range(2)]
    np.testing.assert_array_equal(*runs)
