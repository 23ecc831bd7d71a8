"""At another size of the image every optimiser begins with what it remembers of the last one."""

import math

import numpy as np
import pytest
from descent_functions import Recorded, rosenbrock, start
from test_optim_corrections import dense_inverse_hessian

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
from nst_manual.optim.carry import bilinear

BOUNDS = (-40.0, 60.0)
DECAY = parse_schedule("warm-up@3,step:0.5@6,exponential:0.97")
KINDS = {
    "adagrad": lambda: Adagrad(8.0, schedule=DECAY),
    "adam": lambda: Adam(3.0),
    "adam-bounded": lambda: Adam(3.0, bounds=BOUNDS, schedule=DECAY),
    "averaged": lambda: Averaged(Adam(3.0), 0.9),
    "backtracking": lambda: GradientDescent(backtracking=True),
    "backtracking-bounded": lambda: GradientDescent(bounds=BOUNDS, backtracking=True),
    "gradient-descent": lambda: GradientDescent(schedule=DECAY),
    "lbfgs": lambda: LBFGS(4),
    "lbfgs-bounded": lambda: LBFGS(4, bounds=BOUNDS),
    "momentum": lambda: Momentum(bounds=BOUNDS),
    "nesterov": lambda: Momentum(nesterov=True, schedule=DECAY),
    "rmsprop": lambda: RMSProp(2.0),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
COLOUR = np.array([90.0, -70.0, 30.0])


def mean_over_positions(x):
    """Return the mean over positions of a sum over channels, a (x / 50)^2 + b (x / 50)^4, and its gradient.

    Large, so that the epsilon of Adam does not count.
    """
    a, b, u, positions = np.array([1e6, 2e6, 5e6]), 1e6, x / 50, x.shape[1] * x.shape[2]
    return float((a * u**2 + b * u**4).sum() / positions), (2 * a * u + 4 * b * u**3) / (50 * positions)


def enlarged(image, size):
    """Return an image (1, h, w, C) at a size, interpolated between centres: loops."""
    _, h, w, channels = image.shape
    result = np.zeros((1, *size, channels))
    for i in range(size[0]):
        for j in range(size[1]):
            y = min(max((i + 0.5) * h / size[0] - 0.5, 0), h - 1)
            x = min(max((j + 0.5) * w / size[1] - 0.5, 0), w - 1)
            for k in range(h):
                for m in range(w):
                    share = max(0, 1 - abs(y - k)) * max(0, 1 - abs(x - m))
                    result[0, i, j] += share * image[0, k, m]
    return result


def state_of(kind, x, iterations=4, f=mean_over_positions):
    """Return the state of an optimiser after a few iterations from x."""
    optimizer = KINDS[kind]()
    optimizer.minimize(f, x, iterations)
    return optimizer.state()


@pytest.mark.parametrize(
    ("before", "after"), [((3, 4), (7, 5)), ((2, 2), (3, 4)), ((1, 3), (4, 3)), ((5, 4), (5, 4))]
)
def test_the_interpolation_is_bilinear_between_centres(before, after):
    image = np.random.default_rng(1).standard_normal((1, *before, 3))
    np.testing.assert_allclose(bilinear(image, after), enlarged(image, after), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_interpolation_keeps_constants_type_and_the_array_given(dtype):
    image = np.full((2, 3, 5, 3), 0.1, dtype)
    result = bilinear(image, (7, 11))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.full((2, 7, 11, 3), 0.1, dtype))
    noise = np.random.default_rng(0).standard_normal((1, 3, 5, 3)).astype(dtype)
    kept = noise.copy()
    bilinear(noise, (7, 11))
    np.testing.assert_array_equal(noise, kept)


@every_kind
@pytest.mark.parametrize("size", [(6, 8), (4, 4), (5, 7)])
def test_one_colour_goes_on_as_if_it_had_been_large_from_the_beginning(kind, size):
    """There the enlarged image shows exactly the same, and so does all that is remembered."""
    shown = []
    large = np.broadcast_to(COLOUR, (1, *size, 3)).copy()
    KINDS[kind]().minimize(mean_over_positions, large, 10, lambda i, x: shown.append(x[0, 0, 0]))

    state = state_of(kind, np.broadcast_to(COLOUR, (1, 3, 4, 3)).copy())
    optimizer, points = KINDS[kind](), []
    inner = optimizer.optimizer if kind == "averaged" else optimizer
    optimizer.carry_over(state)
    x = np.broadcast_to(state["x"][0, 0, 0], large.shape).copy()
    optimizer.minimize(mean_over_positions, x, 6, lambda i, x: points.append(inner.state()["x"]))
    if kind == "averaged":
        shown = []
        KINDS["adam"]().minimize(mean_over_positions, large, 10, lambda i, x: shown.append(x[0, 0, 0]))
    for point, expected in zip(points, shown[4:], strict=True):
        np.testing.assert_allclose(point, np.broadcast_to(expected, large.shape), rtol=1e-7, atol=1e-7)


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_at_the_same_size_it_is_a_restored_state_to_the_bit(kind, dtype):
    x = (50 * start(dtype)).astype(dtype)
    state = state_of(kind, x, 6)
    carried, restored = KINDS[kind](), KINDS[kind]()
    carried.carry_over(state)
    restored.restore(state)
    inner = [o.optimizer if kind == "averaged" else o for o in (carried, restored)]
    points = [[], []]
    for optimizer, own, seen in zip((carried, restored), inner, points, strict=True):
        optimizer.minimize(
            mean_over_positions, state["x"], 5, lambda i, x, o=own, s=seen: s.append(o.state()["x"])
        )
    np.testing.assert_array_equal(*points)
    assert points[0][0].dtype == dtype


def test_adam_goes_on_with_interpolated_moments_and_its_count():
    """Restated: m and v from the gradients of the small run, enlarged; t goes on."""
    rng, (b1, b2), rate = np.random.default_rng(4), (0.8, 0.9), 3.0
    small = Recorded(mean_over_positions)
    optimizer = Adam(rate, (b1, b2))
    optimizer.minimize(small, rng.uniform(-90, 90, (1, 3, 4, 3)), 5)
    m = v = 0.0
    for point in small.points:
        g = mean_over_positions(point)[1]
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    size = (5, 6)
    r = 12 / 30  # of the positions: a pixel's share of the mean
    m, v = r * enlarged(m, size), r**2 * enlarged(v, size)

    x = rng.uniform(-90, 90, (1, *size, 3))  # any: it need not be what the small run came to
    again, shown = Adam(rate, (b1, b2)), []
    again.carry_over(optimizer.state())
    again.minimize(mean_over_positions, x, 4, lambda i, x: shown.append(x.copy()))
    for t, found in enumerate(shown, start=6):
        g = mean_over_positions(x)[1]
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        x = x - rate * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
        np.testing.assert_allclose(found, x, rtol=1e-10, atol=1e-10)


def test_lbfgs_keeps_what_still_has_curvature_and_goes_downhill():
    rng, size = np.random.default_rng(0), (6, 8)
    board = np.indices((3, 4)).sum(0)[None, :, :, None] % 2 * 2.0 - 1 + np.zeros((1, 3, 4, 3))
    smooth = np.broadcast_to(np.linspace(1, 2, 4)[None, None, :, None], (1, 3, 4, 3))
    # the second pair has curvature in its chequers alone, which do not outlast the interpolation
    s = [smooth + 0.1 * board, smooth + board, smooth - 0.2 * board]
    y = [smooth + 0.3 * board, 4 * board - smooth, 2 * smooth - 0.1 * board]
    r, keep = 12 / 48, []
    for one, other in zip(s, y, strict=True):
        assert (one * other).sum() > 0
        pair = enlarged(one, size).ravel(), r * enlarged(other, size).ravel()
        if pair[0] @ pair[1] > 0:
            keep.append(pair)
    assert len(keep) == 2

    x = rng.uniform(-90, 90, (1, *size, 3))
    state = {"x": np.zeros((1, 3, 4, 3)), "loss": 1.0, "gradient": np.zeros(36)}
    state |= {"s": np.reshape(s, (3, -1)), "y": np.reshape(y, (3, -1))}
    optimizer, f = LBFGS(), Recorded(mean_over_positions)
    optimizer.carry_over(state)
    optimizer.minimize(f, x, 1)
    gradient = mean_over_positions(x)[1].ravel()
    step = (f.points[1] - f.points[0]).ravel()
    assert step @ gradient < 0
    np.testing.assert_allclose(step, -dense_inverse_hessian(keep, x.size) @ gradient, rtol=1e-8, atol=1e-10)
    pairs = optimizer.state()
    np.testing.assert_allclose(pairs["s"][:2], [pair[0] for pair in keep], rtol=1e-12)
    np.testing.assert_allclose(pairs["y"][:2], [pair[1] for pair in keep], rtol=1e-12, atol=1e-12)
    assert len(pairs["s"]) == 3


def test_lbfgs_with_less_room_takes_the_newest_pairs():
    x = 50 * start()
    state = state_of("lbfgs", x, 4)
    optimizer = LBFGS(2)
    optimizer.carry_over(state)
    optimizer.minimize(mean_over_positions, state["x"], 1)
    np.testing.assert_array_equal(optimizer.state()["s"][0], state["s"][-1])


def test_lbfgs_goes_on_in_one_large_image_of_noise_with_bounds():
    """No longer a single colour: the loss falls from the first iteration on, and no point is outside."""
    rng = np.random.default_rng(7)
    state = state_of("lbfgs-bounded", rng.uniform(-60, 80, (1, 5, 6, 3)), 6)
    optimizer, f = KINDS["lbfgs-bounded"](), Recorded(mean_over_positions)
    optimizer.carry_over(state)
    losses = []
    optimizer.minimize(
        f,
        enlarged(state["x"], (8, 9)) + rng.normal(0, 5, (1, 8, 9, 3)),
        5,
        lambda i, x: losses.append(mean_over_positions(x)[0]),
    )
    assert all(b < a for a, b in zip([f.losses[0], *losses], losses, strict=False))
    assert min(x.min() for x in f.points) >= BOUNDS[0]


def test_a_rate_that_was_given_stays_and_one_that_was_found_is_brought_along():
    small, large = np.full((1, 2, 2, 3), 30.0), np.full((1, 4, 4, 3), 20.0)
    for make in (GradientDescent, Momentum):
        given, found, again = make(7.0), make(), make()
        for optimizer in (given, found):
            optimizer.minimize(mean_over_positions, small, 1)
        first = found.rate
        again.carry_over(found.state())
        again.minimize(mean_over_positions, large, 1)
        assert again.rate == pytest.approx(4 * first)
        given.carry_over(given.state())
        given.minimize(mean_over_positions, large, 1)
        assert given.rate == 7.0


def test_what_is_not_negative_stays_so_whatever_the_interpolation():
    def with_lobes(image, size):
        return bilinear(image, size) - 0.5 * image.max()

    for kind in ("adam", "adagrad", "rmsprop"):
        state = state_of(kind, 50 * start())
        optimizer = KINDS[kind]()
        optimizer.carry_over(state, with_lobes)
        result = optimizer.minimize(mean_over_positions, 50 * np.ones((1, 4, 4, 3)), 2)
        assert np.isfinite(result.x).all()


def test_the_schedule_counts_on():
    counted = []

    def schedule(iteration, iterations):
        counted.append((iteration, iterations))
        return 1.0

    optimizer = Adam(1.0, schedule=schedule)
    optimizer.minimize(mean_over_positions, 50 * start(), 3)
    optimizer.carry_over(optimizer.state())
    optimizer.minimize(mean_over_positions, np.ones((1, 4, 4, 3)), 2)
    assert counted == [(1, 3), (2, 3), (3, 3), (4, 5), (5, 5)]


@every_kind
def test_it_serves_one_run_and_holds_on_to_nothing(kind):
    x = np.random.default_rng(2).uniform(-30, 50, (1, 4, 5, 3))
    fresh = KINDS[kind]().minimize(mean_over_positions, x, 4).x
    optimizer, state = KINDS[kind](), state_of(kind, 50 * start(), 5)
    runs = []
    for spoiled in (False, True):
        optimizer.carry_over(state)
        if spoiled:
            for value in state.values():
                if isinstance(value, np.ndarray):
                    value[...] = np.nan
        optimizer.minimize(mean_over_positions, x, 0)  # no iterations leave it for the next run
        runs.append(optimizer.minimize(mean_over_positions, x, 4).x)
    np.testing.assert_array_equal(*runs)
    assert not np.array_equal(runs[0], fresh)
    if kind not in ("momentum", "nesterov", "gradient-descent"):  # these keep the rate
        np.testing.assert_array_equal(optimizer.minimize(mean_over_positions, x, 4).x, fresh)


@every_kind
def test_of_a_restored_and_a_carried_state_the_later_one_counts(kind):
    x = 50 * start()
    state, other = state_of(kind, x, 5), state_of(kind, 40 * start(seed=3), 5)

    def two_runs(optimizer):
        return [optimizer.minimize(mean_over_positions, state["x"], 3).x for _ in range(2)]

    for first, then in (("restore", "carry_over"), ("carry_over", "restore")):
        expected, optimizer = KINDS[kind](), KINDS[kind]()
        getattr(expected, then)(state)
        getattr(optimizer, first)(other)
        getattr(optimizer, then)(state)
        np.testing.assert_array_equal(two_runs(optimizer), two_runs(expected))


@every_kind
def test_a_resize_of_ones_own_is_asked_once_for_each_array(kind):
    asked, state = [], state_of(kind, 50 * start(), 3)

    def resize(image, size):
        asked.append((image.shape, size))
        return bilinear(image, size)

    optimizer = KINDS[kind]()
    optimizer.carry_over(state, resize)
    optimizer.minimize(mean_over_positions, np.ones((1, 4, 5, 3)), 2)
    arrays = 2 * len(state["s"]) if "s" in state else {"adam": 2, "averaged": 2}.get(kind.split("-")[0], 1)
    if kind.startswith(("backtracking", "gradient")):  # remember a rate alone
        arrays = 0
    assert asked == [((1, 2, 2, 3), (4, 5))] * arrays


def test_the_average_begins_anew():
    state = state_of("averaged", 50 * start(), 6)
    optimizer, shown, points = KINDS["averaged"](), [], []
    optimizer.carry_over(state)
    optimizer.minimize(
        mean_over_positions,
        np.ones((1, 4, 4, 3)),
        3,
        lambda i, x: (shown.append(x.copy()), points.append(optimizer.optimizer.state()["x"])),
    )
    np.testing.assert_array_equal(shown[0], points[0])
    assert optimizer.state()["averaged"] == 3


def test_scipy_begins_anew_whatever_is_carried_over():
    plain, carried = ScipyLBFGS(), ScipyLBFGS()
    carried.carry_over({})
    results = [optimizer.minimize(rosenbrock, start(), 6).x for optimizer in (plain, carried)]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("taken", "given", "missing"),
    [
        ("adam", "adagrad", "squares"),
        ("adagrad", "adam", "m, v"),
        ("adam", "backtracking", "loss, gradient"),
        ("backtracking", "gradient-descent", "iteration"),
        ("adam", "lbfgs", "s, y"),
        ("lbfgs", "averaged", "iteration, rate, m, v"),
    ],
)
def test_the_state_of_another_optimiser_is_refused(taken, given, missing):
    with pytest.raises(UsageError, match=f"the state is another optimiser's, it has no {missing}"):
        KINDS[given]().carry_over(state_of(taken, 50 * start()))


@every_kind
def test_an_image_of_other_channels_is_refused(kind):
    optimizer = KINDS[kind]()
    optimizer.carry_over(state_of(kind, 50 * start()))
    with pytest.raises(UsageError, match=r"expected another size of the images \(1, 2, 2, 3\)"):
        optimizer.minimize(lambda x: (float((x**2).sum()), 2 * x), np.ones((1, 4, 4, 1)), 2)


def test_a_mean_over_positions_has_the_gradient_that_it_says():
    x, h = 50 * start(), 1e-4
    for index in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[index] = h
        slope = (mean_over_positions(x + moved)[0] - mean_over_positions(x - moved)[0]) / (2 * h)
        assert math.isclose(slope, mean_over_positions(x)[1][index], rel_tol=1e-6, abs_tol=1e-12)
