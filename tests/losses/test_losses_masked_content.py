"""Content loss under a mask against plain loops, PyTorch and the loss without a mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_reference import assert_every_element, assert_value, gradient_of

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses import ContentLoss
from nst_manual.losses.masked_content import MaskedContentLoss

SHAPE = (1, 5, 7, 3)
both_forms = pytest.mark.parametrize("form", ["sum", "mean"])


def draw(seed, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape)


def soft(seed, shape=SHAPE):
    return np.maximum(np.random.default_rng(seed).uniform(-0.5, 1, shape[1:3]), 0)


def make(form, shape=SHAPE, seed=3):
    return MaskedContentLoss(draw(seed, shape), soft(seed, shape), 1.7, form)


@both_forms
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)), st.integers(0, 99)
)
def test_value_is_that_of_plain_loops(form, shape, seed):
    x, p, mask = draw(seed, shape), draw(seed + 1, shape), soft(seed + 2, shape)
    expected = 0.0
    for n, h, w, c in np.ndindex(shape):
        expected += mask[h, w] * (x[n, h, w, c] - p[n, h, w, c]) ** 2
    expected = expected / 2 if form == "sum" else expected / x.size
    assert_value(MaskedContentLoss(p, mask, 0.6, form), 0.6 * expected, x)


@both_forms
@pytest.mark.parametrize("seed", range(3))
def test_gradient(form, seed):
    shape = (1, 4 + seed, 7, 2)
    report = gradcheck(make(form, shape, seed), draw(seed + 10, shape), seed=seed)
    assert report.passed, report
    assert_every_element(make(form, shape, seed), draw(seed + 20, shape))


@both_forms
def test_pytorch_computes_the_same(form):
    torch = pytest.importorskip("torch")
    x, module = draw(1), make(form)
    leaf = torch.tensor(x).requires_grad_()
    squares = torch.tensor(soft(3))[None, :, :, None] * (leaf - torch.tensor(module.target)) ** 2
    loss = 1.7 * (squares.sum() / 2 if form == "sum" else squares.mean())
    loss.backward()
    np.testing.assert_allclose(gradient_of(module, x), leaf.grad.numpy(), rtol=0, atol=1e-14)
    assert module.loss == pytest.approx(loss.item(), rel=1e-13)


@both_forms
def test_a_mask_of_ones_is_no_mask(form):
    x, p = draw(1), draw(2)
    module, plain = MaskedContentLoss(p, np.ones(SHAPE[1:3]), 1.7, form), ContentLoss(p, 1.7, form)
    np.testing.assert_array_equal(gradient_of(module, x), gradient_of(plain, x))
    assert module.loss == plain.loss


@both_forms
def test_inside_the_mask_the_pull_is_the_same_and_outside_there_is_none(form):
    x, p, mask = draw(1), draw(2), np.zeros(SHAPE[1:3])
    mask[2:4, 1:5] = 1
    dx, plain = (
        gradient_of(MaskedContentLoss(p, mask, 1.7, form), x),
        gradient_of(ContentLoss(p, 1.7, form), x),
    )
    np.testing.assert_array_equal(dx[:, mask == 1], plain[:, mask == 1])
    assert not dx[:, mask == 0].any()


@both_forms
def test_the_photograph_itself_and_a_mask_of_zeros_cost_nothing(form):
    p = draw(1)
    for module, x in [
        (make(form), make(form).target),
        (MaskedContentLoss(p, np.zeros((5, 7)), form=form), draw(2)),
    ]:
        assert not gradient_of(module, x.copy()).any()
        assert module.loss == 0


@both_forms
def test_bands_of_any_height_give_the_same(form, monkeypatch):
    x, module = draw(1), make(form)
    expected = gradient_of(module, x)
    loss = module.loss
    monkeypatch.setattr("nst_manual.losses.content.BAND_VALUES", 40)
    np.testing.assert_allclose(gradient_of(module, x), expected, rtol=1e-13)
    assert module.loss == pytest.approx(loss, rel=1e-13)


@both_forms
def test_float32_stays_float32_and_is_right_to_its_precision(form):
    x, target = draw(1).astype(np.float32), draw(3).astype(np.float32)
    module = MaskedContentLoss(target, soft(3), 1.7, form)
    double = MaskedContentLoss(target.astype(float), soft(3), 1.7, form)
    dx, expected = gradient_of(module, x), gradient_of(double, x.astype(float))
    assert dx.dtype == np.float32
    assert module.loss == pytest.approx(double.loss, rel=1e-5)
    assert np.linalg.norm(dx - expected) <= 1e-5 * np.linalg.norm(expected)


def test_masks_and_features_that_do_not_fit():
    p = draw(1)
    with pytest.raises(
        UsageError, match=r"expected the \(5, 7\) positions of the target, got shape \(7, 5\)"
    ):
        MaskedContentLoss(p, np.ones((7, 5)))
    for wrong in (-1, np.nan, np.inf):
        with pytest.raises(UsageError, match="finite values of at least 0"):
            MaskedContentLoss(p, np.full((5, 7), wrong))
    with pytest.raises(ShapeError, match="expected the target's shape"):
        MaskedContentLoss(p, np.ones((5, 7))).update_output(np.zeros((1, 7, 5, 3)))
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        MaskedContentLoss(p, np.ones((5, 7)), form="men")
