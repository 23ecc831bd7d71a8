"""Sliced Wasserstein loss, and transport on a line, against plain loops, SciPy and PyTorch."""

import numpy as np
import pytest
from loss_reference import assert_every_element, gradient_of
from scipy.optimize import linear_sum_assignment

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import transport
from nst_manual.losses import sliced_wasserstein
from nst_manual.losses.sliced_wasserstein import SlicedWassersteinLoss


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def made(painting, weight=1.0, **settings):
    return SlicedWassersteinLoss(SlicedWassersteinLoss.target_of(painting, **settings), weight)


def loss_of(module, x):
    module.update_output(x)
    return module.loss


def mean_of_share(ascending, i, count):
    """The i-th of count shares, by repeating each value until the shares are of whole values."""
    many = [value for value in ascending for _ in range(count)]
    return sum(many[i * len(ascending) : (i + 1) * len(ascending)]) / len(ascending)


def by_loops(x, painting, directions):
    """The loss of one image with weight 1."""
    value, count = 0.0, x.shape[0] * x.shape[1]
    for v in directions.T:
        p, t = sorted(x.reshape(-1, len(v)) @ v), sorted(painting.reshape(-1, len(v)) @ v)
        for i in range(count):
            value += (p[i] - mean_of_share(t, i, count)) ** 2
    return value / count / directions.shape[1]


@pytest.mark.parametrize("shape", [(6, 5), (3, 4), (2, 3), (7, 9), (1, 1), (8, 15)])
def test_value_is_that_of_plain_loops(shape):
    painting, x = draw(0, 1, 6, 5, 3), draw(1, 2, *shape, 3)
    module = made(painting, 0.6, directions=4, seed=2)
    expected = 0.6 * sum(by_loops(image, painting[0], module.target[0]) for image in x)
    assert loss_of(module, x) == pytest.approx(expected, rel=1e-11)


def test_one_channel_costs_what_the_best_pairing_costs():
    x, painting = draw(0, 1, 4, 5, 1), draw(1, 1, 4, 5, 1)
    costs = (x.reshape(-1, 1) - painting.reshape(1, -1)) ** 2
    expected = costs[linear_sum_assignment(costs)].mean()
    assert loss_of(made(painting), x) == pytest.approx(expected, rel=1e-12)


def test_directions_have_length_one_and_come_of_the_seed():
    directions = sliced_wasserstein.draw_directions(5, 200, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1, rtol=1e-14)
    np.testing.assert_array_equal(directions, sliced_wasserstein.draw_directions(5, 200, 3))
    assert not np.array_equal(directions, sliced_wasserstein.draw_directions(5, 200, 4))
    np.testing.assert_allclose(directions @ directions.T / 200, np.eye(5) / 5, atol=0.05)  # all around
    assert made(draw(0, 1, 4, 5, 6)).target[0].shape == (6, 6)


def test_the_painting_in_any_order_costs_nothing():
    painting = draw(0, 1, 8, 6, 4)
    module = made(painting)
    shuffled = np.random.default_rng(1).permutation(painting.reshape(48, 4)).reshape(1, 6, 8, 4)
    for x, bound in [
        (painting, 0),
        (shuffled, 1e-15),
        (np.concatenate([painting, painting, painting], axis=2), 1e-13),
    ]:
        assert np.abs(gradient_of(module, x)).max() <= bound
        assert module.loss <= bound
    assert loss_of(module, painting * 1.1) > 1e-3


def test_what_moments_do_not_tell_apart():
    # two values against three, with the same mean and variance
    x = np.array([-1.0, 1] * 6).reshape(1, 3, 4, 1)
    painting = np.array([-np.sqrt(1.5), 0, np.sqrt(1.5)] * 4).reshape(1, 3, 4, 1)
    assert np.var(x) == pytest.approx(np.var(painting))
    assert loss_of(made(painting), x) > 0.1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [{}, {"directions": 7, "seed": 5}, {"quantiles": 11}])
def test_gradcheck(seed, settings):
    module = made(draw(seed, 1, 8, 7, 4), 1.7, **settings)
    for shape in [(1, 6, 5, 4), (2, 4, 7, 4)]:
        report = gradcheck(module, draw(seed + 10, *shape))
        assert report.passed, str(report)


def test_every_element_of_the_gradient():
    assert_every_element(made(draw(0, 1, 5, 6, 3), 0.7), draw(1, 1, 4, 5, 3))


@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient_are_those_of_pytorch(seed):
    torch = pytest.importorskip("torch", reason="comparison with PyTorch: pip install torch==2.13.0")
    painting, x = draw(seed, 1, 6, 8, 5), draw(seed + 9, 1, 8, 6, 5)
    module = made(painting, 0.7, directions=9)
    directions, leaf = torch.tensor(module.target[0]), torch.tensor(x, requires_grad=True)
    got, wanted = (
        (features.reshape(-1, 5) @ directions).sort(0)[0] for features in (leaf, torch.tensor(painting))
    )
    loss = 0.7 * ((got - wanted) ** 2).mean()
    loss.backward()
    dx = gradient_of(module, x)
    assert module.loss == pytest.approx(loss.item(), rel=1e-12)
    assert np.linalg.norm(dx - leaf.grad.numpy()) <= 1e-12 * np.linalg.norm(dx)


