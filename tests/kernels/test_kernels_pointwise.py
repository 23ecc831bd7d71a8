"""ReLU, linear, softmax and log-softmax against the loops, and their conventions."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import check_linear_by_adjoint, check_linear_by_loops, check_relu, check_softmax, draw

from nst_manual.kernels import linear, relu, softmax

sides = st.integers(1, 6)
seeds = st.integers(0, 2**16)


@given(seed=seeds)
def test_relu_is_that_of_the_loops(seed):
    check_relu(relu, seed)


def test_relu_has_the_derivative_0_at_both_zeros():
    x = np.array([-1.0, -0.0, 0.0, 5e-324, 1.0])
    assert relu.forward(x).tolist() == [0, 0, 0, 5e-324, 1]
    assert relu.input_gradient(x, np.full(5, 7.0)).tolist() == [0, 0, 0, 7, 7]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_nan_passes_relu(dtype):
    assert np.isnan(relu.forward(np.array([np.nan, 1], dtype)))[0]


def test_relu_of_complex_numbers_goes_by_the_real_part():
    x = np.array([1 + 2j, -1 + 2j, 0 + 2j, 2 - 1j])
    assert relu.forward(x).tolist() == [1 + 2j, 0, 0, 2 - 1j]
    assert relu.input_gradient(x, np.ones(4)).tolist() == [1, 0, 0, 1]


def test_an_infinite_upstream_does_not_pass_a_closed_relu():
    with np.errstate(invalid="ignore"):
        dx = relu.input_gradient(np.array([-1.0, 1.0]), np.array([np.inf, np.inf]))
    assert dx.tolist() == [0, np.inf]


@given(n=sides, c=sides, o=sides, seed=seeds)
def test_linear_is_that_of_the_loops_and_its_backward_the_adjoint(n, c, o, seed):
    check_linear_by_loops(linear, n, c, o, seed)
    check_linear_by_adjoint(linear, n, c, o, seed)


@pytest.mark.parametrize("shape", [(3, 7), (1, 2), (2, 2, 3, 4)])
def test_softmax_is_that_of_the_loops_and_its_gradient_the_complex_step(shape):
    check_softmax(
        softmax.softmax, softmax.softmax_input_gradient, reference.softmax, reference.softmax_dx, shape
    )


@pytest.mark.parametrize("shape", [(3, 7), (1, 2), (2, 2, 3, 4)])
def test_log_softmax_is_that_of_the_loops_and_its_gradient_the_complex_step(shape):
    check_softmax(
        softmax.log_softmax,
        softmax.log_softmax_input_gradient,
        reference.log_softmax,
        reference.log_softmax_dx,
        shape,
    )


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_softmax_does_not_overflow_and_a_shift_changes_nothing(shift):
    x = np.round(64 * draw(0, (2, 5))) / 64  # the shift then loses no bits
    np.testing.assert_allclose(softmax.softmax(x + shift), softmax.softmax(x), rtol=1e-13)
    np.testing.assert_allclose(softmax.log_softmax(x + shift), softmax.log_softmax(x), rtol=1e-13)


def test_log_softmax_is_finite_where_softmax_is_0():
    x = np.array([[0.0, 1000.0]])
    assert softmax.softmax(x).tolist() == [[0, 1]]
    assert softmax.log_softmax(x).tolist() == [[-1000, 0]]


def test_softmax_sums_to_1_and_its_gradient_to_0():
    x, dy = draw(1, (4, 9), (4, 9))
    y = softmax.softmax(x)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-15)
    np.testing.assert_allclose(softmax.softmax_input_gradient(y, dy).sum(axis=-1), 0, atol=1e-15)


def test_a_single_channel_is_certain():
    x = draw(2, (3, 1))
    assert (softmax.softmax(x) == 1).all()
    assert (softmax.log_softmax(x) == 0).all()
    assert not softmax.softmax_input_gradient(np.ones((3, 1)), x).any()
