"""Maximum and average pooling against the loops, and the conventions at ties, NaN and borders."""

import itertools

import numpy as np
import pytest
from drawn_settings import poolings
from hypothesis import assume, given
from kernel_checks import (
    Pool,
    check_avg_pool_by_adjoint,
    check_avg_pool_by_loops,
    check_max_pool_by_loops,
)

from nst_manual.kernels import avg_pool, max_pool


def row(*values):
    """An image of one row and one channel."""
    return np.array(values, float).reshape(1, 1, -1, 1)


@given(case=poolings(dilated=True))
def test_max_pool_is_that_of_the_loops(case):
    assume(case.sees_image)
    check_max_pool_by_loops(max_pool, case)


@given(case=poolings())
def test_average_pool_is_that_of_the_loops(case):
    check_avg_pool_by_loops(avg_pool, case)


@given(case=poolings())
def test_average_pool_backward_is_the_adjoint(case):
    check_avg_pool_by_adjoint(avg_pool, case)


@pytest.mark.parametrize("axis", [0, 1], ids=["height", "width"])
def test_every_small_geometry_of_an_axis(axis):
    def along(value, other):
        return (value, other) if axis == 0 else (other, value)

    for k, s, ceil_mode, counted in itertools.product((1, 2, 3, 4), (1, 2, 3), (False, True), (False, True)):
        for p, side in itertools.product(range(k // 2 + 1), range(1, 8)):
            if side + 2 * p < k:
                continue
            shape = (1, *along(side, 1), 2)
            case = Pool(
                shape,
                along(k, 1),
                along(s, 1),
                along(p, 0),
                ceil_mode=ceil_mode,
                count_include_pad=counted,
                seed=k,
            )
            check_avg_pool_by_loops(avg_pool, case)
            if counted:
                check_max_pool_by_loops(max_pool, case)


@pytest.mark.parametrize(
    ("image", "k", "stride", "padding", "size"),
    [
        ((5, 5), (2, 2), (2, 2), (0, 0), (3, 3)),
        ((6, 7), (3, 3), (2, 2), (0, 0), (3, 3)),
        ((6, 7), (3, 3), (2, 2), (1, 1), (4, 4)),
        ((3, 5), (2, 2), (2, 2), (1, 1), (2, 3)),
        ((4, 5), (1, 1), (3, 3), (0, 0), (2, 2)),
        ((2, 4), (3, 3), (2, 2), (0, 0), (1, 2)),
    ],
)
def test_ceil_mode_has_the_sizes_of_pytorch_and_ignores_what_hangs_over(image, k, stride, padding, size):
    x = -np.ones((1, *image, 1))
    y, _ = max_pool.forward(x, k, stride, padding, ceil_mode=True)
    assert y.shape[1:3] == size
    assert (y == -1).all()  # neither zeros nor minus infinity from behind the image
    averages = avg_pool.forward(x, k, stride, padding, True, False)
    assert averages.shape[1:3] == size
    np.testing.assert_allclose(averages, -1, rtol=1e-15)


def test_a_tie_goes_to_the_first_in_row_major_order():
    x = np.array([[1.0, 2], [2, 2]]).reshape(1, 2, 2, 1)
    y, winner = max_pool.forward(x, (2, 2), (2, 2), (0, 0))
    dx = max_pool.input_gradient(np.full((1, 1, 1, 1), 3.0), winner, x.shape, (2, 2), (2, 2), (0, 0))
    assert y.item() == 2
    assert dx[0, :, :, 0].tolist() == [[0, 3], [0, 0]]


@pytest.mark.parametrize("zeros", [(-0.0, 0.0), (0.0, -0.0)])
def test_the_two_zeros_tie(zeros):
    assert max_pool.forward(row(*zeros), (1, 2), (1, 2), (0, 0))[1].item() == 0


def test_overlapping_windows_with_one_winner_add_their_gradients():
    _, winner = max_pool.forward(row(0, 9, 0), (1, 2), (1, 1), (0, 0))
    dx = max_pool.input_gradient(row(1, 10), winner, (1, 1, 3, 1), (1, 2), (1, 1), (0, 0))
    assert dx.ravel().tolist() == [0, 11, 0]


@pytest.mark.parametrize("place", range(4))
def test_nan_is_the_maximum_wherever_it_stands_and_takes_the_gradient(place):
    values = [3.0, 1.0, np.inf, 2.0]
    values[place] = np.nan
    x = np.array(values).reshape(1, 2, 2, 1)
    y, winner = max_pool.forward(x, (2, 2), (2, 2), (0, 0))
    assert np.isnan(y).all()
    assert winner.item() == place


def test_padding_never_wins_over_a_pixel():
    x = -np.full((1, 3, 3, 1), 1e300)
    y, winner = max_pool.forward(x, (3, 3), (2, 2), (1, 1))
    assert (y == -1e300).all()
    dx = max_pool.input_gradient(np.ones(y.shape), winner, x.shape, (3, 3), (2, 2), (1, 1))
    assert dx.sum() == 4


def test_padding_does_not_take_the_gradient_of_a_pixel_of_minus_infinity():
    x = row(-np.inf, -np.inf)
    y, winner = max_pool.forward(x, (1, 2), (1, 2), (0, 1))
    dx = max_pool.input_gradient(row(3, 5), winner, x.shape, (1, 2), (1, 2), (0, 1))
    assert dx.ravel().tolist() == [3, 5]


def test_winners_of_windows_with_more_positions_than_a_byte_counts():
    x = np.zeros((1, 17, 17, 1))
    x[0, 16, 16] = 1
    assert max_pool.forward(x, (17, 17), (1, 1), (0, 0))[1].item() == 288
    assert max_pool.forward(x[:, 1:, 1:], (16, 16), (1, 1), (0, 0))[1].dtype == np.uint8
    assert max_pool.forward(x[:, 1:, 1:], (16, 16), (1, 1), (0, 0))[1].item() == 255


def test_an_infinite_upstream_reaches_the_winner_alone():
    _, winner = max_pool.forward(row(1, 2), (1, 2), (1, 2), (0, 0))
    with np.errstate(invalid="ignore"):
        dx = max_pool.input_gradient(row(np.inf), winner, (1, 1, 2, 1), (1, 2), (1, 2), (0, 0))
    assert dx.ravel().tolist() == [0, np.inf]
