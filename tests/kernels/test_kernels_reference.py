"""The loops themselves: small cases worked out by hand, and what has no kernel to be compared with."""

import numpy as np
import pytest
import reference
from kernel_checks import assert_adjoint, assert_close, draw


def test_convolution_of_a_row_worked_out_by_hand():
    x = np.array([1.0, 2, 3, 4]).reshape(1, 1, 4, 1)
    w = np.array([1.0, 10, 100]).reshape(1, 3, 1, 1)
    y = reference.conv(x, w, np.array([0.5]), (1, 1), (0, 1), (1, 1), 1)
    assert y.ravel().tolist() == [210.5, 321.5, 432.5, 43.5]  # no flip: the last tap is the right neighbour's
    dx = reference.conv_dx(
        np.array([1.0, 0, 0, 1]).reshape(1, 1, 4, 1), w, x.shape, (1, 1), (0, 1), (1, 1), 1
    )
    assert dx.ravel().tolist() == [10, 100, 1, 10]


def test_stride_and_dilation_worked_out_by_hand():
    x = np.arange(7.0).reshape(1, 7, 1, 1)
    w = np.array([1.0, 10]).reshape(2, 1, 1, 1)
    assert reference.conv(x, w, None, (2, 1), (0, 0), (3, 1), 1).ravel().tolist() == [30, 52]


def test_groups_do_not_see_each_other():
    x = np.array([1.0, 2, 3, 4]).reshape(1, 1, 1, 4)
    w = np.array([[1.0, 1], [10, 10]]).reshape(1, 1, 2, 2)
    assert reference.conv(x, w, None, (1, 1), (0, 0), (1, 1), 2).ravel().tolist() == [21, 43]


def test_pools_of_a_row_worked_out_by_hand():
    x = np.array([-3.0, -1, -1, -4, -5]).reshape(1, 1, 5, 1)
    y, winners = reference.max_pool(x, (1, 3), (1, 2), (0, 1))
    assert y.ravel().tolist() == [-1, -1, -4]
    assert winners.ravel().tolist() == [2, 0, 0]
    row = (1, 2), (1, 2), (0, 1)
    assert reference.avg_pool(x, *row).ravel().tolist() == [-1.5, -1, -4.5]
    assert reference.avg_pool(x, *row, count_include_pad=False).ravel().tolist() == [-3, -1, -4.5]
    assert reference.avg_pool(x, (1, 2), (1, 2), (0, 0), ceil_mode=True).ravel().tolist() == [-2, -2.5, -5]


def test_gram_gradient_is_that_of_the_gram_matrix_for_an_asymmetric_upstream():
    f, dg, direction = draw(0, (6, 3), (3, 3), (6, 3))
    step = 1e-30
    moved = f + 1j * step * direction
    slope = np.sum((moved.T @ moved) * dg).imag / step  # complex step along a direction
    assert_close(reference.gram(f), f.T @ f, 1e-14)
    assert np.vdot(reference.gram_df(f, dg), direction) == pytest.approx(slope, rel=1e-13)


def test_convolution_loops_are_adjoint():
    x, w, dy = draw(1, (2, 5, 4, 4), (3, 2, 2, 6), (2, 3, 3, 6))
    rest = (2, 1), (1, 0), (1, 1), 2
    assert_adjoint(
        lambda x: reference.conv(x, w, None, *rest),
        lambda dy: reference.conv_dx(dy, w, x.shape, *rest),
        lambda x: reference.conv(x, np.abs(w), None, *rest),
        x,
        dy,
    )
