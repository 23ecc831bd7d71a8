"""The optimisers on a GPU, which is a stand-in here: the way of NumPy, and one transfer an evaluation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nst_manual.backend import array_module, numbers, on_gpu, to_device, to_host
from nst_manual.errors import DivergedError, UsageError
from nst_manual.optim import (
    LBFGS,
    Adagrad,
    Adam,
    Averaged,
    GradientDescent,
    Momentum,
    RMSProp,
    ScipyLBFGS,
    parse_schedule,
)
from nst_manual.optim.corrections import Corrections, dot
from nst_manual.optim.path import Path

SHAPE = (1, 5, 4, 3)
BOUNDS = (-0.6, 0.7)
# What may come over with an evaluation: a handful of numbers.
MOST_BYTES = 200

OPTIMIZERS = {
    "lbfgs": lambda: LBFGS(4),
    "lbfgs-bounds": lambda: LBFGS(4, BOUNDS),
    "adam": lambda: Adam(0.05),
    "adam-bounds-schedule": lambda: Adam(0.1, bounds=BOUNDS, schedule=parse_schedule("step:0.5@3")),
    "adagrad": lambda: Adagrad(0.2),
    "adagrad-bounds": lambda: Adagrad(0.2, bounds=BOUNDS),
    "rmsprop": lambda: RMSProp(0.02, schedule=parse_schedule("warm-up@4")),
    "rmsprop-bounds": lambda: RMSProp(0.02, bounds=BOUNDS),
    "momentum": lambda: Momentum(1e-3),
    "momentum-first-rate": lambda: Momentum(),
    "momentum-bounds": lambda: Momentum(1e-3, bounds=BOUNDS),
    "nesterov-bounds": lambda: Momentum(1e-3, nesterov=True, bounds=BOUNDS),
    "gradient-descent": lambda: GradientDescent(),
    "gradient-descent-bounds": lambda: GradientDescent(1e-3, bounds=BOUNDS),
    "backtracking": lambda: GradientDescent(backtracking=True),
    "backtracking-bounds": lambda: GradientDescent(0.1, BOUNDS, backtracking=True),
    "averaged-adam": lambda: Averaged(Adam(0.05), 0.9),
    "averaged-lbfgs-bounds": lambda: Averaged(LBFGS(4, BOUNDS), 0.5),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


class Function:
    """A function for either device that fetches its loss with the measures; keeps what it was asked.

    Attributes
    ----------
    points : list of array
    before : list of tuple
        What had gone over the bus when it was asked.
    """

    def __init__(self, function, counts=None):
        self.function, self.counts = function, counts
        self.points, self.before = [], []

    def __call__(self, x):
        return self.measured(x, lambda gradient: ())[:2]

    def measured(self, x, measures):
        if self.counts is not None:
            self.before.append((self.counts.synchronisations, self.counts.to_host, self.counts.bytes_to_host))
            self.before[-1] += (self.counts.to_device,)
        self.points.append(x)
        loss, gradient = self.function(x)
        loss, *values = numbers([loss, *measures(gradient)])
        return loss, gradient, values


def quadratic(x):
    """Sum a (x - 1/2)^2 / 2 with a from 1 to 60: some of the minimum's elements are outside of BOUNDS."""
    xp = array_module(x)
    a = xp.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)
    away = x - xp.where(a % 3 == 0, 1.5, 0.5)
    return (a * away**2).sum() / 2, a * away


def rosenbrock(x):
    """Sum 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 over the elements in order."""
    flat = x.reshape(-1)
    here, following = flat[:-1], flat[1:]
    valley = following - here**2
    gradient = array_module(x).zeros_like(flat)
    gradient[:-1] = -400 * here * valley - 2 * (1 - here)
    gradient[1:] += 200 * valley
    return (100 * valley**2 + (1 - here) ** 2).sum(), gradient.reshape(x.shape)


every_function = pytest.mark.parametrize("function", [quadratic, rosenbrock])


def start(seed=0, dtype=float):
    return np.random.default_rng(seed).uniform(-1, 1, SHAPE).astype(dtype)


def near(found, expected, rtol=1e-12):
    """Hold an array of the device to one of NumPy's, relative to the largest value."""
    assert on_gpu(found)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(to_host(found), expected, rtol=0, atol=rtol * scale)


@every_function
@every_optimizer
def test_the_way_is_that_of_numpy(standin, make, function):
    there, here, shown = Function(function), Function(function), []
    found = make().minimize(there, to_device(start()), 10, lambda iteration, x: shown.append(x.copy()))
    expected = []
    result = make().minimize(here, start(), 10, lambda iteration, x: expected.append(x.copy()))
    assert (found.iterations, found.message) == (result.iterations, result.message)
    assert (len(there.points), len(shown)) == (len(here.points), len(expected))
    for a, b in zip([*shown, found.x], [*expected, result.x], strict=True):
        near(a, b)


