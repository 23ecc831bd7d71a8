"""Histogram loss against plain loops and PyTorch."""

import numpy as np
import pytest
from loss_reference import assert_every_element, gradient_of

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses import histogram
from nst_manual.losses.histogram import HistogramLoss


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def made(painting, weight=1.0, **settings):
    return HistogramLoss(HistogramLoss.target_of(painting, **settings), weight)


def loss_of(module, x):
    module.update_output(x)
    return module.loss


def remapped(x, painting):
    """R(F) of one image, for as many positions: the i-th smallest becomes the painting's i-th."""
    result = np.zeros_like(x)
    for c in range(x.shape[2]):
        places = sorted(np.ndindex(x.shape[:2]), key=lambda place, c=c: x[(*place, c)])
        for place, value in zip(places, sorted(painting[..., c].ravel()), strict=True):
            result[(*place, c)] = value
    return result


@pytest.mark.parametrize("grid", [None, 0.5])
def test_value_and_gradient_are_those_of_plain_loops(grid):
    painting, x = draw(0, 1, 5, 6, 3), draw(1, 2, 3, 10, 3)
    if grid:  # values that are equal, in the order in which they stand
        painting, x = np.round(painting / grid) * grid, np.round(x / grid) * grid
    module = made(painting, 0.6)
    dx = gradient_of(module, x)
    apart = x - np.stack([remapped(image, painting[0]) for image in x])
    assert module.loss == pytest.approx(0.6 * np.sum(apart**2) / 90, rel=1e-13)
    np.testing.assert_allclose(dx, 1.2 / 90 * apart, rtol=1e-13, atol=1e-16)


def test_another_size_by_hand():
    painting = np.array([5.0, 1, 3]).reshape(1, 1, 3, 1)
    # two values: each for one and a half of 1, 3, 5, with means 5/3 and 13/3
    module, x = made(painting), np.array([7.0, 0]).reshape(1, 1, 2, 1)
    apart = np.array([7 - 13 / 3, 0 - 5 / 3])
    np.testing.assert_allclose(gradient_of(module, x).ravel(), apart, rtol=1e-14)
    assert module.loss == pytest.approx(np.sum(apart**2) / 2, rel=1e-14)


def test_the_painting_in_any_order_costs_nothing():
    painting = np.maximum(draw(0, 1, 8, 6, 4), 0)
    module, rng = made(painting), np.random.default_rng(1)
    # each channel in an order of its own: a histogram does not see it
    shuffled = rng.permuted(painting.reshape(48, 4), axis=0).reshape(1, 6, 8, 4)
    for x in (painting, shuffled):
        assert not gradient_of(module, x).any()
        assert module.loss == 0
    twice = np.concatenate([painting, painting], axis=2)
    assert np.abs(gradient_of(module, twice)).max() <= 1e-15
    assert loss_of(module, painting * 1.1) > 1e-3


def test_a_step_against_the_gradient_has_the_paintings_histogram():
    painting, x = draw(0, 1, 6, 5, 3), draw(1, 1, 5, 6, 3)
    moved = x - 45 * gradient_of(made(painting), x)
    got, expected = (np.sort(image.reshape(30, 3), axis=0) for image in (moved, painting))
    np.testing.assert_allclose(got, expected, atol=1e-14)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [{}, {"quantiles": 11}])
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
    leaf = torch.tensor(x, requires_grad=True)
    got, wanted = (f.reshape(-1, 5).sort(0)[0] for f in (leaf, torch.tensor(painting)))
    loss = 0.7 * ((got - wanted) ** 2).mean()
    loss.backward()
    module = made(painting, 0.7)
    dx = gradient_of(module, x)
    assert module.loss == pytest.approx(loss.item(), rel=1e-12)
    assert np.linalg.norm(dx - leaf.grad.numpy()) <= 1e-12 * np.linalg.norm(dx)


@pytest.mark.parametrize("positions", [1, 7, 40])
def test_bands_of_any_height_give_the_same(positions, monkeypatch):
    module, x = made(draw(0, 1, 6, 5, 3)), draw(1, 2, 7, 6, 3)
    expected = gradient_of(module, x)
    monkeypatch.setattr(histogram, "BAND_POSITIONS", positions)
    np.testing.assert_array_equal(gradient_of(module, x), expected)


def test_float32_is_right_to_its_precision():
    painting, x = (draw(seed, 1, 20, 30, 6).astype(np.float32) * 90 for seed in (0, 1))
    single, double = made(painting), made(painting.astype(float))
    dx, expected = gradient_of(single, x), gradient_of(double, x.astype(float))
    assert dx.dtype == np.float32
    assert type(single.loss) is float
    assert single.loss == pytest.approx(double.loss, rel=1e-6)
    assert np.linalg.norm(dx - expected) <= 1e-6 * np.linalg.norm(expected)


def test_quantiles_are_limited_and_blended():
    painting = draw(0, 1, 40, 50, 3)
    assert HistogramLoss.target_of(painting, quantiles=100).shape == (3, 100)
    assert HistogramLoss.target_of(painting, quantiles=None).shape == (3, 2000)
    small = draw(1, 1, 6, 8, 3)
    targets = [HistogramLoss.target_of(small + shift) for shift in (0.0, 4.0)]
    assert loss_of(HistogramLoss(HistogramLoss.blend(targets, [0.75, 0.25])), small + 1.0) <= 1e-28


def test_the_target_is_no_view_of_the_features():
    for features in (draw(0, 1, 4, 5, 1), draw(0, 1, 1, 1, 3), draw(0, 1, 4, 5, 3)):
        target = HistogramLoss.target_of(features)
        assert not np.shares_memory(target, features)


def test_the_state_is_let_go_and_made_anew():
    module, x = made(draw(0, 1, 5, 6, 3)), draw(1, 1, 4, 5, 3)
    expected = gradient_of(module, x)
    module.clear_state()
    assert module.displacement is None
    np.testing.assert_array_equal(gradient_of(module, x), expected)


def test_settings_are_printed_and_wrong_ones_refused():
    painting = draw(0, 1, 4, 5, 3)
    assert repr(made(painting, 2.0)) == "HistogramLoss(20 quantiles, weight=2)"
    with pytest.raises(UsageError, match="at least 1"):
        made(painting, quantiles=0)
    with pytest.raises(ShapeError, match="quantiles"):
        HistogramLoss(np.ones(5))
    with pytest.raises(ShapeError, match="expected 3 channels"):
        made(painting).update_output(draw(0, 1, 4, 5, 2))
    for shape in [(2, 4, 5, 3), (4, 5, 3)]:
        with pytest.raises(ShapeError, match=r"\(1, H, W, C\)"):
            HistogramLoss.target_of(draw(0, *shape))
