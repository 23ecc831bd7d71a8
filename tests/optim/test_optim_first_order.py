"""Adagrad, RMSProp and momentum, step by step, against their formulas and against PyTorch; backtracking."""

import math

import numpy as np
import pytest
from descent_functions import Recorded, quadratic, rosenbrock, start

from nst_manual.errors import DivergedError, UsageError
from nst_manual.optim import Adagrad, Adam, GradientDescent, Momentum, RMSProp, parse_schedule
from nst_manual.optim.gradient_descent import C1, FIRST_STEP, MOST_EVALUATIONS

FUNCTIONS = pytest.mark.parametrize("function", [quadratic, rosenbrock])


def one_by_one(f, x, steps, move):
    """Return where `move(memory, value, slope)` -> value leads, an element at a time."""
    values, memory = [float(value) for value in x.ravel()], [{} for _ in range(x.size)]
    for _ in range(steps):
        slopes = f(np.array(values).reshape(x.shape))[1].ravel()
        values = [move(*each) for each in zip(memory, values, (float(g) for g in slopes), strict=True)]
    return np.array(values).reshape(x.shape)


@pytest.mark.parametrize(("rate", "epsilon"), [(0.3, 1e-8), (0.2, 0.7)])
@FUNCTIONS
def test_adagrad_is_the_published_algorithm(function, rate, epsilon):
    def move(memory, value, g):
        memory["sum"] = memory.get("sum", 0.0) + g * g
        return value - rate * g / (math.sqrt(memory["sum"]) + epsilon)

    expected = one_by_one(function, start(), 40, move)
    found = Adagrad(rate, epsilon).minimize(function, start(), 40).x
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("rate", "decay", "epsilon"), [(0.02, 0.9, 1e-8), (0.05, 0.6, 0.7)])
@FUNCTIONS
def test_rmsprop_is_the_algorithm_of_the_lecture(function, rate, decay, epsilon):
    def move(memory, value, g):
        memory["mean"] = decay * memory.get("mean", 0.0) + (1 - decay) * g * g
        return value - rate * g / (math.sqrt(memory["mean"]) + epsilon)

    expected = one_by_one(function, start(), 40, move)
    found = RMSProp(rate, decay, epsilon).minimize(function, start(), 40).x
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("momentum", [0.0, 0.6, 0.9])
@FUNCTIONS
def test_momentum_is_the_heavy_ball(function, momentum):
    """In the form of the paper, x" = x' - rate g(x') + mu (x' - x): no velocity in it."""
    before = x = start()
    for _ in range(30):
        before, x = x, x - 0.001 * function(x)[1] + momentum * (x - before)
    found = Momentum(0.001, momentum).minimize(function, start(), 30).x
    np.testing.assert_allclose(found, x, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("momentum", [0.0, 0.6, 0.9])
@FUNCTIONS
def test_nesterov_is_the_accelerated_gradient(function, momentum):
    """Y = x + mu (x - before);   x' = y - rate g(y): Nesterov's own two sequences, with a fixed momentum."""
    before = x = start()
    asked = []
    for _ in range(30):
        y = x + momentum * (x - before)
        asked.append(y)
        before, x = x, y - 0.001 * function(y)[1]
    f = Recorded(function)
    found = Momentum(0.001, momentum, nesterov=True).minimize(f, start(), 30).x
    np.testing.assert_allclose(found, x, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(f.points, asked, rtol=1e-11, atol=1e-13)


def torch_points(make, function, steps):
    """Return the points at which an optimiser of PyTorch asks."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(start(), requires_grad=True)
    optimizer, points = make(torch, [x]), []
    for _ in range(steps):
        points.append(x.detach().numpy().copy())
        x.grad = torch.tensor(function(points[-1])[1])
        optimizer.step()
    return points


PAIRS = {
    "adagrad": (Adagrad(0.3, 1e-10), lambda t, x: t.optim.Adagrad(x, 0.3)),
    "adam": (Adam(0.1), lambda t, x: t.optim.Adam(x, 0.1)),
    "rmsprop": (RMSProp(0.02, 0.99), lambda t, x: t.optim.RMSprop(x, 0.02)),
    "momentum": (Momentum(0.001), lambda t, x: t.optim.SGD(x, 0.001, 0.9)),
    "nesterov": (Momentum(0.001, nesterov=True), lambda t, x: t.optim.SGD(x, 0.001, 0.9, nesterov=True)),
}


@pytest.mark.parametrize("name", PAIRS)
@FUNCTIONS
def test_the_points_asked_for_are_those_of_pytorch(name, function):
    """PyTorch's Nesterov keeps the point where it asks, x + mu v, as its variable."""
    ours, theirs = PAIRS[name]
    f = Recorded(function)
    ours.minimize(f, start(), 40)
    np.testing.assert_allclose(f.points, torch_points(theirs, function, 40), rtol=1e-10, atol=1e-12)


def test_the_first_steps_are_as_long_whatever_the_scale_of_the_loss():
    for scale in (1e-3, 1.0, 1e6):
        for optimizer, length in [(Adagrad(0.5), 0.5), (RMSProp(0.5, 0.75), 1.0)]:
            found = optimizer.minimize(lambda x, s=scale: (0.0, s * quadratic(x)[1]), start(), 1).x
            np.testing.assert_allclose(found, start() - length * np.sign(start()), rtol=1e-3)


@pytest.mark.parametrize("kind", [GradientDescent, Momentum])
def test_without_a_rate_the_first_step_moves_pixels_by_a_tenth(kind):
    optimizer = kind()
    moved = optimizer.minimize(rosenbrock, start(), 1).x - start()
    assert math.sqrt((moved**2).mean()) == pytest.approx(0.1)
    assert optimizer.rate == pytest.approx(0.1 / math.sqrt((rosenbrock(start())[1] ** 2).mean()))


EVERY = {
    "adagrad": lambda **options: Adagrad(0.3, **options),
    "adam": lambda **options: Adam(0.1, **options),
    "gradient-descent": lambda **options: GradientDescent(0.001, **options),
    "momentum": lambda **options: Momentum(0.001, **options),
    "nesterov": lambda **options: Momentum(0.001, nesterov=True, **options),
    "rmsprop": lambda **options: RMSProp(0.02, **options),
}
every_kind = pytest.mark.parametrize("kind", EVERY)


@every_kind
def test_an_iteration_is_one_evaluation_and_the_first_is_at_the_start(kind):
    f, numbers = Recorded(rosenbrock), []
    result = EVERY[kind]().minimize(f, start(), 9, lambda iteration, x: numbers.append(iteration))
    assert len(f.points) == 9
    assert numbers == list(range(1, 10))
    np.testing.assert_array_equal(f.points[0], start())
    assert (result.iterations, result.message) == (9, "")


@every_kind
def test_no_number_makes_float64_of_float32(kind):
    """Neither Python's nor NumPy's, nor a gradient of float64."""
    f, shown = Recorded(lambda x: (1.0, rosenbrock(x.astype(float))[1])), []
    optimizer = EVERY[kind](schedule=lambda t, whole: np.float64(0.5) if t > 1 else 1.0)
    optimizer.minimize(f, start(np.float32), 4, lambda i, x: shown.append(x))
    assert {x.dtype for x in [*f.points, *shown]} == {np.dtype(np.float32)}
    assert all(v.dtype == np.float32 for v in optimizer.state().values() if isinstance(v, np.ndarray))


@pytest.mark.parametrize("make", [Adagrad, Adam, GradientDescent, Momentum, RMSProp])
def test_a_rate_of_numpy_is_as_good_as_any(make):
    x = make(np.float64(0.01)).minimize(rosenbrock, start(np.float32), 3).x
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, make(0.01).minimize(rosenbrock, start(np.float32), 3).x)


@every_kind
def test_points_are_never_written_again(kind):
    kept, copies = [], []

    def f(x):
        kept.append(x)
        copies.append(x.copy())
        return rosenbrock(x)

    def on_iteration(iteration, x):
        kept.append(x)
        copies.append(x.copy())

    EVERY[kind](bounds=(-0.5, 0.5)).minimize(f, start(), 15, on_iteration)
    np.testing.assert_array_equal(kept, copies)


@every_kind
def test_the_schedule_is_asked_for_each_iteration_of_the_whole(kind):
    asked = []
    optimizer = EVERY[kind](schedule=lambda t, whole: asked.append((t, whole)) or 1.0)
    x = optimizer.minimize(rosenbrock, start(), 4).x
    assert asked == [(1, 4), (2, 4), (3, 4), (4, 4)]
    np.testing.assert_array_equal(x, EVERY[kind]().minimize(rosenbrock, start(), 4).x)


def test_the_schedule_scales_the_rate():
    found = GradientDescent(0.02, schedule=parse_schedule("step:0.5@2")).minimize(quadratic, start(), 5).x
    a = np.arange(1.0, 13).reshape(start().shape)
    x = start()
    for rate in (0.02, 0.02, 0.01, 0.01, 0.005):
        x = (1 - rate * a) * x
    np.testing.assert_allclose(found, x, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Adam(0), "Adam: expected as rate a number above 0, got 0"),
        (lambda: Adam(1, (0.9, 1)), "Adam: expected as beta a number of 0 or more and below 1, got 1"),
        (lambda: Adagrad(-1), "Adagrad: expected as rate"),
        (lambda: Adagrad(1, math.nan), "Adagrad: expected as epsilon a number of 0 or more, got nan"),
        (lambda: RMSProp("fast"), "RMSProp: expected as rate a number above 0, got 'fast'"),
        (lambda: RMSProp(1, 1.5), "RMSProp: expected as decay"),
        (lambda: Momentum(1, 1), "momentum: expected as momentum"),
        (lambda: GradientDescent(math.inf), "gradient descent: expected as rate"),
        (
            lambda: GradientDescent(schedule=parse_schedule("cosine"), backtracking=True),
            "backtracking finds the rate, a schedule would have no effect",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(make, told):
    with pytest.raises(UsageError) as caught:
        make()
    assert told in str(caught.value)


@FUNCTIONS
@pytest.mark.parametrize("rate", [None, 1e-6, 1.0, 1e4])
def test_backtracking_earns_what_armijo_asks_for_whatever_the_first_rate(function, rate):
    f, shown = Recorded(function), [start()]
    result = GradientDescent(rate, backtracking=True).minimize(
        f, start(), 40, lambda i, x: shown.append(x.copy())
    )
    assert (result.iterations, len(shown)) == (40, 41)
    for here, there in zip(shown, shown[1:], strict=False):
        (loss, gradient), (lower, _) = function(here), function(there)
        step = there - here
        assert lower <= loss + C1 * (gradient * step).sum()
        assert (gradient * step).sum() < 0
        length = (step * step).sum() / -(gradient * step).sum()
        np.testing.assert_allclose(step, -length * gradient, rtol=1e-6, atol=1e-12)
    assert len(f.points) <= 41 + 40 * 1.2 + 25
    assert function(result.x)[0] < 0.7 * function(start())[0]


def test_backtracking_halves_until_it_is_lower_and_doubles_what_was_good_at_once():
    f = Recorded(lambda x: (float((x**2).sum() / 2), x.copy()))
    x = np.ones((1, 1, 1, 3))
    GradientDescent(7.9, backtracking=True).minimize(f, x, 2)
    # 7.9 and 3.95 lead higher; 1.975 lower, by more than C1 asks for
    np.testing.assert_allclose([p[0, 0, 0, 0] for p in f.points[:4]], [1, 1 - 7.9, 1 - 3.95, 1 - 1.975])
    assert f.points[4][0, 0, 0, 0] == pytest.approx(
        (1 - 1.975) ** 2
    )  # what had to be halved is tried as it is
    f = Recorded(lambda x: (float((x**2).sum() / 2), x.copy()))
    GradientDescent(0.1, backtracking=True).minimize(f, x, 3)
    np.testing.assert_allclose([p[0, 0, 0, 0] for p in f.points], [1, 0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.6])


def test_backtracking_without_a_rate_first_tries_a_visible_step():
    f = Recorded(rosenbrock)
    GradientDescent(backtracking=True).minimize(f, start(), 1)
    assert math.sqrt(((f.points[1] - f.points[0]) ** 2).mean()) == pytest.approx(FIRST_STEP)


def test_backtracking_that_finds_nothing_lower_says_so_and_stays():
    for function, evaluations, failed in [
        (lambda x: (0.0, np.zeros_like(x)), 1, False),
        (lambda x: (quadratic(x)[0], -quadratic(x)[1]), 1 + MOST_EVALUATIONS, True),
        (lambda x: (math.nan, np.ones_like(x)), 1 + MOST_EVALUATIONS, True),
    ]:
        f = Recorded(function)
        result = GradientDescent(backtracking=True).minimize(f, start(), 5)
        np.testing.assert_array_equal(result.x, start())
        assert result.message == "gradient descent found no lower point"
        assert result.failed is failed
        assert len(f.points) == evaluations


def test_backtracking_takes_a_gradient_that_is_written_again():
    buffer = np.empty_like(start())

    def f(x):
        loss, buffer[...] = rosenbrock(x)
        return loss, buffer

    expected = GradientDescent(1.0, backtracking=True).minimize(rosenbrock, start(), 10).x
    np.testing.assert_array_equal(
        GradientDescent(1.0, backtracking=True).minimize(f, start(), 10).x, expected
    )


@pytest.mark.parametrize("kind", [Adam, Adagrad, RMSProp])
def test_a_gradient_whose_square_has_no_room_is_told(kind):
    huge = np.full((1, 2, 2, 3), 1e30, np.float32)
    with pytest.raises(DivergedError, match="squares that are too large for float32"):
        kind(1.0).minimize(lambda x: (1.0, huge), np.zeros_like(huge), 3)
    kind(1.0).minimize(lambda x: (1.0, huge.astype(np.float64)), np.zeros(huge.shape), 3)
