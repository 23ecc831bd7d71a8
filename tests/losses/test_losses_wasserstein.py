"""Wasserstein loss against eigenvalues, SciPy's square root, PyTorch, and distributions known by hand."""

import numpy as np
import pytest
from loss_reference import assert_every_element, assert_gradient, gradient_of
from scipy.linalg import sqrtm

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import matrix_sqrt
from nst_manual.losses import wasserstein
from nst_manual.losses.wasserstein import WassersteinLoss

FORMS = ("mean", "sum")


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def made(painting, weight=1.0, **settings):
    return WassersteinLoss(WassersteinLoss.target_of(painting), weight, **settings)


def loss_of(module, x):
    module.update_output(x)
    return module.loss


def moments(image):
    """Mean and covariance by loops over positions."""
    flat = [image[h, w] for h, w in np.ndindex(image.shape[:2])]
    mean = sum(flat) / len(flat)
    return mean, sum(np.outer(f - mean, f - mean) for f in flat) / len(flat)


def distance(image, painting, epsilon):
    """The squared distance with SciPy's square root."""
    (m1, s1), (m2, s2) = moments(image), moments(painting)
    added = epsilon * np.trace(s2) / len(m2) * np.eye(len(m2))
    s1, s2 = s1 + added, s2 + added
    root = np.real(sqrtm(s2))
    return np.sum((m1 - m2) ** 2) + np.trace(s1 + s2 - 2 * np.real(sqrtm(root @ s1 @ root)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1, 6, 5, 4), (2, 3, 4, 3), (1, 1, 9, 2), (1, 4, 4, 1)])
def test_value_is_that_of_the_formula(form, shape):
    painting = draw(0, 1, 7, 8, shape[3]) * 2 + 1
    x = draw(1, *shape)
    expected = 0.6 * sum(distance(image, painting[0], 1e-3) for image in x)
    expected /= shape[3] if form == "mean" else 1
    assert loss_of(made(painting, 0.6, form=form, epsilon=1e-3), x) == pytest.approx(expected, rel=1e-9)


def test_one_channel_by_hand():
    # normal distributions on a line: (m - m')^2 + (s - s')^2
    x, painting = np.array([0.0, 2]).reshape(1, 1, 2, 1), np.array([1.0, 9]).reshape(1, 1, 2, 1)
    assert loss_of(made(painting, epsilon=1e-14), x) == pytest.approx((1 - 5) ** 2 + (1 - 4) ** 2, rel=1e-12)


def test_a_shift_costs_its_square():
    painting, shift = draw(0, 1, 6, 7, 3), np.array([0.5, -2.0, 1.0])
    assert loss_of(made(painting, form="sum"), painting + shift) == pytest.approx(5.25, rel=1e-9)


def test_at_the_painting_itself_loss_and_gradient_are_zero():
    painting = draw(0, 1, 8, 7, 5) @ draw(1, 5, 5)
    module, size = made(painting, form="sum"), np.sum(painting**2) / 56
    shuffled = np.random.default_rng(2).permutation(painting.reshape(56, 5)).reshape(1, 7, 8, 5)
    for x in (painting, shuffled, np.concatenate([painting, painting], axis=1)):
        assert np.abs(gradient_of(module, x)).max() <= 1e-9
        assert abs(module.loss) <= 1e-11 * size
    assert loss_of(module, painting * 1.1) > 1e-3 * size


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("settings", [{}, {"form": "sum"}, {"epsilon": 0.02, "relative": False}])
def test_gradcheck(seed, settings):
    module = made(draw(seed, 1, 8, 7, 4), 1.7, **settings)
    for shape in [(1, 6, 5, 4), (2, 5, 3, 4)]:
        report = gradcheck(module, draw(seed + 10, *shape))
        assert report.passed, str(report)


def test_every_element_of_the_gradient():
    assert_every_element(made(draw(0, 1, 5, 6, 3), 0.7), draw(1, 1, 4, 5, 3))


