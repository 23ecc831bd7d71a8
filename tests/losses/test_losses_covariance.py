"""Covariance loss against plain loops, complex steps and PyTorch; the kernel's sums in float32."""

from __future__ import annotations

import numpy as np
import pytest
from loss_reference import assert_every_element, assert_value, gradient_of

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import moments
from nst_manual.losses import StyleLoss
from nst_manual.losses.covariance import CovarianceLoss

both_forms = pytest.mark.parametrize("form", ["paper", "mean"])
SHAPES = [(1, 5, 4, 3), (2, 3, 7, 2), (1, 1, 6, 4), (1, 7, 1, 1), (3, 2, 2, 5)]


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def covariance(image):
    """1 / M sum_k (F_ik - m_i) (F_jk - m_j) of one image (H, W, C), by loops."""
    height, width, channels = image.shape
    places = list(np.ndindex(height, width))
    means = [sum(image[place][i] for place in places) / len(places) for i in range(channels)]
    found = np.zeros((channels, channels))
    for i, j in np.ndindex(channels, channels):
        for place in places:
            found[i, j] += (image[place][i] - means[i]) * (image[place][j] - means[j]) / len(places)
    return found


def loss_by_loops(x, a, form):
    value, channels = 0.0, x.shape[3]
    for image in x:
        v = covariance(image)
        for index in np.ndindex(v.shape):
            if form == "paper":
                value += (v[index] - a[index]) ** 2 / (4 * channels**2)
            else:
                value += (v[index] / channels - a[index]) ** 2 / channels**2
    return value


@both_forms
@pytest.mark.parametrize("shape", SHAPES)
def test_value_is_that_of_plain_loops(form, shape):
    x, a = draw(0, *shape) + 2, draw(1, shape[3], shape[3])
    assert_value(CovarianceLoss(a, 0.6, form), 0.6 * loss_by_loops(x, a, form), x)


@both_forms
def test_target_is_the_covariance(form):
    x = draw(0, 1, 5, 6, 3) + 4
    found = CovarianceLoss.target_of(x, form)
    np.testing.assert_allclose(found, covariance(x[0]) / (1 if form == "paper" else 3), rtol=1e-11)
    np.testing.assert_allclose(
        CovarianceLoss.target_of(x), np.cov(x.reshape(-1, 3), rowvar=False, bias=True), rtol=1e-11
    )


@both_forms
@pytest.mark.parametrize("shape", SHAPES)
def test_every_element_of_the_gradient(form, shape):
    # the target is not symmetric: F (D + D^T), not 2 F D
    assert_every_element(CovarianceLoss(draw(1, shape[3], shape[3]), 1.7, form), draw(2, *shape) + 3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(1, 5, 7, 3), (2, 9, 4, 4), (1, 3, 3, 2)])
def test_gradcheck(seed, shape):
    module = CovarianceLoss(CovarianceLoss.target_of(draw(seed, 1, 6, 5, shape[3])), 30.0, "mean")
    report = gradcheck(module, draw(seed + 10, *shape) + 1, seed=seed)
    assert report.passed, str(report)


@both_forms
@pytest.mark.parametrize("seed", range(3))
def test_pytorch_agrees(form, seed):
    torch = pytest.importorskip("torch")
    x, a = draw(seed, 2, 6, 7, 4) + 1, draw(seed + 1, 4, 4)
    module = CovarianceLoss(a, 1.3, form)
    dx = gradient_of(module, x)
    t = torch.tensor(x, requires_grad=True)
    loss = 0
    for image in t:
        f = image.reshape(-1, 4)
        v = torch.cov(f.T, correction=0)
        square = ((v / (1 if form == "paper" else 4) - torch.tensor(a)) ** 2).mean()
        loss = loss + 1.3 * square / (4 if form == "paper" else 1)
    loss.backward()
    assert module.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    assert np.linalg.norm(dx - t.grad.numpy()) <= 1e-12 * np.linalg.norm(dx)


@both_forms
def test_its_own_target_costs_nothing_at_any_level_and_size(form):
    painting = draw(0, 1, 4, 5, 3)
    module = CovarianceLoss(CovarianceLoss.target_of(painting, form), 2.0, form)
    dx = gradient_of(module, painting)
    assert module.loss == 0
    assert not dx.any()
    # the mean is left free, and the same pattern twice has the same statistics
    twice = np.concatenate([painting, painting], axis=2) + np.array([5.0, -3.0, 1.0])
    assert np.abs(gradient_of(module, twice)).max() < 1e-14
    assert module.loss < 1e-28