def test_few_quantiles_come_near_all_of_them():
    painting, x = draw(0, 1, 40, 50, 3), draw(1, 1, 30, 30, 3) * 1.5
    exact = loss_of(made(painting, quantiles=None), x)
    few = made(painting, quantiles=200)
    assert few.target[1].shape == (3, 200)
    assert loss_of(few, x) == pytest.approx(exact, rel=0.01)
    assert made(painting, quantiles=5000).target[1].shape == (3, 2000)


@pytest.mark.parametrize("values", [1, 7, 40])
def test_bands_of_any_size_give_the_same(values, monkeypatch):
    module, x = made(draw(0, 1, 6, 5, 3)), draw(1, 2, 7, 6, 3)
    expected = gradient_of(module, x)
    monkeypatch.setattr(sliced_wasserstein, "BAND_POSITIONS", values)
    monkeypatch.setattr(transport, "BAND_VALUES", values)
    np.testing.assert_allclose(gradient_of(module, x), expected, rtol=1e-12, atol=1e-15)


def test_float32_is_right_to_its_precision():
    painting, x = (draw(seed, 1, 20, 30, 6).astype(np.float32) * 90 for seed in (0, 1))
    single = made(painting)
    double = SlicedWassersteinLoss(tuple(array.astype(float) for array in single.target))
    dx, expected = gradient_of(single, x), gradient_of(double, x.astype(float))
    assert dx.dtype == np.float32
    assert type(single.loss) is float
    assert single.loss == pytest.approx(double.loss, rel=1e-5)
    # neighbours in order may change places: by as little as they differ
    assert np.linalg.norm(dx - expected) <= 1e-4 * np.linalg.norm(expected)


def test_order_is_that_of_a_stable_sort():
    rng = np.random.default_rng(0)
    values = np.round(rng.standard_normal((5, 400)), 1)
    values[0, ::7], values[0, 1::7] = 0.0, -0.0
    values[1, :4] = np.inf, -np.inf, 3e38, -3e38
    values[2] = 1e-42 * rng.integers(-9, 9, 400)
    for dtype in (np.float32, np.float64):
        x = values.astype(dtype)
        np.testing.assert_array_equal(transport.order(x), np.argsort(x, axis=1, kind="stable"))
    z = values + 1j * rng.standard_normal(values.shape)
    np.testing.assert_array_equal(transport.order(z), np.argsort(values, axis=1, kind="stable"))


@pytest.mark.parametrize("given", [1, 2, 5, 12])
def test_shares_are_those_of_loops(given):
    ascending = np.sort(draw(given, 3, given), axis=1)
    for count in (1, 2, 3, 5, 7, 12, 24, 29):
        shares = transport.shares(ascending, count)
        expected = [[mean_of_share(row, i, count) for i in range(count)] for row in ascending]
        np.testing.assert_allclose(shares, expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(shares.mean(axis=1), ascending.mean(axis=1), rtol=1e-12)
    assert transport.shares(ascending, given) is ascending


def test_transport_keeps_its_input_unless_told_otherwise():
    values, target = draw(0, 3, 20), np.sort(draw(1, 3, 30), axis=1)
    before = values.copy()
    cost, moved = transport.forward(values, target)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_allclose(cost, (moved**2).sum(axis=1), rtol=1e-13)
    again, same = transport.forward(values, target, out=values)
    assert same is values
    np.testing.assert_array_equal(values, moved)
    np.testing.assert_array_equal(again, cost)
    with pytest.raises(ShapeError, match="transport"):
        transport.forward(values, target[:2])


def test_a_blend_of_quantiles_lies_between():
    # of two shifted copies: the copy in the middle
    painting = draw(0, 1, 6, 8, 3)
    targets = [SlicedWassersteinLoss.target_of(painting + shift) for shift in (0.0, 4.0)]
    module = SlicedWassersteinLoss(SlicedWassersteinLoss.blend(targets, [0.75, 0.25]))
    assert loss_of(module, painting + 1.0) <= 1e-28
    smaller = SlicedWassersteinLoss.target_of(painting[:, :3])
    assert SlicedWassersteinLoss.blend([smaller, targets[0]], [0.5, 0.5])[1].shape == (3, 48)
    other = SlicedWassersteinLoss.target_of(painting, seed=1)
    with pytest.raises(UsageError, match="different directions"):
        SlicedWassersteinLoss.blend([targets[0], other], [0.5, 0.5])


def test_the_state_is_let_go_and_made_anew():
    module, x = made(draw(0, 1, 5, 6, 3)), draw(1, 1, 4, 5, 3)
    expected = gradient_of(module, x)
    module.clear_state()
    assert module.displacement is None
    np.testing.assert_array_equal(gradient_of(module, x), expected)


def test_settings_are_printed_and_wrong_ones_refused():
    painting = draw(0, 1, 4, 5, 3)
    assert repr(made(painting, 2.0, directions=8)) == "SlicedWassersteinLoss(8 directions, weight=2)"
    for name in ("directions", "quantiles"):
        with pytest.raises(UsageError, match=f"{name}.*at least 1"):
            made(painting, **{name: 0})
    with pytest.raises(ShapeError, match="directions"):
        SlicedWassersteinLoss((np.ones((3, 4)), np.ones((5, 9))))
    with pytest.raises(ShapeError, match="expected 3 channels"):
        made(painting).update_output(draw(0, 1, 4, 5, 2))
    for shape in [(2, 4, 5, 3), (4, 5, 3)]:
        with pytest.raises(ShapeError, match=r"\(1, H, W, C\)"):
            SlicedWassersteinLoss.target_of(draw(0, *shape))