def test_fewer_positions_than_channels():
    # covariances without full rank: what is added makes the distance differentiable
    module, x = made(draw(0, 1, 2, 3, 9), epsilon=1e-2), draw(1, 1, 2, 2, 9)
    dx = gradient_of(module, x)
    expected = distance(x[0], draw(0, 1, 2, 3, 9)[0], 1e-2) / 9
    assert module.loss == pytest.approx(expected, rel=1e-9)
    moved = draw(2, *x.shape)
    slope = (loss_of(module, x + 1e-5 * moved) - loss_of(module, x - 1e-5 * moved)) / 2e-5
    assert slope == pytest.approx(np.vdot(dx, moved), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient_are_those_of_pytorch(seed):
    torch = pytest.importorskip("torch", reason="comparison with PyTorch: pip install torch==2.13.0")
    painting, x = draw(seed, 1, 7, 6, 5) * 3, draw(seed + 9, 1, 6, 8, 5)

    def statistics(features):
        flat = features.reshape(-1, 5)
        mean = flat.mean(0)
        return mean, flat.T @ flat / len(flat) - torch.outer(mean, mean)

    def root(a):
        values, vectors = torch.linalg.eigh((a + a.T) / 2)
        return (vectors * values.sqrt()) @ vectors.T

    leaf = torch.tensor(x, requires_grad=True)
    (m1, s1), (m2, s2) = statistics(leaf), statistics(torch.tensor(painting))
    added = 1e-4 * s2.trace() / 5 * torch.eye(5)
    s1, s2 = s1 + added, s2 + added
    loss = 0.7 / 5 * (((m1 - m2) ** 2).sum() + (s1 + s2 - 2 * root(root(s2) @ s1 @ root(s2))).trace())
    loss.backward()
    module = made(painting, 0.7)
    dx = gradient_of(module, x)
    assert module.loss == pytest.approx(loss.item(), rel=1e-11)
    assert np.linalg.norm(dx - leaf.grad.numpy()) <= 1e-10 * np.linalg.norm(dx)


def test_the_inverse_root_is_what_the_backward_pass_of_the_root_gives():
    module = made(draw(0, 1, 6, 5, 4))
    x = draw(1, 1, 7, 5, 4)
    module.update_output(x)
    mean, covariance = wasserstein.moments(x[0])
    a = module._between(covariance + module.added * np.eye(4))
    root, _ = matrix_sqrt.forward(a)
    da = matrix_sqrt.input_gradient(root, -2 * np.eye(4))
    by_kernel = np.eye(4) + module._between(da)
    np.testing.assert_allclose(module.covariance_gradients[0], by_kernel, rtol=1e-10, atol=1e-12)


def test_a_step_against_the_gradient_is_transport_to_the_painting():
    # F - M/2 dL/dF of the sum is where optimal transport takes the features: the painting's moments
    painting, x = draw(0, 1, 9, 8, 3) @ draw(1, 3, 3), draw(2, 1, 7, 8, 3)
    module = made(painting, form="sum", epsilon=1e-12)
    moved = x - 28 * gradient_of(module, x)
    for got, expected in zip(moments(moved[0]), moments(painting[0]), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)


def test_float32_features_have_the_loss_of_the_same_numbers_in_double():
    painting, x = (draw(seed, 1, 20, 30, 16).astype(np.float32) * 90 + 100 for seed in (0, 1))
    single, double = made(painting), made(painting.astype(float))
    dx, expected = gradient_of(single, x), gradient_of(double, x.astype(float))
    assert dx.dtype == np.float32
    assert single.loss == pytest.approx(double.loss, rel=1e-12)
    assert np.linalg.norm(dx - expected) <= 1e-5 * np.linalg.norm(expected)


def test_much_more_contrast_than_the_painting_in_float32():
    painting, x = draw(0, 1, 9, 9, 40).astype(np.float32), 1e4 * draw(1, 1, 5, 5, 40).astype(np.float32)
    module = made(painting)
    dx = gradient_of(module, x)
    assert np.isfinite(module.loss)
    expected = gradient_of(module, x.astype(float))
    assert np.linalg.norm(dx - expected) <= 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("positions", [1, 7, 40])
def test_bands_of_any_height_give_the_same(positions, monkeypatch):
    module, x = made(draw(0, 1, 6, 5, 3)), draw(1, 2, 7, 6, 3)
    expected = gradient_of(module, x)
    monkeypatch.setattr(wasserstein, "BAND_POSITIONS", positions)
    np.testing.assert_allclose(gradient_of(module, x), expected, rtol=1e-11, atol=1e-14)


def test_a_blend_has_the_moments_of_the_paintings_put_together():
    one, other = draw(0, 1, 4, 6, 3), draw(1, 1, 4, 6, 3) * 2 + 1
    third = np.concatenate([one, other, other], axis=1)
    targets = [WassersteinLoss.target_of(painting) for painting in (one, other)]
    blended = WassersteinLoss.blend(targets, [1 / 3, 2 / 3])
    for got, expected in zip(blended, WassersteinLoss.target_of(third), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)
    for got, expected in zip(WassersteinLoss.blend(targets, [0, 1]), targets[1], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


def test_a_painting_of_one_colour_has_a_loss():
    module = made(np.full((1, 4, 5, 3), 7.0))
    assert_gradient(module, draw(0, 1, 5, 4, 3))


def test_the_state_is_let_go_and_made_anew():
    module, x = made(draw(0, 1, 5, 6, 3)), draw(1, 1, 4, 5, 3)
    expected = gradient_of(module, x)
    module.clear_state()
    assert module.means is module.mean_gradients is module.covariance_gradients is None
    np.testing.assert_array_equal(gradient_of(module, x), expected)


def test_settings_are_printed_and_wrong_ones_refused():
    target = WassersteinLoss.target_of(draw(0, 1, 4, 5, 3))
    assert repr(WassersteinLoss(target, 2.0)) == "WassersteinLoss(mean, epsilon=0.0001, weight=2)"
    absolute = WassersteinLoss(target, form="sum", relative=False)
    assert repr(absolute) == "WassersteinLoss(sum, epsilon=0.0001 absolute, weight=1)"
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        WassersteinLoss(target, form="meen")
    for epsilon in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="above 0"):
            WassersteinLoss(target, epsilon=epsilon)
    with pytest.raises(ShapeError, match="covariance"):
        WassersteinLoss((target[0], target[1][:2]))
    with pytest.raises(ShapeError, match="expected 3 channels"):
        WassersteinLoss(target).update_output(draw(0, 1, 4, 5, 2))
    for shape in [(2, 4, 5, 3), (4, 5, 3)]:
        with pytest.raises(ShapeError, match=r"\(1, H, W, C\)"):
            WassersteinLoss.target_of(draw(0, *shape))