@both_forms
def test_without_means_it_is_the_gram_matrix(form):
    x, a = draw(0, 1, 4, 5, 3), draw(1, 3, 3)
    x -= x.mean(axis=(1, 2))
    module, style = CovarianceLoss(a, 1.2, form), StyleLoss(a, 1.2, form)
    np.testing.assert_allclose(gradient_of(module, x), gradient_of(style, x), rtol=1e-11, atol=1e-14)
    assert module.loss == pytest.approx(style.loss, rel=1e-13)
    style.update_output(x + 1)
    assert style.loss > 1.01 * module.loss  # and where there are, it is not


def test_a_level_added_to_a_channel_is_not_pulled_at():
    x = draw(0, 1, 4, 5, 3)
    dx = gradient_of(CovarianceLoss(draw(1, 3, 3)), x + 7)
    assert np.abs(dx).max() > 0.01
    assert np.abs(dx.sum(axis=(1, 2))).max() < 1e-13


def test_the_gradient_is_added_to_memory_of_any_layout():
    module, x, dy = CovarianceLoss(draw(1, 3, 3)), draw(0, 1, 5, 4, 3), draw(2, 1, 5, 4, 3)
    module.update_output(x)
    expected = module.update_grad_input(x, dy).copy()
    apart = np.full((2, 10, 8, 6), 99.0)[:, ::2, ::-2, ::2][:1]
    apart[...] = dy
    module.add_gradient(x, apart)
    np.testing.assert_allclose(apart, expected, rtol=1e-13, atol=1e-14)


def test_float32_is_as_exact_where_the_mean_is_far_above_the_deviation():
    # the mean product less the product of means would leave no digits of 1 beside 3000^2
    x = (draw(0, 1, 90, 110, 3) + 3000).astype(np.float32)
    a = CovarianceLoss.target_of((2 * draw(1, 1, 9, 9, 3)).astype(np.float32))
    assert a.dtype == np.float32
    single, double = CovarianceLoss(a), CovarianceLoss(a.astype(float))
    dx, expected = gradient_of(single, x), gradient_of(double, x.astype(float))
    assert dx.dtype == np.float32
    assert single.loss == pytest.approx(double.loss, rel=1e-4)
    assert np.linalg.norm(dx - expected) <= 1e-3 * np.linalg.norm(expected)


@pytest.mark.parametrize("values", [1, 7, 100, 2**17])
def test_means_in_bands_of_any_height(values, monkeypatch):
    x = draw(0, 2, 31, 17, 3) + 5
    monkeypatch.setattr("nst_manual.kernels.moments.BAND_VALUES", values)
    np.testing.assert_allclose(moments.mean(x), x.mean(axis=(1, 2)), rtol=1e-14)
    np.testing.assert_allclose(moments.forward(x)[1], x.var(axis=(1, 2)), rtol=1e-12)


def test_means_of_a_large_layer_in_float32():
    x = (np.random.default_rng(0).random((1, 700, 500, 2)) + 100).astype(np.float32)
    mean, variance = moments.forward(x)
    assert mean.dtype == variance.dtype == np.float32
    np.testing.assert_allclose(mean, x.astype(float).mean(axis=(1, 2)), rtol=2e-7)
    np.testing.assert_allclose(variance, x.astype(float).var(axis=(1, 2)), rtol=2e-6)


def test_several_paintings():
    targets = [CovarianceLoss.target_of(draw(seed, 1, 4, 5 + seed, 3)) for seed in range(3)]
    blended = CovarianceLoss.blend(targets, [0.5, 0.3, 0.2])
    np.testing.assert_allclose(blended, 0.5 * targets[0] + 0.3 * targets[1] + 0.2 * targets[2], rtol=1e-14)
    np.testing.assert_array_equal(CovarianceLoss.blend(targets[:1], [1.0]), targets[0])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="expected 3 channels"):
        CovarianceLoss(np.zeros((3, 3))).update_output(np.zeros((1, 5, 4, 1)))
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        CovarianceLoss(np.zeros((3, 3))).update_output(np.zeros((5, 4, 3)))
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        CovarianceLoss.target_of(np.zeros((5, 4, 3)))
    with pytest.raises(ShapeError, match=r"expected \(C, C\)"):
        CovarianceLoss(np.zeros((3, 2)))
    for make in (
        lambda: CovarianceLoss(np.zeros((3, 3)), form="meen"),
        lambda: CovarianceLoss.target_of(np.zeros((1, 2, 2, 3)), "meen"),
    ):
        with pytest.raises(UsageError, match="did you mean 'mean'"):
            make()


def test_state_and_print():
    module, x = CovarianceLoss(draw(1, 3, 3), 1.7), draw(0, 1, 4, 5, 3)
    expected = gradient_of(module, x)
    assert repr(module) == "CovarianceLoss(paper, weight=1.7)"
    module.clear_state()
    assert module.difference is None
    assert module.mean is None
    np.testing.assert_array_equal(gradient_of(module, x), expected)