@every_function
@every_optimizer
def test_an_evaluation_is_one_transfer_of_a_few_numbers(standin, make, function):
    f = Function(function, standin.counts)
    x = to_device(start())
    standin.counts.reset()
    make().minimize(f, x, 8)
    assert len(f.before) >= 8
    # from one question to the next; what is found out about the first gradient may be waited for
    steps = np.diff(np.array(f.before), axis=0)
    for synchronisations, fetched, nbytes, sent in steps[1:]:
        assert (synchronisations, fetched, sent) == (1, 1, 0)
        assert nbytes <= MOST_BYTES
    assert steps[0][0] <= 3 and steps[0][2] <= MOST_BYTES and not steps[0][3]
    total = standin.counts
    assert total.synchronisations <= len(f.before) + 3, "the beginning and the end"
    assert total.to_device == 0


@every_optimizer
def test_it_goes_on_from_a_state_of_the_host_to_the_bit(standin, make):
    whole = make().minimize(Function(rosenbrock), to_device(start()), 12).x
    part = make()
    part.minimize(Function(rosenbrock), to_device(start()), 7)
    arrays = {name: value for name, value in part.state().items() if hasattr(value, "shape")}
    assert all(on_gpu(value) for value in arrays.values())
    state = part.state() | {name: to_host(value) for name, value in arrays.items()}
    for known in (state, part.state()):
        again = make()
        again.restore(known)
        # a schedule without a length counts on; the others do not care
        found = again.minimize(Function(rosenbrock), to_device(to_host(known["x"])), 5).x
        np.testing.assert_array_equal(to_host(found), to_host(whole))


@every_optimizer
def test_a_state_does_not_change_with_the_run(standin, make):
    optimizer, states = make(), []

    def keep(iteration, x):
        states.append(optimizer.state())
        states.append({k: to_host(v).copy() for k, v in states[-1].items() if on_gpu(v)})

    optimizer.minimize(Function(rosenbrock), to_device(start()), 5, keep)
    for state, expected in zip(states[::2], states[1::2], strict=True):
        for name, values in expected.items():
            np.testing.assert_array_equal(to_host(state[name]), values)


def test_another_point_than_that_of_the_state_is_refused(standin):
    for make in (LBFGS, lambda: Adam(0.1)):
        optimizer = make()
        optimizer.minimize(Function(quadratic), to_device(start()), 3)
        optimizer.restore(optimizer.state())
        with pytest.raises(UsageError, match="the point of the restored state"):
            optimizer.minimize(Function(quadratic), to_device(start(1)), 3)


@pytest.mark.parametrize("host", [False, True])
@pytest.mark.parametrize("name", ["lbfgs-bounds", "adam", "momentum-first-rate", "backtracking"])
def test_a_memory_is_carried_over_as_on_the_host(standin, name, host):
    larger = np.random.default_rng(3).uniform(-1, 1, (1, 8, 7, 3))
    make, ends = OPTIMIZERS[name], []
    for place in (to_device, lambda x: x):
        optimizer = make()
        optimizer.minimize(Function(quadratic), place(start()), 6)
        state = optimizer.state()
        if host:
            state = {k: to_host(v) if on_gpu(v) else v for k, v in state.items()}
        optimizer.carry_over(state)
        ends.append(optimizer.minimize(Function(quadratic), place(larger), 6).x)
    near(*ends)


@pytest.mark.parametrize("bounds", [None, BOUNDS])
def test_scipy_takes_its_image_over_the_bus(standin, bounds):
    f = Function(quadratic, standin.counts)
    x = to_device(start())
    standin.counts.reset()
    found = ScipyLBFGS(4, bounds).minimize(f, x, 8)
    assert all(on_gpu(point) for point in f.points)
    near(found.x, ScipyLBFGS(4, bounds).minimize(Function(quadratic), start(), 8).x)
    assert standin.counts.to_device >= len(f.points)


def test_a_gradient_of_zero_ends_the_run(standin):
    def flat(x):
        return 0.0 * x.sum(), array_module(x).zeros_like(x)

    for make in (LBFGS, lambda: GradientDescent(backtracking=True)):
        f = Function(flat)
        result = make().minimize(f, to_device(start()), 5)
        assert (result.iterations, result.failed) == (0, False)
        assert "no lower point" in result.message
        assert len(f.points) <= 2


def test_a_gradient_that_points_out_of_the_bounds_everywhere_ends_the_run(standin):
    def outward(x):
        return -x.sum(), array_module(x).full_like(x, -1.0)

    f = Function(outward)
    result = LBFGS(bounds=(0, 1)).minimize(f, to_device(np.ones(SHAPE)), 5)
    assert result.message == (
        "L-BFGS found no lower point (the gradient is zero, or points out of the bounds, in every pixel)"
    )
    assert (result.iterations, result.failed) == (0, False)
    for point in f.points:
        np.testing.assert_array_equal(to_host(point), np.ones(SHAPE))


def test_a_gradient_of_the_wrong_sign_fails_as_on_the_host(standin):
    def wrong(x):
        loss, gradient = quadratic(x)
        return loss, -gradient

    for make in (LBFGS, lambda: LBFGS(bounds=BOUNDS), lambda: GradientDescent(0.1, backtracking=True)):
        found = make().minimize(Function(wrong), to_device(start()), 5)
        expected = make().minimize(Function(wrong), start(), 5)
        assert (found.iterations, found.message, found.failed) == (0, expected.message, True)


