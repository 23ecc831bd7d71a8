"""Style loss of a region against plain loops, PyTorch and the loss without a mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_reference import assert_every_element, assert_gradient, assert_value, gradient_of

from nst_manual import nn
from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses import StyleLoss, gram
from nst_manual.losses.guided import GuidedStyleLoss, guided_gram, normalised

SHAPE = (1, 5, 7, 3)
both_forms = pytest.mark.parametrize("form", ["paper", "mean"])


def draw(seed, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape)


def soft(seed, shape=SHAPE):
    """A soft mask, a third of it 0."""
    return np.maximum(np.random.default_rng(seed).uniform(-0.5, 1, shape[1:3]), 0) + 1e-3 * np.eye(
        *shape[1:3]
    )


def make(form, shape=SHAPE, seed=3, guide=None):
    """A loss with a random target, which is not symmetric."""
    return GuidedStyleLoss(
        draw(seed, (shape[3], shape[3])), soft(seed, shape) if guide is None else guide, 1.7, form
    )


def gram_loops(image, guide):
    """S_ij = sum_k T_k^2 F_ik F_jk over sum_k T_k^2."""
    height, width, n = image.shape
    s = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        for h, w in np.ndindex(height, width):
            s[i, j] += guide[h, w] ** 2 * image[h, w, i] * image[h, w, j]
    return s / sum(t**2 for t in guide.ravel())


def value(x, guide, target, form):
    n = x.shape[3]
    loss = 0.0
    for image in x:
        s = gram_loops(image, guide)
        loss += ((s - target) ** 2).sum() / (4 * n**2) if form == "paper" else ((s / n - target) ** 2).mean()
    return loss


@both_forms
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4)), st.integers(0, 99)
)
def test_value_is_that_of_plain_loops(form, shape, seed):
    guide, target, x = soft(seed, shape), draw(seed + 1, (shape[3],) * 2), draw(seed + 2, shape)
    assert_value(GuidedStyleLoss(target, guide, 0.6, form), 0.6 * value(x, guide, target, form), x)


@both_forms
@pytest.mark.parametrize("seed", range(3))
def test_gradient(form, seed):
    shape = (1, 4 + seed, 7, 3)
    report = gradcheck(make(form, shape, seed), draw(seed + 10, shape), seed=seed)
    assert report.passed, report


@both_forms
def test_every_element_of_the_gradient_by_complex_step(form):
    assert_every_element(make(form, (2, 5, 7, 3)), draw(1, (2, 5, 7, 3)))
    big = (1, 71, 53, 5)  # several bands of rows on both ways
    assert_gradient(make(form, big), draw(2, big))


@both_forms
def test_pytorch_computes_the_same(form):
    torch = pytest.importorskip("torch")
    x, module, guide = draw(1), make(form), soft(3)
    leaf = torch.tensor(x[0].reshape(-1, 3)).requires_grad_()
    features = leaf * torch.tensor(guide.reshape(-1, 1) / np.sqrt((guide**2).sum()))
    s = features.T @ features
    difference = (s if form == "paper" else s / 3) - torch.tensor(module.target)
    loss = 1.7 * ((difference**2).sum() / 36 if form == "paper" else (difference**2).mean())
    loss.backward()
    dx = gradient_of(module, x)
    assert module.loss == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(dx, leaf.grad.numpy().reshape(x.shape), rtol=0, atol=1e-13)


@both_forms
@pytest.mark.parametrize("level", [1.0, 0.01, 1e-200])
def test_a_mask_that_is_the_same_everywhere_is_no_mask(form, level):
    x, target = draw(1), draw(2, (3, 3))
    module, plain = (
        GuidedStyleLoss(target, np.full(SHAPE[1:3], level), 1.7, form),
        StyleLoss(target, 1.7, form),
    )
    np.testing.assert_allclose(gradient_of(module, x), gradient_of(plain, x), rtol=1e-12, atol=1e-15)
    assert module.loss == pytest.approx(plain.loss, rel=1e-13)
    np.testing.assert_allclose(guided_gram(x, np.full(SHAPE[1:3], level), form), gram(x, form), rtol=1e-12)


@both_forms
def test_a_hard_mask_is_the_picture_cut_out(form):
    x, target = draw(1), draw(2, (3, 3))
    guide = np.zeros(SHAPE[1:3])
    guide[1:4, 2:] = 1
    module, plain = GuidedStyleLoss(target, guide, 1.7, form), StyleLoss(target, 1.7, form)
    dx, cut = gradient_of(module, x), gradient_of(plain, np.ascontiguousarray(x[:, 1:4, 2:]))
    np.testing.assert_allclose(dx[:, 1:4, 2:], cut, rtol=1e-12, atol=1e-15)
    assert module.loss == pytest.approx(plain.loss, rel=1e-13)
    outside = np.ones(SHAPE[1:3], bool)
    outside[1:4, 2:] = False
    assert not dx[:, outside].any()
    # what is outside may be anything
    changed = np.where(outside[None, ..., None], 1e6 * draw(9), x)
    module.update_output(changed)
    assert module.loss == pytest.approx(plain.loss, rel=1e-12)


@both_forms
def test_the_target_itself_costs_nothing(form):
    x, guide = draw(1), soft(2)
    module = GuidedStyleLoss(guided_gram(x, guide, form)[0], guide, form=form)
    assert not gradient_of(module, x).any()
    assert module.loss == 0


def test_squares_of_the_mask_sum_to_one():
    for scale in (1.0, 1e3, 1e-200):
        assert (normalised(scale * soft(1)) ** 2).sum() == pytest.approx(1, abs=1e-14)
    given_ = np.array([[3, 4]])
    np.testing.assert_allclose(normalised(given_), [[0.6, 0.8]])
    np.testing.assert_array_equal(given_, [[3, 4]])
    np.testing.assert_array_equal(normalised(np.array([[True, False]])), [[1, 0]])


@both_forms
def test_two_regions_are_two_modules(form):
    top, below = np.zeros(SHAPE[1:3]), np.ones(SHAPE[1:3])
    top[:2], below[:2] = 1, 0
    x, one, other = draw(1), make(form, guide=top), make(form, seed=8, guide=below)
    row = nn.Sequential(one, other)
    dx = row.backward(x, np.zeros(SHAPE))
    np.testing.assert_allclose(dx[:, :2], gradient_of(make(form, guide=top), x)[:, :2], rtol=1e-13)
    np.testing.assert_allclose(dx[:, 2:], gradient_of(make(form, seed=8, guide=below), x)[:, 2:], rtol=1e-13)
    assert row.loss == one.loss + other.loss


@both_forms
@pytest.mark.parametrize("positions", [1, 7, 40])
def test_bands_of_any_height_give_the_same(form, positions, monkeypatch):
    x, module = draw(1), make(form)
    expected = gradient_of(module, x)
    monkeypatch.setattr("nst_manual.losses.guided.BACKWARD_POSITIONS", positions)
    monkeypatch.setattr("nst_manual.losses.guided.BANDS", positions)
    np.testing.assert_allclose(gradient_of(module, x), expected, rtol=1e-12, atol=1e-15)


@both_forms
def test_memory_of_any_layout_and_input_that_is_not_written(form):
    x, module = draw(1), make(form)
    expected = gradient_of(module, x)
    apart = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 3, 0)), 0, 3)
    before = apart.copy()
    np.testing.assert_allclose(gradient_of(module, apart), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(apart, before)
    dx = np.moveaxis(np.zeros((3, *SHAPE[:3])), 0, 3)
    module.add_gradient(x, dx)
    np.testing.assert_allclose(dx, expected, rtol=1e-12, atol=1e-15)


@both_forms
def test_float32_stays_float32_and_is_right_to_its_precision(form):
    shape = (1, 31, 29, 8)
    x, module = draw(1, shape).astype(np.float32), make(form, shape)
    module.target = module.target.astype(np.float32)
    expected = gradient_of(module, x.astype(float))
    loss = module.loss
    dx = gradient_of(module, x)
    assert dx.dtype == np.float32
    assert module.difference.dtype == np.float32
    assert module.loss == pytest.approx(loss, rel=1e-5)
    assert np.linalg.norm(dx - expected) <= 1e-5 * np.linalg.norm(expected)


def test_masks_that_are_none():
    for guide, message in [
        (np.zeros((5, 7)), "0 at every position"),
        (np.full((5, 7), np.nan), "finite values of at least 0"),
        (-np.ones((5, 7)), "finite values of at least 0"),
        (np.ones((1, 5, 7)), r"expected a mask \(H, W\)"),
        (np.ones((0, 7)), "0 at every position"),
    ]:
        with pytest.raises(UsageError, match=message):
            GuidedStyleLoss(np.zeros((3, 3)), guide)
        with pytest.raises(UsageError, match=message):
            guided_gram(draw(1), guide)


def test_features_and_forms_that_do_not_fit():
    for shape in [(1, 7, 5, 3), (1, 5, 7, 4), (5, 7, 3)]:
        with pytest.raises(ShapeError, match=r"input.*got shape"):
            make("mean").update_output(np.zeros(shape))
    with pytest.raises(UsageError, match="did you mean 'paper'"):
        make("papers")
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        guided_gram(draw(1), soft(1), "men")
    assert repr(make("mean")) == "GuidedStyleLoss(mean, weight=1.7)"
