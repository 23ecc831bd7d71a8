"""Every convolution algorithm against the loops."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from drawn_settings import convolutions, examples
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import (
    Conv,
    assert_close,
    bands_of,
    check_conv_by_adjoint,
    check_conv_by_loops,
    draw,
    relative_error,
    rounding,
    tile_of,
)

from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import conv_matmul, conv_planes, conv_winograd
from nst_manual.kernels import winograd_transforms as transforms
from nst_manual.kernels.conv import algorithms_on, get_algorithm
from nst_manual.kernels.conv_winograd import winograd, winograd6
from nst_manual.kernels.rows import ArraySink, ArraySource

ALGORITHMS = algorithms_on("cpu")

every_tile = pytest.mark.parametrize("algorithm", [winograd, winograd6], ids=["4x4", "6x6"])
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS)


general = {name: algorithm for name, algorithm in ALGORITHMS.items() if not tile_of(algorithm)}
every_general_algorithm = pytest.mark.parametrize("algorithm", general.values(), ids=general)


@every_algorithm
@given(data=st.data())
@examples(0.6)
def test_convolution_is_that_of_the_loops(algorithm, data):
    check_conv_by_loops(algorithm, data.draw(convolutions(algorithm)))


@every_algorithm
@given(data=st.data())
@examples(0.6)
def test_convolution_backward_is_the_adjoint(algorithm, data):
    check_conv_by_adjoint(algorithm, data.draw(convolutions(algorithm)))


@st.composite
def schedules(draw):
    """How Winograd's algorithm cuts up many channels: by pieces, by bands, by groups of components."""
    return {
        "many_channels": 0,
        "piece_bytes": draw(st.sampled_from([1, 4000, 2**24])),
        "piece_band_tiles": draw(st.sampled_from([1, 4, 64])),
        "components": draw(st.sampled_from([1, 6, 7, 64])),
    }


@every_tile
@given(case=convolutions(winograd), schedule=schedules())
@examples(0.4)
def test_winograd_of_many_channels_is_the_same(algorithm, case, schedule):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in schedule.items():
            patch.setattr(algorithm, name, value)
        check_conv_by_loops(algorithm, case)
        check_conv_by_adjoint(algorithm, case)


@every_algorithm
@given(data=st.data())
@examples(0.3)
def test_what_an_algorithm_computes_it_says_that_it_supports(algorithm, data):
    case = data.draw(convolutions(algorithm))
    assert algorithm.supports(case.k, *case.geometry)


@every_general_algorithm
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


@pytest.mark.parametrize("narrow", [1, 4, 6, 32])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_groups_that_are_put_together_compute_the_same(monkeypatch, narrow, groups):
    monkeypatch.setattr(conv_matmul, "NARROW", narrow)
    for channels, out in ((1, 1), (2, 1), (1, 3)):
        case = Conv((2, 5, 6, groups * channels), (3, 2), groups * out, (2, 1), (1, 0), groups=groups)
        check_conv_by_loops(conv_matmul, case)
        check_conv_by_adjoint(conv_matmul, case)


def test_groups_are_put_together_until_they_are_wide():
    for groups, channels, out, left in (
        (256, 1, 1, 8),
        (32, 8, 8, 8),
        (2, 48, 128, 2),
        (6, 5, 7, 2),
        (3, 16, 16, 3),
    ):
        w = np.ones((3, 3, channels, groups * out))
        wide, number = conv_matmul.bundled(w, groups)
        assert number == left
        assert wide.shape == (3, 3, groups // left * channels, groups * out)
        assert wide.sum() == w.sum()


@every_tile
@pytest.mark.parametrize("axis", [0, 1], ids=["height", "width"])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_every_small_number_of_tiles_and_what_is_left_of_one(algorithm, axis, padding):
    for side in range(max(1, 3 - 2 * padding), 15):
        size, both = ((side, 3), (padding, 1)) if axis == 0 else ((3, side), (1, padding))
        for band_bytes in (1, 2**21):
            case = Conv((1, *size, 2), out=2, padding=both, band_bytes=band_bytes, seed=side)
            check_conv_by_loops(algorithm, case)


@every_general_algorithm
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 6, 7])
def test_the_result_does_not_depend_on_how_many_rows_a_band_has(algorithm, rows):
    groups = 1 if algorithm is conv_planes else 2
    case = Conv(x=(2, 6, 5, 4), out=6, groups=groups, stride=(1, 2))
    x, w, b, dy = case.arrays()
    row_bytes = dy.shape[2] * w[..., 0].size * 8
    check_conv_by_loops(algorithm, replace(case, band_bytes=rows * row_bytes))


@every_tile
def test_the_result_does_not_depend_on_how_many_tiles_a_band_has(algorithm, monkeypatch):
    case = Conv(x=(1, 14, 9, 2), out=2)
    for tiles in range(1, 13, 2):
        monkeypatch.setattr(algorithm, "band_tiles", tiles)
        check_conv_by_loops(algorithm, case)


