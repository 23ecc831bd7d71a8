"""L2 pooling against loops, against PyTorch, and at windows of zeros."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from drawn_settings import examples, poolings
from hypothesis import assume, given
from kernel_checks import assert_close, assert_complex_step

from nst_manual.kernels import l2_pool


def loops(x, k, stride, padding, ceil_mode):
    """The root of the sum of squares, of a window cut short scaled up to a whole one."""
    height, width = x.shape[1:3]
    rows = reference.positions(height, k[0], stride[0], padding[0], 1, ceil_mode)
    columns = reference.positions(width, k[1], stride[1], padding[1], 1, ceil_mode)
    y = np.zeros((x.shape[0], rows, columns, x.shape[3]))
    for n, i, j, c in np.ndindex(y.shape):
        for _, h in reference.window(i, height, k[0], stride[0], padding[0]):
            for _, w in reference.window(j, width, k[1], stride[1], padding[1]):
                y[n, i, j, c] += x[n, h, w, c] ** 2
        places = reference.area(i, height, k[0], stride[0], padding[0], True)
        places *= reference.area(j, width, k[1], stride[1], padding[1], True)
        y[n, i, j, c] = np.sqrt(y[n, i, j, c] * k[0] * k[1] / places)
    return y


@given(case=poolings())
def test_the_output_is_that_of_the_loops_and_the_gradient_its_complex_step(case):
    x, dy = case.arrays()
    geometry = case.k, case.stride, case.padding
    y = l2_pool.forward(x, *geometry, case.ceil_mode)
    assert_close(y, loops(x, *geometry, case.ceil_mode), 1e-14)
    assume(y.all())  # a window that lies in the padding wholly has no derivative
    dx = l2_pool.input_gradient(x, y, dy, *geometry)
    assert_complex_step(lambda x: l2_pool.forward(x, *geometry, case.ceil_mode), dx, x, dy)


@given(case=poolings())
@examples(0.6)
def test_it_is_that_of_pytorch_windows_of_zeros_included(case):
    torch = pytest.importorskip("torch")
    from torch_compare import output_and_gradients

    # PyTorch's knows no padding
    size = (max(side, k) for side, k in zip(case.x[1:3], case.k, strict=True))
    case = replace(case, x=(case.x[0], *size, case.x[3]), padding=(0, 0), ties=True)
    x, dy = case.arrays_with_ties()  # rounded, about every third number is 0
    x[:, :3, :3] = 0
    y = l2_pool.forward(x, case.k, case.stride, (0, 0), case.ceil_mode)
    expected, expected_dx = output_and_gradients(
        lambda x: torch.nn.functional.lp_pool2d(x, 2, case.k, case.stride, case.ceil_mode), x, dy
    )
    assert_close(y, expected)
    assert_close(l2_pool.input_gradient(x, y, dy, case.k, case.stride, (0, 0)), expected_dx)


def test_a_window_of_zeros_has_the_gradient_zero_and_no_nan():
    x = np.zeros((1, 4, 4, 1))
    x[0, 3, 3] = -3
    y = l2_pool.forward(x, (2, 2), (2, 2), (0, 0))
    assert y.ravel().tolist() == [0, 0, 0, 3]
    with np.errstate(all="raise"):
        dx = l2_pool.input_gradient(x, y, np.full(y.shape, 5.0), (2, 2), (2, 2), (0, 0))
    assert dx[0, 3, 3, 0] == -5
    assert np.count_nonzero(dx) == 1


def test_a_window_that_hangs_over_counts_as_if_it_were_whole():
    y = l2_pool.forward(np.ones((1, 5, 3, 1)), (2, 2), (2, 2), (0, 0), ceil_mode=True)
    assert y.ravel().tolist() == [2] * 6
    # zeros of the padding are places like others
    y = l2_pool.forward(np.ones((1, 3, 3, 1)), (3, 3), (1, 1), (1, 1))
    np.testing.assert_allclose(y[0, 0, :, 0] ** 2, [4, 6, 4], rtol=1e-15)
