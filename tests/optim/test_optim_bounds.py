"""Pixel bounds: no point outside is asked for, and the constrained minimum is reached."""

import numpy as np
import pytest
from descent_functions import Recorded, quadratic, rosenbrock, start
from scipy.optimize import lsq_linear

from nst_manual.errors import UsageError
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
from nst_manual.optim.bounds import bent_slope, check_bounds, outward, project
from nst_manual.optim.corrections import Corrections
from nst_manual.optim.weak_wolfe import weak_wolfe

# All with bounds narrow enough for half of the variables to end there.
# Through SciPy's unit and back, 0.22 comes out a little larger.
LOW, HIGH = -0.44, 0.22
KINDS = {
    "adagrad": lambda bounds=None: Adagrad(0.3, bounds=bounds),
    "adam": lambda bounds=None: Adam(0.1, bounds=bounds),
    "averaged": lambda bounds=None: Averaged(Adam(0.1, bounds=bounds), 0.5),
    "backtracking": lambda bounds=None: GradientDescent(bounds=bounds, backtracking=True),
    "gradient-descent": lambda bounds=None: GradientDescent(0.01, bounds=bounds),
    "lbfgs": lambda bounds=None: LBFGS(bounds=bounds),
    "lbfgs-scipy": lambda bounds=None: ScipyLBFGS(bounds=bounds),
    "momentum": lambda bounds=None: Momentum(0.01, bounds=bounds),
    "nesterov": lambda bounds=None: Momentum(0.01, nesterov=True, bounds=bounds),
    "rmsprop": lambda bounds=None: RMSProp(0.05, bounds=bounds),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def bowl(size, condition, seed):
    """Return a convex quadratic with dense Hessian, and where it is lowest in 0..1: SciPy's answer."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((size, size)))
    root = np.sqrt(np.geomspace(1, condition, size))[:, None] * turn.T
    centre = rng.uniform(-1, 2, size)  # two thirds of it beyond the bounds

    def f(x):
        residual = root @ (x.ravel() - centre)
        return float(residual @ residual / 2), (root.T @ residual).reshape(x.shape)

    exact = lsq_linear(root, root @ centre, (0, 1), method="bvls", tol=1e-15, max_iter=1000).x
    return f, exact


def projected_gradient(x, gradient):
    """Return x - P(x - g) in 0..1: zero where the conditions of Karush, Kuhn and Tucker hold."""
    return x - np.clip(x - gradient, 0, 1)


CONVEX = {
    "lbfgs": (lambda rate: LBFGS(bounds=(0, 1)), 1e-7),
    "lbfgs-scipy": (lambda rate: ScipyLBFGS(bounds=(0, 1)), 1e-7),
    "backtracking": (lambda rate: GradientDescent(bounds=(0, 1), backtracking=True), 3e-7),
    "gradient-descent": (lambda rate: GradientDescent(rate, bounds=(0, 1)), 1e-12),
    "momentum": (lambda rate: Momentum(rate, bounds=(0, 1)), 1e-12),
    "nesterov": (lambda rate: Momentum(rate, nesterov=True, bounds=(0, 1)), 1e-12),
}


@pytest.mark.parametrize("kind", CONVEX)
@pytest.mark.parametrize(
    ("size", "condition", "seed"), [(12, 10, 2), (12, 10, 3), (48, 1e3, 0), (48, 1e3, 1)]
)
def test_the_constrained_minimum_of_a_quadratic_is_found(kind, size, condition, seed):
    f, exact = bowl(size, condition, seed)
    assert 0 < ((exact == 0) | (exact == 1)).sum() < size
    make, tolerance = CONVEX[kind]
    most = 200 if kind.startswith("lbfgs") else 3000
    x = make(1 / condition).minimize(f, np.full((1, size // 3, 1, 3), 0.5), most).x
    np.testing.assert_allclose(x.ravel(), exact, atol=tolerance)
    # the Hessian's largest value turns distance into gradient
    assert np.abs(projected_gradient(x, f(x)[1])).max() < condition * tolerance


@pytest.mark.parametrize("seed", range(3))
def test_bounded_lbfgs_is_a_quasi_newton_method(seed):
    """With a condition of 10^4, as many iterations as SciPy's take it as far; projected gradients do not."""
    f, exact = bowl(150, 1e4, seed)
    x = np.full((1, 50, 1, 3), 0.5)
    lowest = f(exact)[0]
    left = {}
    for name, optimizer, most in [
        ("own", LBFGS(bounds=(0, 1)), 50),
        ("scipy", ScipyLBFGS(bounds=(0, 1)), 50),
        ("gradient", GradientDescent(bounds=(0, 1), backtracking=True), 50),
    ]:
        left[name] = f(optimizer.minimize(f, x, most).x)[0] - lowest
    assert left["own"] < 10 * left["scipy"] + 1e-12 * lowest
    assert left["own"] < 0.1 * left["gradient"]


@pytest.mark.parametrize("kind", ["lbfgs", "lbfgs-scipy", "backtracking"])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_never_rises_along_the_bounds(kind, seed):
    f, _ = bowl(48, 1e3, seed)
    x = np.random.default_rng(seed).uniform(0, 1, (1, 4, 4, 3))
    losses = [f(x)[0]]
    CONVEX[kind][0](1).minimize(f, x, 25, lambda iteration, x: losses.append(f(x)[0]))
    assert len(losses) > 10
    assert all(after <= before for before, after in zip(losses, losses[1:], strict=False))


@pytest.mark.parametrize("kind", ["lbfgs", "lbfgs-scipy"])
def test_a_curved_valley_is_followed_along_a_bound(kind):
    """The valley leads to 1, which lies outside: some variables stay at 0.5, the others follow them."""
    x = KINDS[kind]((-1.0, 0.5)).minimize(rosenbrock, np.zeros((1, 2, 2, 3)), 300).x
    loss, gradient = rosenbrock(x)
    held = (x == 0.5) & (gradient <= 0)
    assert held.any()
    assert np.abs(gradient[~held]).max() < 1e-4
    for seed in range(100):  # no point near is lower
        near = np.clip(x + np.random.default_rng(seed).normal(0, 1e-3, x.shape), -1, 0.5)
        assert rosenbrock(near)[0] > loss


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_point_outside_is_asked_for_or_shown(kind, dtype):
    f, shown = Recorded(rosenbrock), []
    result = KINDS[kind]((LOW, HIGH)).minimize(f, start(dtype), 30, lambda i, x: shown.append(x.copy()))
    low, high = dtype(LOW), dtype(HIGH)
    for x in [*f.points, *shown, result.x]:
        assert x.dtype == dtype
        assert x.min() >= low
        assert x.max() <= high
    np.testing.assert_allclose(f.points[0], np.clip(start(dtype), low, high), rtol=4e-16)
    assert f.losses[-1] < f.losses[0]


@every_kind
def test_the_start_is_projected_but_not_written(kind):
    x = start()
    result = KINDS[kind]((LOW, HIGH)).minimize(quadratic, x, 0)
    np.testing.assert_array_equal(result.x, np.clip(start(), LOW, HIGH))
    np.testing.assert_array_equal(x, start())


@pytest.mark.parametrize("kind", [name for name in KINDS if not name.startswith("lbfgs")])
def test_bounds_that_are_never_reached_change_nothing(kind):
    """A projection is the only difference (L-BFGS searches otherwise along a path that may have bends)."""
    expected = KINDS[kind]().minimize(quadratic, start(), 20).x
    np.testing.assert_array_equal(KINDS[kind]((-1e3, 1e3)).minimize(quadratic, start(), 20).x, expected)


@every_kind
def test_at_a_corner_that_is_the_minimum_nothing_moves(kind):
    """Every gradient points outwards: the Karush-Kuhn-Tucker point of a slope."""
    f = Recorded(lambda x: (float(x.sum()), np.ones_like(x)))
    result = KINDS[kind]((0, 1)).minimize(f, np.zeros((1, 2, 2, 3)), 5)
    np.testing.assert_array_equal(result.x, np.zeros((1, 2, 2, 3)))
    if kind == "lbfgs":
        assert result.message == (
            "L-BFGS found no lower point (the gradient is zero, or points out of the bounds, in every pixel)"
        )
    if kind in ("lbfgs", "lbfgs-scipy", "backtracking"):
        assert result.iterations == 0
        assert "no lower point" in result.message
        assert not result.failed
        assert len(f.points) == 1


def test_a_ball_at_a_wall_does_not_go_on_pushing():
    """Heavy ball: pushed to the wall ten times, it leaves at once when the gradient turns."""
    calls = []

    def f(x):
        calls.append(1)
        return 0.0, np.full_like(x, -1.0 if len(calls) <= 10 else 1.0)

    shown = []
    Momentum(0.3, bounds=(0, 1)).minimize(
        f, np.zeros((1, 1, 1, 3)), 12, lambda i, x: shown.append(x[0, 0, 0, 0])
    )
    assert shown[9] == 1
    assert shown[10] == pytest.approx(0.7)
    assert shown[11] == pytest.approx(0.7 - 0.3 * 1.9)


@pytest.mark.parametrize("bounds", [(1, 0), (0, 0), (0,), (0, 1, 2), ("a", "b"), 5, (0, float("nan"))])
def test_bounds_that_are_none_are_refused(bounds):
    for make in KINDS.values():
        with pytest.raises(UsageError, match="bounds: expected two numbers, the lower one first"):
            make(bounds)


def test_bounds_of_numpy_leave_the_type_alone():
    bounds = (np.float64(0), np.float64(255))
    assert all(type(bound) is float for bound in check_bounds(bounds))
    for kind in KINDS.values():
        assert kind(bounds).minimize(quadratic, start(np.float32), 2).x.dtype == np.float32


def test_projection_and_what_leaves_the_bounds():
    x = np.array([-1.0, 0, 0.5, 1, 2])
    assert project(x, None) is x
    np.testing.assert_array_equal(project(x, (0.0, 1.0)), [0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(outward(x, np.full(5, 1.0), (0.0, 1.0)), [False, False, False, True, True])
    np.testing.assert_array_equal(outward(x, np.full(5, -1.0), (0.0, 1.0)), [True, True, False, False, False])
    assert not outward(x, np.zeros(5), (0.0, 1.0)).any()


def test_elements_that_have_come_to_a_bound_have_no_part_in_the_slope():
    gradient, direction, free = np.array([[1.0, 2, 4, 8], [1, -1, 1, -1], [0.5, 1.5, 0.2, -0.1]])
    assert bent_slope(gradient, direction, free, project(free, (0.0, 1.0))) == 1 + 4
    assert bent_slope(gradient, direction, free, project(free, None)) == 1 - 2 + 4 - 8


@pytest.mark.parametrize("seed", range(4))
def test_the_search_is_told_the_slopes_of_the_path_with_its_bends(seed):
    """Finite differences of the loss along P(x + t d), to the right of t."""
    f, _ = bowl(12, 10, seed)
    rng = np.random.default_rng(seed)
    slopes = []

    def probe(along, loss, slope):
        h = 1e-6
        assert (along(h)[0] - loss) / h == pytest.approx(slope, rel=1e-3, abs=1e-6)
        for t in rng.uniform(0, 3, 5):
            here, there = along(t), along(t + h)
            assert (there[0] - here[0]) / h == pytest.approx(here[1], rel=1e-3, abs=1e-6)
            slopes.append(here[1])
        return weak_wolfe(along, loss, slope)

    optimizer = LBFGS(bounds=(0, 1))
    optimizer.bent_search = probe
    for _ in range(10):
        x = rng.uniform(0, 1, (1, 4, 1, 3)).round()  # at bounds in every variable
        optimizer.minimize(f, x, 4)
    assert len(slopes) > 50


@pytest.mark.parametrize("seed", range(4))
def test_directions_of_bounded_lbfgs_are_those_of_the_free_variables(seed):
    """As if the others did not exist: the pairs' parts, without those that have no curvature left."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((12, 12))
    hessian = root @ root.T + 0.01 * np.eye(12)
    free = rng.random(12) < 0.6
    whole, part = Corrections(6, np.zeros(12)), Corrections(6, np.zeros(free.sum()))
    kept = []
    for s in rng.standard_normal((6, 12)):
        assert whole.add(s, hessian @ s)
        kept.append(part.add(s[free], (hessian @ s)[free]))
    q = np.where(free, rng.standard_normal(12), 0)
    expected = q[free].copy()
    part.multiply(expected)
    whole.multiply(q, free)
    np.testing.assert_allclose(q[free], expected, rtol=1e-10)
    assert not q[~free].any()
    assert any(kept)


def test_a_pair_whose_part_has_no_curvature_is_left_out():
    corrections = Corrections(2, np.zeros(3))
    assert corrections.add(np.array([1.0, 1, 0]), np.array([-1.0, 3, 0]))
    q = np.array([2.0, 0, 0])
    corrections.multiply(q, np.array([True, False, False]))
    np.testing.assert_array_equal(q, [2, 0, 0])


def test_schedule_and_bounds_go_together():
    def f(x):
        return 0.0, np.full_like(x, -0.4)

    shown, x = [], np.zeros((1, 1, 1, 1))
    optimizer = GradientDescent(1.0, bounds=(0, 0.72), schedule=parse_schedule("exponential:0.5"))
    optimizer.minimize(f, x, 4, lambda i, x: shown.append(x[0, 0, 0, 0]))
    np.testing.assert_allclose(shown, [0.4, 0.6, 0.7, 0.72])
