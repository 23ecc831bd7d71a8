"""Colour spaces against plain arithmetic, published values, Pillow and their own inverses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nst_manual.errors import ShapeError, UsageError
from nst_manual.images.colour_spaces import SPACES, from_space, to_space

every_space = pytest.mark.parametrize("space", SPACES)
WHITE = np.array([[255.0, 255, 255]])


def cube(steps):
    """Every combination of `steps` values of 0..255."""
    values = np.linspace(0, 255, steps)
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(-1, steps, 3)


def light(v):
    """The curve of sRGB undone, of 0..255."""
    v /= 255
    return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4


def lab(colour):
    """CIE 1976, with the matrix of four decimals and the white that it has."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    rgb = [light(v) for v in colour]
    f = []
    for row in matrix:
        t = sum(m * v for m, v in zip(row, rgb, strict=True)) / sum(row)
        f.append(t ** (1 / 3) if t > (6 / 29) ** 3 else t * (29 / 6) ** 2 / 3 + 4 / 29)
    return [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]


@every_space
@given(st.integers(0, 10**6))
def test_there_and_back(space, seed):
    picture = np.random.default_rng(seed).uniform(0, 255, (3, 5, 3))
    np.testing.assert_allclose(from_space(to_space(picture, space), space), picture, rtol=0, atol=1e-9)


@every_space
def test_there_and_back_over_the_whole_cube_and_beyond(space):
    picture = np.concatenate([cube(18), 1.2 * cube(18) - 25])  # 0 and 255 and all between, then outside
    assert picture.min() < -20
    assert picture.max() > 280
    np.testing.assert_allclose(from_space(to_space(picture, space), space), picture, rtol=0, atol=1e-9)
    values = to_space(cube(6), space)
    np.testing.assert_allclose(to_space(from_space(values, space), space), values, rtol=0, atol=1e-10)


@every_space
def test_the_break_in_the_curve_leaves_no_gap(space):
    # .04045 of 255, and its neighbours
    picture = np.repeat(10.31475 + np.linspace(-1e-6, 1e-6, 101)[:, None], 3, axis=1)
    np.testing.assert_allclose(from_space(to_space(picture, space), space), picture, rtol=0, atol=1e-9)


@every_space
def test_greys_have_no_colour_and_their_lightness_grows(space):
    greys = np.repeat(np.arange(256.0)[:, None], 3, axis=1)
    values = to_space(greys, space)
    largest = {"yiq": 255, "ycbcr": 255, "lab": 100, "oklab": 1}[space]
    # Ottosson's matrices are given to ten decimals
    assert np.abs(values[:, 1:]).max() <= (1e-7 if space == "oklab" else 1e-13) * largest
    assert (np.diff(values[:, 0]) > 0).all()
    np.testing.assert_allclose(values[[0, -1], 0], [0, largest], atol=1e-7 * largest)


def test_yiq_is_the_matrix_of_the_books():
    table = [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
    np.testing.assert_allclose(to_space(np.eye(3), "yiq").T, table, atol=6e-5)


def test_ycbcr_is_that_of_jpeg():
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(picture).convert("YCbCr"), float)
    assert np.abs(to_space(picture, "ycbcr") + [0, 128, 128] - expected).max() < 1.01  # Pillow's are bytes
    np.testing.assert_allclose(
        to_space(np.eye(3) * 255, "ycbcr")[:, 1:],
        [[-43.03, 127.5], [-84.47, -106.77], [127.5, -20.73]],
        atol=0.01,
    )


def test_lab_is_that_of_plain_arithmetic():
    colours = cube(7).reshape(-1, 3)
    expected = np.array([lab(list(colour)) for colour in colours])
    np.testing.assert_allclose(to_space(colours, "lab"), expected, atol=0.05)  # the matrix of four decimals


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_lab_of_known_colours(colour, expected):
    np.testing.assert_allclose(to_space(np.array(colour, float), "lab"), expected, atol=0.03)


def test_oklab_of_known_colours():
    # the primaries of sRGB as lightness, chroma and hue in degrees, as CSS tools print them
    for colour, (lightness, chroma, hue) in {
        (255, 0, 0): (0.62796, 0.25768, 29.234),
        (0, 255, 0): (0.86644, 0.29483, 142.495),
        (0, 0, 255): (0.45201, 0.31321, 264.052),
    }.items():
        l, a, b = to_space(np.array(colour, float), "oklab")
        assert l == pytest.approx(lightness, abs=2e-5)
        assert math.hypot(a, b) == pytest.approx(chroma, abs=2e-5)
        assert math.degrees(math.atan2(b, a)) % 360 == pytest.approx(hue, abs=2e-3)


@every_space
def test_types_and_shapes(space):
    picture = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    exact = to_space(picture.astype(float), space)
    assert exact.dtype == np.float64
    for given_ in (picture, picture.astype(np.float32)):
        before = given_.copy()
        values = to_space(given_, space)
        assert values.dtype == np.float32
        assert values.shape == picture.shape
        np.testing.assert_allclose(values, exact, atol=1e-5 * np.abs(exact).max())
        back = from_space(values, space)
        assert back.dtype == np.float32
        np.testing.assert_allclose(back, picture, atol=5e-3)
        np.testing.assert_array_equal(given_, before)


def test_what_is_no_colour():
    for function in (to_space, from_space):
        with pytest.raises(UsageError, match="colour space: 'oklap' is unknown, did you mean 'oklab'"):
            function(np.zeros((2, 2, 3)), "oklap")
        with pytest.raises(ShapeError, match=r"three channels \(last axis\), got shape \(2, 3, 4\)"):
            function(np.zeros((2, 3, 4)), "lab")
