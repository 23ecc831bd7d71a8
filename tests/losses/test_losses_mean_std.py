"""Mean and standard deviation loss against plain loops, complex steps and PyTorch; constant channels."""

from __future__ import annotations

import numpy as np
import pytest
from loss_reference import assert_every_element, assert_value, gradient_of

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses.mean_std import MeanStdLoss

SHAPES = [(1, 5, 4, 3), (2, 3, 7, 2), (1, 1, 6, 4), (1, 7, 1, 1), (3, 2, 2, 5)]


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def target(seed, channels):
    return np.abs(draw(seed, 2, channels)) + 0.1


def statistics(image, eps):
    """Mean and sqrt(variance + eps) of each channel of one image (H, W, C), by loops."""
    height, width, channels = image.shape
    found = np.zeros((2, channels))
    for c in range(channels):
        values = [image[place][c] for place in np.ndindex(height, width)]
        mean = sum(values) / len(values)
        found[:, c] = mean, np.sqrt(sum((value - mean) ** 2 for value in values) / len(values) + eps)
    return found


def loss_by_loops(x, ab, eps):
    value = 0.0
    for image in x:
        found = statistics(image, eps)
        for index in np.ndindex(found.shape):
            value += (found[index] - ab[index]) ** 2 / x.shape[3]
    return value


@pytest.mark.parametrize("eps", [1e-5, 0.3])
@pytest.mark.parametrize("shape", SHAPES)
def test_value_is_that_of_plain_loops(shape, eps):
    x, ab = draw(0, *shape) + 2, target(1, shape[3])
    assert_value(MeanStdLoss(ab, 0.6, eps), 0.6 * loss_by_loops(x, ab, eps), x)


@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_target_is_means_and_deviations(eps):
    x = draw(0, 1, 5, 6, 3) * 2 + 4
    np.testing.assert_allclose(MeanStdLoss.target_of(x, eps), statistics(x[0], eps), rtol=1e-12)


def test_values_by_hand():
    x = np.array([1.0, 10, 3, 10]).reshape(1, 1, 2, 2)  # means 2 and 10, variances 1 and 0
    module = MeanStdLoss(np.array([[0.0, 0.0], [0.0, 0.0]]), 3.0, eps=1.25)
    module.update_output(x)
    # 3 / 2 ((2^2 + 10^2) + (1 + 1.25) + (0 + 1.25))
    assert module.loss == pytest.approx(1.5 * (104 + 2.25 + 1.25), rel=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_element_of_the_gradient(shape):
    assert_every_element(MeanStdLoss(target(1, shape[3]), 1.7), draw(2, *shape) + 3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(1, 5, 7, 3), (2, 9, 4, 4), (1, 3, 3, 2)])
def test_gradcheck(seed, shape):
    module = MeanStdLoss(MeanStdLoss.target_of(3 * draw(seed, 1, 6, 5, shape[3])), 30.0)
    report = gradcheck(module, draw(seed + 10, *shape) + 1, seed=seed)
    assert report.passed, str(report)


@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_pytorch_agrees(seed, eps):
    torch = pytest.importorskip("torch")
    x, ab = draw(seed, 2, 6, 7, 4) + 1, target(seed + 1, 4)
    module = MeanStdLoss(ab, 1.3, eps)
    dx = gradient_of(module, x)
    t, a = torch.tensor(x, requires_grad=True), torch.tensor(ab)
    std = (t.var(dim=(1, 2), correction=0) + eps).sqrt()
    loss = 1.3 * sum(((t.mean(dim=(1, 2)) - a[0]) ** 2).mean(1) + ((std - a[1]) ** 2).mean(1))
    loss.backward()
    assert module.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    assert np.linalg.norm(dx - t.grad.numpy()) <= 1e-12 * np.linalg.norm(dx)


def test_channels_that_do_not_vary_have_a_finite_gradient():
    x = draw(0, 1, 4, 5, 3)
    x[..., 1] = 0  # silent behind a ReLU
    x[..., 2] = 7.25
    module = MeanStdLoss(target(1, 3), 1.7)
    assert_every_element(module, x)
    dx = gradient_of(module, x)
    # all that is left is the mean's part, the same at each of the M = 20 positions
    for c in (1, 2):
        slope = 2 * 1.7 / 3 / 20 * (x[0, 0, 0, c] - module.target[0, c])
        np.testing.assert_allclose(dx[..., c], slope, rtol=1e-13)


def test_channels_that_hardly_vary_too():
    module = MeanStdLoss(target(1, 2), 1.7)
    for size in (1e-3, 1e-6, 1e-12):
        assert_every_element(module, size * draw(0, 1, 4, 5, 2))


