"""Every convolution algorithm against the loops."""

import itertools

import numpy as np
import pytest
from drawn_settings import convolutions
from hypothesis import given
from kernel_checks import (
    Conv,
    assert_close,
    bands_of,
    check_conv_by_adjoint,
    check_conv_by_loops,
    draw,
    relative_error,
)

from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import conv_matmul
from nst_manual.kernels.conv import ALGORITHMS, DEFAULT, get_algorithm

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS)


@every_algorithm
@given(case=convolutions())
def test_convolution_is_that_of_the_loops(algorithm, case):
    check_conv_by_loops(algorithm, case)


@every_algorithm
@given(case=convolutions())
def test_convolution_backward_is_the_adjoint(algorithm, case):
    check_conv_by_adjoint(algorithm, case)


@every_algorithm
@pytest.mark.parametrize("axis", [0, 1], ids=["height", "width"])
def test_every_small_geometry_of_an_axis(algorithm, axis):
    for k, s, p, d in itertools.product((1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2)):
        for side in range(max(1, d * (k - 1) + 1 - 2 * p), 7):

            def along(value, other):
                return (value, other) if axis == 0 else (other, value)

            case = Conv(
                (1, *along(side, 1), 1),
                along(k, 1),
                1,
                along(s, 1),
                along(p, 0),
                along(d, 1),
                band_bytes=1,
                seed=k,
            )
            check_conv_by_loops(algorithm, case)


@every_algorithm
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 6, 7])
def test_the_result_does_not_depend_on_how_many_rows_a_band_has(algorithm, rows):
    case = Conv(x=(2, 6, 5, 4), out=6, groups=2, stride=(1, 2))
    x, w, b, dy = case.arrays()
    row_bytes = dy.shape[2] * w[..., 0].size * 8
    check_conv_by_loops(
        algorithm, Conv(x=x.shape, out=6, groups=2, stride=(1, 2), band_bytes=rows * row_bytes)
    )


def test_small_bands_are_several():
    with bands_of(1):
        assert len(list(conv_matmul._bands(np.zeros((2, 8, 8, 3)), np.zeros((3, 3, 3, 4)), (6, 6)))) == 12


@every_algorithm
def test_float32_is_as_exact_as_float32_is(algorithm):
    case = Conv(x=(1, 12, 12, 16), out=16)
    x, w, b, dy = (array.astype("float32") for array in case.arrays())
    exact = [array.astype(float) for array in (x, w, b, dy)]
    y, dx = (
        algorithm.forward(x, w, b, *case.geometry),
        algorithm.input_gradient(dy, w, x.shape, *case.geometry),
    )
    assert relative_error(y, algorithm.forward(*exact[:3], *case.geometry)) < 5e-6
    assert relative_error(dx, algorithm.input_gradient(exact[3], exact[1], x.shape, *case.geometry)) < 5e-6


@every_algorithm
def test_numbers_of_mixed_precision_give_the_wider(algorithm):
    case = Conv()
    x, w, b, dy = case.arrays()
    narrow = x.astype("float32")
    y = algorithm.forward(narrow, w, b, *case.geometry)
    assert y.dtype == float
    assert_close(y, algorithm.forward(narrow.astype(float), w, b, *case.geometry), 1e-14)
    assert algorithm.input_gradient(dy.astype("float32"), w, x.shape, *case.geometry).dtype == float


@every_algorithm
def test_pixels_that_no_window_sees_have_no_gradient(algorithm):
    case = Conv(x=(1, 6, 6, 1), k=(2, 2), out=1, stride=(3, 3), padding=(0, 0))
    dx = algorithm.input_gradient(draw(0, case.y), draw(1, case.w), case.x, *case.geometry)
    assert not dx[:, 2::3].any()
    assert not dx[:, :, 2::3].any()
    assert dx[:, :2, :2].all()


@every_algorithm
def test_an_image_smaller_than_the_kernel_is_a_shape_error(algorithm):
    with pytest.raises(ShapeError, match="expected at least 5 x 5"):
        algorithm.forward(np.zeros((1, 4, 9, 1)), np.zeros((5, 5, 1, 1)), None, (1, 1), (0, 0), (1, 1), 1)


def test_algorithms_are_found_by_name_and_an_unknown_name_suggests_the_nearest():
    assert get_algorithm(DEFAULT) is ALGORITHMS[DEFAULT]
    with pytest.raises(UsageError, match="did you mean 'matmul'"):
        get_algorithm("matmull")
