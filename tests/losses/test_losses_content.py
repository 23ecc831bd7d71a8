"""Content loss against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_reference import assert_value, content_mean, content_sum, gradient_of

from nst_manual.errors import ShapeError
from nst_manual.losses import ContentLoss

FORMS = {"sum": content_sum, "mean": content_mean}
both_forms = pytest.mark.parametrize("form", FORMS)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))


@both_forms
@given(shapes, st.integers(0, 99))
def test_value_is_that_of_plain_loops(form, shape, seed):
    x, p = np.random.default_rng(seed).standard_normal((2, *shape))
    assert_value(ContentLoss(p, 0.6, form), 0.6 * FORMS[form](x, p), x)


def test_values_and_gradients_by_hand():
    p = np.zeros((1, 1, 2, 2))
    x = np.array([1.0, 2, 3, -4]).reshape(p.shape)  # squares sum to 30
    for form, loss, factor in [("sum", 15.0, 1.0), ("mean", 7.5, 0.5)]:
        module = ContentLoss(p, form=form)
        np.testing.assert_array_equal(gradient_of(module, x), factor * x)
        assert module.loss == loss


@both_forms
def test_the_photograph_itself_costs_nothing(form):
    p = np.random.default_rng(0).standard_normal((1, 3, 4, 2))
    module = ContentLoss(p, 2.0, form)
    assert not gradient_of(module, p.copy()).any()
    assert module.loss == 0


@both_forms
def test_negative_features_have_a_gradient_too(form):
    # the paper's equation 2 would give zero here, which is not the gradient of its equation 1
    x = np.full((1, 2, 2, 1), -3.0)
    assert np.all(gradient_of(ContentLoss(np.ones_like(x), form=form), x) < 0)


@both_forms
@pytest.mark.parametrize("shape", [(1, 5, 4, 2), (1, 4, 5, 3), (2, 5, 4, 3), (1, 1, 4, 3), (1, 1, 1, 1)])
def test_features_of_another_shape_are_refused_even_where_numpy_would_broadcast(form, shape):
    module = ContentLoss(np.zeros((1, 5, 4, 3)), form=form)
    with pytest.raises(ShapeError, match=r"expected the target's shape \(1, 5, 4, 3\), got"):
        module.update_output(np.zeros(shape))
