"""Style loss and Gram matrix against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_reference import (
    assert_every_element,
    assert_value,
    gradient_of,
    gram_sums,
    style_mean,
    style_paper,
)

from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses import StyleLoss, gram

FORMS = {"paper": style_paper, "mean": style_mean}
both_forms = pytest.mark.parametrize("form", FORMS)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@given(shapes, st.integers(0, 99))
def test_gram_matrices_are_those_of_plain_loops(shape, seed):
    x = draw(seed, *shape)
    positions = shape[1] * shape[2]
    expected = np.stack([gram_sums(image) for image in x])
    np.testing.assert_allclose(gram(x, "paper"), expected / positions, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gram(x, "mean"), expected / (positions * shape[3]), rtol=1e-12, atol=1e-13)


@both_forms
@given(shapes, st.integers(0, 99))
def test_value_is_that_of_plain_loops(form, shape, seed):
    x, a = draw(seed, *shape), draw(seed + 1, shape[3], shape[3])
    assert_value(StyleLoss(a, 0.6, form), 0.6 * FORMS[form](x, a), x)


def test_values_by_hand():
    x = np.array([1.0, 2, 3, 4]).reshape(
        1, 1, 2, 2
    )  # S = [[10, 14], [14, 20]], squares sum to 892; M = N = 2
    for form, loss in [("paper", 892 / 4 / 16), ("mean", 892 / 16 / 4)]:
        module = StyleLoss(np.zeros((2, 2)), form=form)
        module.update_output(x)
        assert module.loss == loss


@both_forms
def test_a_target_that_is_not_symmetric_has_its_own_gradient(form):
    # F (D + D^T) is the gradient for every D; 2 F D only where the target is symmetric
    a, x = np.triu(draw(0, 3, 3), 1), draw(1, 1, 4, 3, 3)
    assert_every_element(StyleLoss(a, 0.7, form), x)
    symmetric = StyleLoss((a + a.T) / 2, 0.7, form)
    asymmetric = StyleLoss(a, 0.7, form)
    # the antisymmetric part of the target moves the loss and leaves the gradient
    np.testing.assert_allclose(gradient_of(asymmetric, x), gradient_of(symmetric, x), rtol=1e-12, atol=1e-14)
    assert asymmetric.loss > symmetric.loss * 1.01


@both_forms
def test_a_painting_of_another_size_is_compared_with_its_own_number_of_positions(form):
    # the same pattern twice has twice the sums and the same statistics
    painting = draw(0, 1, 3, 4, 2)
    module = StyleLoss(gram(painting, form)[0], form=form)
    twice = np.concatenate([painting, painting], axis=1)
    assert np.abs(gradient_of(module, twice)).max() < 1e-14
    assert module.loss < 1e-28


@both_forms
def test_where_the_features_stand_makes_no_difference(form):
    x = draw(0, 1, 3, 4, 2)
    shuffled = np.random.default_rng(1).permutation(x.reshape(12, 2)).reshape(x.shape)
    a = draw(2, 2, 2)
    module = StyleLoss(a, form=form)
    module.update_output(x)
    loss = module.loss
    module.update_output(shuffled)
    assert module.loss == pytest.approx(loss, rel=1e-13)
    assert not np.array_equal(x, shuffled)


@both_forms
def test_two_images_count_as_one_and_one(form):
    x, a = draw(0, 2, 3, 4, 2), draw(1, 2, 2)
    both = StyleLoss(a, form=form)
    dx = gradient_of(both, x)
    single = [StyleLoss(a, form=form) for _ in range(2)]
    for n in range(2):
        np.testing.assert_allclose(dx[n : n + 1], gradient_of(single[n], x[n : n + 1]), rtol=1e-12)
    assert both.loss == pytest.approx(single[0].loss + single[1].loss, rel=1e-13)


@both_forms
def test_features_with_another_number_of_channels_are_refused(form):
    for channels in (1, 2, 4):  # one channel would broadcast
        with pytest.raises(ShapeError, match="expected 3 channels"):
            StyleLoss(np.zeros((3, 3)), form=form).update_output(np.zeros((1, 5, 4, channels)))


def test_an_unknown_form_of_the_gram_matrix_is_refused():
    with pytest.raises(UsageError, match="did you mean 'paper'"):
        gram(draw(0, 1, 2, 2, 1), "papr")
