"""ReLU and pooling of rows that pass by: exactly the kernels of ReLU and pooling one after the other."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_settings import examples, fused_rows
from fused_checks import Fused, check_fused, one_after_the_other
from hypothesis import given
from kernel_checks import bands_of, draw

from nst_manual.kernels import avg_pool, fused, max_pool, relu
from nst_manual.kernels.conv import algorithms_on, forward_rows, input_gradient_rows
from nst_manual.kernels.rows import ArraySink, ArraySource, padded_rows

ALGORITHMS = algorithms_on("cpu")

KINDS = {
    "relu by output": Fused(masked=False),
    "relu by mask": Fused(),
    "max": Fused(pool="max", rectified=False),
    "relu, max": Fused(pool="max"),
    "average": Fused(pool="average", rectified=False),
    "relu, average": Fused(pool="average"),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@given(case=fused_rows())
@examples(2)
def test_a_sink_and_its_source_are_the_kernels_in_a_row(case):
    check_fused(fused, case)


@every_kind
@pytest.mark.parametrize("tiled", [False, True])
def test_every_small_size_with_bands_of_all_heights(kind, tiled):
    for height in range(2, 12):
        for width in (2, 5, 8, 11):
            for rows in (1, 2, 3, 4, 6, 11):
                bands = tuple(range(rows, height, rows))
                case = replace(kind, values=(1, height, width, 2), bands=bands, tiled=tiled, seed=rows)
                check_fused(fused, case)


def test_the_cases_have_ties_zeros_of_both_signs_and_nan():
    x, b, _ = KINDS["relu, max"].arrays()
    z = x + b
    windows = z[:, :6, :4].reshape(2, 3, 2, 2, 2, 3).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 4)
    best = windows.max(axis=1, keepdims=True)
    assert np.isnan(z).any()
    assert (np.signbit(x) & (x == 0)).any()
    assert ((windows == best).sum(axis=1) > 1).any()
    assert (best < 0).any()
    y, dx = one_after_the_other(KINDS["relu, max"])
    assert np.isnan(y).any()
    assert (y == 0).any()
    assert (dx != 0).any()


@every_kind
@pytest.mark.parametrize("complex_part", [0, 1])
def test_complex_numbers_go_by_their_real_part_ties_included(kind, complex_part):
    """A complex step through a network meets ties in the real part all the time."""
    rng = np.random.default_rng(5)
    shape = (1, 6, 6, 40)
    x = rng.integers(-1, 3, shape) + 1j * complex_part * rng.standard_normal(shape)
    b = np.zeros(40)
    z = relu.forward(x) if kind.rectified else x
    y = np.zeros((1, 3, 3, 40) if kind.pool else shape, complex)
    if kind.pool == "max":
        expected, winner = max_pool.forward(z, (2, 2), (2, 2), (0, 0))
        code = np.zeros(y.shape, "uint8")
        sink = fused.MaxPoolSink(y, code, b, 6, kind.rectified)
    elif kind.pool:
        expected = avg_pool.forward(z, (2, 2), (2, 2), (0, 0))
        sink = fused.AvgPoolSink(y, np.zeros(shape, bool), b, 6, kind.rectified)
    else:
        expected, sink = z, fused.ReLUSink(y, b)
    place = sink.place(0, 0, 6)
    place[...] = x[0]
    sink.finish(0, 0, 6, place)
    np.testing.assert_array_equal(y, expected)
    if kind.pool == "max":
        positive = expected.real > 0
        np.testing.assert_array_equal(code[positive], winner[positive])


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize(
    "kind", [k for k in KINDS.values() if k.masked], ids=[k for k in KINDS if "out" not in k]
)
@pytest.mark.parametrize("size", [(2, 2), (5, 7), (11, 6), (9, 13)])
@pytest.mark.parametrize("band_bytes", [1, 500, 2**21])
def test_a_convolution_through_a_sink_is_that_and_the_kernels_in_a_row(name, kind, size, band_bytes):
    x, w, b = draw(1, (2, *size, 3), (3, 3, 3, 4), (4,))
    geometry = (1, 1), (1, 1), (1, 1), 1
    shape = (2, *size, 4)
    with bands_of(band_bytes):
        z = ALGORITHMS[name].forward(x, w, b, *geometry)
        r = relu.forward(z) if kind.rectified else z
        mask = np.zeros(shape, bool)
        if kind.pool == "max":
            expected, winner = max_pool.forward(r, (2, 2), (2, 2), (0, 0))
            dy = draw(2, expected.shape)
            dz = max_pool.input_gradient(dy, winner, shape, (2, 2), (2, 2), (0, 0))
            y, code = np.empty_like(expected), np.empty(expected.shape, "uint8")
            sink = fused.MaxPoolSink(y, code, b, size[1], kind.rectified)
            source = fused.MaxUnpoolSource(dy, code, shape)
        elif kind.pool:
            expected = avg_pool.forward(r, (2, 2), (2, 2), (0, 0))
            dy, y = draw(2, expected.shape), np.empty_like(expected)
            dz = avg_pool.input_gradient(dy, shape, (2, 2), (2, 2), (0, 0))
            sink = fused.AvgPoolSink(y, mask, b, size[1], kind.rectified)
            source = fused.AvgUnpoolSource(dy, mask if kind.rectified else None, shape)
        else:
            expected, dy, y = r, draw(2, shape), np.empty(shape)
            dz = dy
            sink, source = fused.ReLUSink(y, b, mask), fused.ReLUSource(dy, mask)
        forward_rows(name, ArraySource(x), w, sink, geometry)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
        dz = relu.input_gradient(z, dz) if kind.rectified else dz
        dx, expected_dx = np.empty_like(x), ALGORITHMS[name].input_gradient(dz, w, x.shape, *geometry)
        input_gradient_rows(name, source, w, ArraySink(dx), x.shape, geometry)
        np.testing.assert_allclose(dx, expected_dx, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("left", [-2, -1, 0])
@pytest.mark.parametrize("beyond", [0, 1, 3])
def test_rows_and_pixels_beyond_the_image_are_zero(left, beyond):
    x, width = draw(0, (2, 5, 6, 3)), 6 - left + beyond
    whole = np.pad(x, ((0, 0), (4, 9), (4, 9), (0, 0)))
    for top in range(-4, 8):
        for rows in (1, 2, 6):
            padded_rows(ArraySource(np.full((1, 9, 9, 3), 7.0)), 0, 0, 9, 0, 9)  # dirties the memory
            found = padded_rows(ArraySource(x), 1, top, rows, left, width)
            expected = whole[1, 4 + top : 4 + top + rows, 4 + left : 4 + left + width]
            np.testing.assert_array_equal(found, expected)
