"""Total variation against plain loops, and its convention at differences of zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_reference import assert_every_element, assert_value, gradient_of, tv_absolute, tv_squared

from nst_manual.losses import TotalVariation

FORMS = {"absolute": tv_absolute, "squared": tv_squared}
both_forms = pytest.mark.parametrize("form", FORMS)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))


@both_forms
@given(shapes, st.integers(0, 99))
def test_value_is_that_of_plain_loops(form, shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape)
    assert_value(TotalVariation(0.6, form), 0.6 * FORMS[form](x), x)


@given(shapes, st.integers(0, 99))
def test_the_slope_of_an_absolute_value_at_zero_is_zero(shape, seed):
    x = (
        np.random.default_rng(seed).integers(0, 2, shape).astype(float)
    )  # about half of the neighbours are equal
    expected = np.zeros(shape)
    for n, h, w, c in np.ndindex(shape):
        for below, right in ((h + 1, w), (h, w + 1)):
            if below < shape[1] and right < shape[2]:
                pull = np.sign(x[n, below, right, c] - x[n, h, w, c])
                expected[n, below, right, c] += pull
                expected[n, h, w, c] -= pull
    np.testing.assert_array_equal(gradient_of(TotalVariation(), x), expected)


def test_a_complex_step_agrees_with_that_convention():
    x = np.random.default_rng(0).integers(0, 2, (1, 4, 5, 2)).astype(float)
    assert_every_element(TotalVariation(0.7, "absolute"), x)


@both_forms
def test_a_plain_surface_costs_nothing(form):
    x = np.full((1, 4, 5, 3), 77.0)
    module = TotalVariation(form=form)
    assert not gradient_of(module, x).any()
    assert module.loss == 0


def test_a_spike_in_each_corner_by_hand():
    # absolute: every corner has two neighbours; squared: last row and column have no differences of their own
    for corner, squared in [((0, 0), 1.0), ((0, -1), 0.5), ((-1, 0), 0.5), ((-1, -1), 0.0)]:
        x = np.zeros((1, 3, 4, 1))
        x[0, corner[0], corner[1], 0] = 1
        for form, loss in [("absolute", 2.0), ("squared", squared)]:
            module = TotalVariation(form=form)
            module.update_output(x)
            assert module.loss == loss, (corner, form)


def test_one_row_and_one_column():
    for shape in [(1, 1, 3, 1), (1, 3, 1, 1)]:
        x = np.array([0.0, 2, 7]).reshape(shape)
        absolute, squared = TotalVariation(), TotalVariation(form="squared")
        np.testing.assert_array_equal(gradient_of(absolute, x).ravel(), [-1, 0, 1])
        assert absolute.loss == 7
        # no pixel has both neighbours
        assert not gradient_of(squared, x).any()
        assert squared.loss == 0