@pytest.mark.parametrize("bad", [1.0, math.nan, math.inf])
def test_a_path_that_does_not_lead_down_asks_for_the_point_itself(standin, bad):
    x, gradient = to_device(start()), to_device(start(1).reshape(-1))
    f = Function(quadratic)
    path = Path(f, x, gradient, gradient * bad, None)
    assert not path.slope < 0
    assert len(f.points) == 1
    np.testing.assert_array_equal(to_host(f.points[0]), start())


def test_a_path_knows_the_products_of_its_last_pair(standin):
    x = start().reshape(-1)
    _, gradient = (part.reshape(-1) for part in quadratic(start()))
    path = Path(
        Function(quadratic),
        to_device(start()),
        to_device(gradient),
        to_device(-gradient / 50),
        BOUNDS,
    )
    here = Path(Function(quadratic), start(), gradient, -gradient / 50, BOUNDS)
    for step in (1.0, 0.3, 2.0):
        np.testing.assert_allclose(path(step), here(step), rtol=1e-12)
        s, y = here.tried[0] - x, here.tried[2] - gradient
        np.testing.assert_allclose(path.products, [s @ y, s @ s, y @ y], rtol=1e-12)
    assert (here.products, path.slope) == (None, pytest.approx(here.slope, rel=1e-12))


def test_squares_without_room_are_told_with_the_next_evaluation_or_at_the_end(standin):
    def steep(x):
        loss, gradient = quadratic(x)
        return loss, gradient * x.dtype.type(1e30)

    for make in (Adam, RMSProp, Adagrad):
        for iterations in (5, 1):
            f = Function(steep)
            with pytest.raises(DivergedError, match="squares that are too large for float32"):
                make().minimize(f, to_device(start(dtype=np.float32)), iterations)
            assert len(f.points) == min(iterations, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_are_kept(standin, dtype):
    for make in OPTIMIZERS.values():
        f, shown, optimizer = Function(rosenbrock), [], make()
        result = optimizer.minimize(
            f, to_device(start(dtype=dtype)), 5, lambda iteration, x, shown=shown: shown.append(x)
        )
        state = [value for value in optimizer.state().values() if on_gpu(value)]
        for x in [*f.points, *shown, result.x, *state]:
            assert x.dtype == dtype


def test_dot_products_stay_there_and_are_summed_in_float64(standin):
    a, b = np.random.default_rng(4).uniform(-1e25, 1e25, (2, 3001)).astype(np.float32)
    standin.counts.reset()
    found = dot(to_device(a), to_device(b))
    assert (standin.counts.synchronisations, found.shape, found.dtype) == (0, (), np.float64)
    assert numbers([found])[0] == pytest.approx(float(a.astype(float) @ b.astype(float)), rel=1e-12)


def pairs_of_a_quadratic(seed, size=60):
    rng = np.random.default_rng(seed)
    diagonal = rng.uniform(0.5, 3, size)
    return [(s, diagonal * s) for s in rng.standard_normal((4, size))], rng


@pytest.mark.parametrize("share", [-0.1, 0.0, 1e-9])
@pytest.mark.parametrize("refused", [(), (1,), (3,), (0, 1, 2, 3)])
def test_pairs_whose_free_parts_have_too_little_curvature_have_no_effect(standin, refused, share):
    """Their curvature in the free variables is that share of the product of the lengths."""
    pairs, rng = pairs_of_a_quadratic(5)
    free = rng.uniform(size=60) < 0.5
    for i in refused:  # the rest has enough of it
        s, y = (part[free] for part in pairs[i])
        across = y - (s @ y) / (s @ s) * s
        pairs[i][1][free] = across + share * np.sqrt((across @ across) / (s @ s)) * s
    q = rng.standard_normal(60) * free
    found, expected = to_device(q), q.copy()
    there, here = Corrections(4, found), Corrections(4, q)
    for s, y in pairs:
        assert here.add(s, y) and there.add(to_device(s), to_device(y))
    movable = to_device(free)
    standin.counts.reset()
    there.multiply(found, movable)
    assert (standin.counts.synchronisations, standin.counts.to_device) == (0, 0)
    here.multiply(expected, free)
    near(found, expected)
    assert not to_host(found)[~free].any()


def test_pairs_are_added_refused_and_kept_as_on_the_host(standin):
    pairs, rng = pairs_of_a_quadratic(6)
    pairs[1:1] = [(pairs[0][0], -pairs[0][1]), (np.zeros(60), pairs[0][1])]
    there, here = Corrections(3, to_device(np.zeros(60))), Corrections(3, np.zeros(60))
    for s, y in pairs:
        assert there.add(to_device(s), to_device(y)) == here.add(s, y)
    q = rng.standard_normal(60)
    found = to_device(q)
    there.multiply(found)
    here.multiply(q)
    near(found, q)
    for name, rows in here.state().items():
        np.testing.assert_array_equal(to_host(there.state()[name]), rows)