def test_its_own_target_costs_nothing_at_any_size():
    painting = draw(0, 1, 4, 5, 3)
    painting[..., 2] = 0
    module = MeanStdLoss(MeanStdLoss.target_of(painting), 2.0)
    dx = gradient_of(module, painting)
    assert module.loss == 0
    assert not dx.any()
    twice = np.concatenate([painting, painting], axis=2)
    assert np.abs(gradient_of(module, twice)).max() < 1e-14
    assert module.loss < 1e-28
    module.update_output(painting + 1)
    assert module.loss == pytest.approx(2.0, rel=1e-12)  # the means alone, each off by 1


def test_how_channels_go_together_makes_no_difference():
    painting = draw(0, 1, 6, 5, 3)
    turned = painting.copy()
    turned[..., 0] = turned[:, ::-1, :, 0]
    module = MeanStdLoss(MeanStdLoss.target_of(painting))
    module.update_output(turned)
    assert module.loss < 1e-28


def test_two_images_count_as_one_and_one():
    x, ab = draw(0, 2, 3, 4, 2), target(1, 2)
    both, single = MeanStdLoss(ab), MeanStdLoss(ab)
    dx, losses = gradient_of(both, x), []
    for n in range(2):
        np.testing.assert_allclose(dx[n : n + 1], gradient_of(single, x[n : n + 1]), rtol=1e-12)
        losses.append(single.loss)
    assert both.loss == pytest.approx(sum(losses), rel=1e-13)


def test_the_gradient_is_added_to_memory_of_any_layout():
    module, x, dy = MeanStdLoss(target(1, 3)), draw(0, 1, 5, 4, 3), draw(2, 1, 5, 4, 3)
    module.update_output(x)
    expected = module.update_grad_input(x, dy).copy()
    apart = np.full((2, 10, 8, 6), 99.0)[:, ::2, ::-2, ::2][:1]
    apart[...] = dy
    module.add_gradient(x, apart)
    np.testing.assert_allclose(apart, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("values", [1, 7, 100])
def test_bands_of_any_height_give_the_same(values, monkeypatch):
    module, x = MeanStdLoss(target(1, 3)), draw(0, 1, 15, 4, 3)
    expected = gradient_of(module, x)
    monkeypatch.setattr("nst_manual.kernels.moments.BAND_VALUES", values)
    np.testing.assert_allclose(gradient_of(module, x), expected, rtol=1e-12, atol=1e-15)


def test_float32_is_right_to_its_precision():
    x = (draw(0, 1, 90, 110, 3) + 3000).astype(np.float32)
    ab = np.array([[2990.0, 3001, 3000], [2, 3, 0.5]], np.float32)
    single, double = MeanStdLoss(ab), MeanStdLoss(ab.astype(float))
    dx, expected = gradient_of(single, x), gradient_of(double, x.astype(float))
    assert MeanStdLoss.target_of(x).dtype == dx.dtype == np.float32
    assert single.loss == pytest.approx(double.loss, rel=1e-4)
    assert np.linalg.norm(dx - expected) <= 1e-3 * np.linalg.norm(expected)


def test_a_constant_channel_is_one_in_float32_too():
    # a mean that is off by a part in a million would make a deviation of it; one in ten million is rounding
    x = np.full((1, 300, 200, 2), [100.3, 0.0], np.float32)
    mean, std = MeanStdLoss.target_of(x, eps=1e-12)
    np.testing.assert_allclose(mean, x[0, 0, 0], rtol=1e-7)
    assert np.all(std <= 1e-5)


def test_several_paintings():
    targets = [MeanStdLoss.target_of(draw(seed, 1, 4, 5 + seed, 3)) for seed in range(3)]
    blended = MeanStdLoss.blend(targets, [0.5, 0.3, 0.2])
    np.testing.assert_allclose(blended, 0.5 * targets[0] + 0.3 * targets[1] + 0.2 * targets[2], rtol=1e-14)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="expected 3 channels"):
        MeanStdLoss(np.zeros((2, 3))).update_output(np.zeros((1, 5, 4, 1)))
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        MeanStdLoss(np.zeros((2, 3))).update_output(np.zeros((5, 4, 3)))
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        MeanStdLoss.target_of(np.zeros((5, 4, 3)))
    with pytest.raises(ShapeError, match=r"expected \(2, C\)"):
        MeanStdLoss(np.zeros((3, 3)))
    for eps in (0, -1e-5, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="above 0"):
            MeanStdLoss(np.zeros((2, 3)), eps=eps)
        with pytest.raises(UsageError, match="above 0"):
            MeanStdLoss.target_of(np.zeros((1, 2, 2, 3)), eps)


def test_state_and_print():
    module, x = MeanStdLoss(target(1, 3), 1.7), draw(0, 1, 4, 5, 3)
    expected = gradient_of(module, x)
    assert repr(module) == "MeanStdLoss(eps=1e-05, weight=1.7)"
    module.clear_state()
    assert module.difference is module.mean is module.std is None
    np.testing.assert_array_equal(gradient_of(module, x), expected)