def test_small_bands_are_several():
    with bands_of(1):
        assert len(list(conv_matmul._bands(np.zeros((2, 8, 8, 3)), np.zeros((3, 3, 3, 4)), (6, 6)))) == 12
        assert len(conv_planes._bands(2, (6, 6), 8 * 27)) == 12
        assert winograd.band_rows((13, 5), 8) == [(0, 1), (1, 2), (2, 3), (3, 4)]
        assert winograd6.band_rows((13, 5), 8) == [(0, 1), (1, 2), (2, 3)]


@every_tile
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_bands_of_tiles_together_are_the_image(algorithm, height, width, tiles):
    bands = replace(algorithm, band_tiles=tiles).band_rows((height, width), 8)
    down = -(-height // algorithm.tile)
    assert [row for first, last in bands for row in range(first, last)] == list(range(down))
    assert all(first < last for first, last in bands)


@every_tile
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_prepared_kernels_are_those_of_the_formula_and_give_the_same_bits(algorithm, monkeypatch, chunk):
    case = Conv(x=(1, 9, 7, 2), out=5)
    x, w, b, dy = case.arrays()
    monkeypatch.setattr(conv_winograd, "KERNEL_CHUNK", chunk)
    prepared = algorithm.prepare(w, np.empty(algorithm.prepared_shape(w.shape)))
    assert prepared.shape == w.shape
    g = np.array(transforms.MATRICES[algorithm.tile]["G"])
    for c, o in np.ndindex(2, 5):
        assert_close(prepared.kernels[:, c, o].reshape(len(g), -1), g @ w[:, :, c, o] @ g.T, 1e-14)
    y, expected = (np.empty(case.y) for _ in range(2))
    for kernel, out in ((prepared, y), (w, expected)):
        algorithm.forward_rows(ArraySource(x), kernel, ArraySink(out, b), *case.geometry)
    np.testing.assert_array_equal(y, expected)
    dx, expected = (np.empty(case.x) for _ in range(2))
    for kernel, out in ((prepared, dx), (w, expected)):
        algorithm.input_gradient_rows(ArraySource(dy), kernel, ArraySink(out), case.x, *case.geometry)
    np.testing.assert_array_equal(dx, expected)


@pytest.mark.parametrize(
    ("geometry", "winograd", "planes"),
    [
        (((3, 3), (1, 1), (1, 1), (1, 1), 1), True, True),
        (((3, 3), (1, 1), (0, 2), (1, 1), 1), True, True),
        (((3, 3), (1, 1), (3, 0), (1, 1), 1), False, True),
        (((3, 3), (1, 2), (1, 1), (1, 1), 1), False, True),
        (((3, 3), (1, 1), (1, 1), (2, 1), 1), False, True),
        (((3, 3), (1, 1), (1, 1), (1, 1), 2), True, False),
        (((1, 3), (1, 1), (0, 1), (1, 1), 1), False, True),
        (((5, 5), (2, 2), (1, 1), (1, 1), 4), False, False),
    ],
)
def test_which_algorithm_supports_which_geometry(geometry, winograd, planes):
    supported = {name: algorithm.supports(*geometry) for name, algorithm in ALGORITHMS.items()}
    assert supported == {
        "winograd": winograd,
        "winograd6": winograd,
        "planes": planes,
        "matmul": True,
        "direct": True,
    }


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
    expected = algorithm.forward(narrow.astype(float), w, b, *case.geometry)
    assert_close(y, expected, 1e-14 * rounding(algorithm))
    assert algorithm.input_gradient(dy.astype("float32"), w, x.shape, *case.geometry).dtype == float


@every_general_algorithm
def test_pixels_that_no_window_sees_have_no_gradient(algorithm):
    case = Conv(x=(1, 6, 6, 1), k=(2, 2), out=1, stride=(3, 3), padding=(0, 0))
    dx = algorithm.input_gradient(draw(0, case.y), draw(1, case.w), case.x, *case.geometry)
    assert not dx[:, 2::3].any()
    assert not dx[:, :, 2::3].any()
    assert dx[:, :2, :2].all()


@every_algorithm
def test_an_image_smaller_than_the_kernel_is_a_shape_error(algorithm):
    with pytest.raises(ShapeError, match="expected at least 3 x 3"):
        algorithm.forward(np.zeros((1, 2, 9, 1)), np.zeros((3, 3, 1, 1)), None, (1, 1), (0, 0), (1, 1), 1)


def test_algorithms_are_found_by_name_and_an_unknown_name_suggests_the_nearest():
    assert get_algorithm("winograd") is winograd
    with pytest.raises(UsageError, match="did you mean 'matmul'"):
        get_algorithm("matmull")
