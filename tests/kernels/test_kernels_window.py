"""Sizes of outputs, and what counts as a size."""

import itertools

import numpy as np
import pytest
import reference

from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels.window import crop, group_slices, output_shape, pad, pair, position
from nst_manual.nets.sizes import output_size


def test_output_size_is_the_number_of_windows_counted_one_by_one():
    for k, s, p, d, ceil_mode in itertools.product(
        range(1, 5), range(1, 5), range(4), range(1, 4), (False, True)
    ):
        if ceil_mode and 2 * p > d * (k - 1) + 1:
            continue  # windows within the padding: no pooling has them
        for size in range(max(1, d * (k - 1) + 1 - 2 * p), 12):
            expected = reference.positions(size, k, s, p, d, ceil_mode)
            assert output_size(size, k, s, p, d, ceil_mode) == expected, (size, k, s, p, d, ceil_mode)


@pytest.mark.parametrize(
    ("size", "k", "s", "p", "floor", "ceil"),
    [
        (5, 2, 2, 0, 2, 3),
        (6, 2, 2, 0, 3, 3),
        (6, 3, 2, 0, 2, 3),
        (7, 3, 2, 0, 3, 3),
        (7, 3, 2, 1, 4, 4),
        (6, 3, 2, 1, 3, 4),
        (3, 2, 2, 1, 2, 2),  # a third window would begin behind the image
        (1, 2, 3, 1, 1, 1),
        (4, 1, 3, 0, 2, 2),
        (5, 1, 3, 0, 2, 2),  # a third would begin behind the image without padding
        (112, 3, 2, 0, 55, 56),  # GoogLeNet's first pool
        (2, 3, 2, 0, 0, 1),  # smaller than the window, which ceil_mode lets hang over
    ],
)
def test_ceil_mode_has_the_sizes_of_pytorch(size, k, s, p, floor, ceil):
    assert output_size(size, k, s, p) == floor
    assert output_size(size, k, s, p, ceil_mode=True) == ceil


@pytest.mark.parametrize(("value", "expected"), [(3, (3, 3)), ((1, 2), (1, 2)), ([1, 2], (1, 2))])
def test_a_pair_is_an_int_or_two(value, expected):
    assert pair(value, "kernel_size") == expected


@pytest.mark.parametrize("value", [-1, (1, -1), (1,), (1, 2, 3), (1.0, 2), "33", 1.5, None])
def test_what_is_no_pair_of_ints_is_a_usage_error(value):
    with pytest.raises(UsageError, match="stride: expected an int or a pair of ints of at least 0"):
        pair(value, "stride")


def test_a_numpy_int_is_an_int():
    assert pair(np.int64(3), "stride") == (3, 3)


def test_an_input_smaller_than_the_window_is_a_shape_error_that_names_the_least_size():
    with pytest.raises(ShapeError, match="2 x 9 pixels do not hold one window, expected at least 3 x 3"):
        output_shape((1, 2, 9, 1), (5, 5), (1, 1), (1, 1))


def test_the_least_size_that_the_message_names_is_enough_in_ceil_mode_too():
    assert output_shape((1, 2, 2, 1), (3, 3), (2, 2), (0, 0), (1, 1), True) == (1, 1)
    with pytest.raises(ShapeError, match="expected at least"):
        output_shape((1, 1, 2, 1), (3, 3), (2, 2), (0, 0), (1, 1), True)


def test_an_input_without_four_axes_is_a_shape_error():
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\), got shape \(5, 5\)"):
        output_shape((5, 5), (3, 3), (1, 1), (1, 1))


def test_pad_and_crop_undo_each_other_and_the_border_has_the_value():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    padded = pad(np, x, (1, 2), -7, (3, 0))
    assert padded.shape == (1, 7, 7, 2)
    np.testing.assert_array_equal(crop(np, padded, (1, 2), (2, 3)), x)
    assert (padded == -7).sum() == padded.size - x.size


def test_a_position_is_a_view_of_every_pixel_that_meets_it():
    x = np.arange(48.0).reshape(1, 6, 8, 1)
    seen = position(x, 1, 2, (2, 3), (2, 1), (3, 2))
    assert np.shares_memory(seen, x)
    assert seen[0, :, :, 0].tolist() == [[x[0, i * 2 + 3, j + 4, 0] for j in range(3)] for i in range(2)]


def test_groups_cut_channels_into_equal_slices():
    assert group_slices(2, 4, 6) == [(slice(0, 2), slice(0, 3)), (slice(2, 4), slice(3, 6))]
