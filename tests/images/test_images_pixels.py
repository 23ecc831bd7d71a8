"""Pixels to the network and back, change of size, start images, the contact sheet."""

import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from nst_manual.errors import DivergedError, ResourceError, ShapeError, UsageError
from nst_manual.images import (
    MEAN_COLOUR,
    contact_sheet,
    fit,
    resize,
    scale_to,
    start_image,
    to_network,
    to_pil,
    to_uint8,
)

SIDES = st.integers(1, 10000)
BYTES = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def picture(height, width, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)


@given(BYTES, st.sampled_from(["float32", "float64"]))
def test_bytes_make_the_round_trip(pixels, dtype):
    image = to_network(pixels, dtype)
    assert image.shape == (1, *pixels.shape)
    assert image.dtype == dtype
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(to_uint8(image), pixels)
    np.testing.assert_array_equal(np.asarray(to_pil(image)), pixels)


def test_to_network_is_a_copy_and_contiguous():
    pixels = picture(4, 6)
    image = to_network(pixels[:, ::-1])
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image[0], pixels[:, ::-1])
    to_network(pixels)[:] = 0
    assert pixels.any(), "the network's image shares memory with the picture"


def test_rounding_and_clipping():
    values = np.array([-1e9, -0.6, 0.49, 0.51, 100.4, 100.6, 254.6, 255.4, 256.0, 300.7, 1e9, 7.0])
    expected = [0, 0, 0, 1, 100, 101, 255, 255, 255, 255, 255, 7]
    np.testing.assert_array_equal(to_uint8(values.reshape(2, 2, 3)).ravel(), expected)
    np.testing.assert_array_equal(to_uint8(values.reshape(1, 2, 2, 3)).shape, (2, 2, 3))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value):
    image = np.zeros((1, 2, 2, 3))
    image[0, 1, 1, 2] = value
    with pytest.raises(DivergedError, match="1 of 12 values are NaN or infinite") as caught:
        to_uint8(image)
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize("shape", [(3,), (4, 4), (4, 4, 4), (2, 4, 4, 3), (1, 4, 4, 1), (1, 1, 4, 4, 3)])
def test_other_shapes(shape):
    with pytest.raises(ShapeError, match="got "):
        to_uint8(np.zeros(shape))
    with pytest.raises(ShapeError, match="got "):
        to_network(np.zeros(shape))


@given(SIDES, SIDES, st.integers(1, 5000))
def test_fit_keeps_the_proportion(height, width, longer):
    h, w = fit((height, width), longer)
    assert max(h, w) == longer
    assert fit((width, height), longer) == (w, h)
    short, long = sorted((height, width))
    exact = Fraction(short * longer, long)
    assert min(h, w) == 1 or abs(min(h, w) - exact) <= Fraction(1, 2)
    assert min(h, w) >= 1


def test_fit_examples():
    assert fit((300, 400), 200) == (150, 200)
    assert fit((400, 300), 1000) == (1000, 750)
    assert fit((1, 5000), 256) == (1, 256)
    assert fit((3, 4), 2) == (2, 2)  # 1.5 goes up
    for size, longer in (((0, 4), 2), ((4, 4), 0), ((4, 4), -5)):
        with pytest.raises(UsageError, match="at least 1 pixel"):
            fit(size, longer)


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 30),
    st.integers(1, 30),
    st.floats(0, 255, width=32),
)
def test_resize_keeps_a_plain_colour(height, width, h, w, value):
    pixels = np.full((height, width, 3), [value, 0, 255], np.float32)
    result = resize(pixels, (h, w))
    assert result.shape == (h, w, 3)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.broadcast_to(pixels[0, 0], (h, w, 3)), atol=1e-3)


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 40))
def test_resize_stays_within_the_range_of_the_picture(seed, h, w):
    pixels = np.where(picture(12, 17, seed) > 128, 255, 0).astype(np.float32)
    result = resize(pixels, (h, w))
    assert result.min() >= -1e-3
    assert result.max() <= 255 + 1e-3


def test_resize_averages_instead_of_picking():
    """One pixel wide stripes turn grey; without antialiasing they would turn black or white."""
    stripes = np.zeros((64, 64, 3), np.float32)
    stripes[:, ::2] = 255
    inner = resize(stripes, (16, 16))[:, 2:-2]
    np.testing.assert_allclose(inner, 127.5, atol=8)


def test_resize_keeps_fractions_channels_and_place():
    ramp = np.linspace(100, 101, 64, dtype=np.float32)[None, :, None] + np.zeros((8, 1, 3), np.float32)
    ramp[..., 2] += 50
    result = resize(ramp, (4, 32))
    assert len(np.unique(result[0, :, 0])) == 32, "rounded to bytes"
    np.testing.assert_allclose(result[..., 2] - result[..., 0], 50, atol=1e-3)
    middle = (ramp[0, 0::2, 0] + ramp[0, 1::2, 0]) / 2  # the centres of the new pixels
    np.testing.assert_allclose(result[0, 2:-2, 0], middle[2:-2], atol=1e-3)


@pytest.mark.parametrize("band", [1, 100])
def test_resize_in_bands_is_resize_at_once(monkeypatch, band):
    """Of Pillow's own, by which it is checked, the order of rows and columns may be another: rounding."""
    monkeypatch.setattr(sys.modules["nst_manual.images.resize"], "_BAND", band)
    pixels = picture(37, 23).astype(np.float32)
    for h, w in ((9, 5), (80, 60), (37, 5), (9, 23)):
        whole = [
            Image.fromarray(np.ascontiguousarray(pixels[..., c])).resize((w, h), Image.Resampling.BILINEAR)
            for c in range(3)
        ]
        np.testing.assert_allclose(resize(pixels, (h, w)), np.stack(whole, axis=2), atol=1e-4)


def test_same_size_is_a_copy():
    pixels = picture(5, 7)
    result = resize(pixels, (5, 7))
    np.testing.assert_array_equal(result, pixels)
    result[:] = 0
    assert pixels.any()


@pytest.mark.parametrize("size", [(0, 4), (4, -1)])
def test_resize_to_nothing(size):
    with pytest.raises(UsageError, match="at least 1 pixel"):
        resize(picture(4, 4), size)


@pytest.mark.parametrize("size", [(10**7, 10**7), (10**9, 10**9), (10**19, 4)])
def test_resize_beyond_all_memory(size):
    with pytest.raises(ResourceError, match="not enough memory"):
        resize(picture(2, 2), size)


def test_scale_to():
    assert scale_to(picture(30, 40), 20).shape == (15, 20, 3)


def test_start_from_the_content():
    content = picture(5, 7)
    start = start_image("content", content)
    np.testing.assert_array_equal(start, content)
    start[:] = 0
    assert content.any(), "the start shares memory with the content"


def test_start_from_noise():
    content = picture(60, 80)
    start = start_image("noise", content, seed=3, noise_std=20.0)
    assert start.dtype == np.float32
    assert start.shape == content.shape
    np.testing.assert_allclose(start.mean(axis=(0, 1)), MEAN_COLOUR, atol=1.5)
    np.testing.assert_allclose(start.std(axis=(0, 1)), 20, rtol=0.05)
    np.testing.assert_array_equal(start, start_image("noise", content * 0, seed=3, noise_std=20.0))
    assert (start != start_image("noise", content, seed=4, noise_std=20.0)).mean() > 0.99
    faint = start_image("noise", content, noise_std=0.001)
    assert 0.0005 < (faint - np.float32(MEAN_COLOUR)).std() < 0.002
    dark = start_image("noise", content, mean_colour=(1, 2, 3))
    np.testing.assert_allclose(dark.mean(axis=(0, 1)), [1, 2, 3], atol=1e-3)


def test_start_from_grey_and_from_a_picture():
    content = picture(6, 8)
    np.testing.assert_array_equal(start_image("grey", content), np.full((6, 8, 3), 127.5))
    other = picture(12, 5, seed=1)
    np.testing.assert_array_equal(start_image("image", content, image=other), resize(other, (6, 8)))


def test_start_from_something_else():
    with pytest.raises(UsageError, match="--init: 'nois' is unknown, did you mean 'noise'"):
        start_image("nois", picture(2, 2))
    with pytest.raises(UsageError, match="--init: 'image' needs a picture"):
        start_image("image", picture(2, 2))


def places(sheet, colour):
    """Return top, bottom, left, right of what has a colour on the sheet."""
    rows, columns = np.nonzero((sheet == colour).all(axis=2))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_sheet_shows_every_picture_in_order():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255)]
    pictures = [(f"iteration {i}", np.full((200, 300, 3), c, np.float32)) for i, c in enumerate(colours)]
    sheet = contact_sheet(pictures, columns=3)
    assert sheet.dtype == np.uint8
    found = [places(sheet, c) for c in colours]
    assert all((b - t, r - l) == (200, 300) for t, b, l, r in found)
    assert len({t for t, *_ in found[:3]}) == 1
    assert found[0][2] < found[1][2] < found[2][2]
    assert found[3][0] > found[0][1]
    assert found[3][2] == found[0][2]
    left, right = found[0][2], sheet.shape[1] - found[2][3]
    assert left == right == found[1][2] - found[0][3] == found[0][0], "the margins are not even"


def test_sheet_has_captions():
    plain = np.full((200, 300, 3), 255.0)
    with_text, without = contact_sheet([("iteration 10", plain)]), contact_sheet([("", plain)])
    changed = np.nonzero((with_text != without).any(axis=(1, 2)))[0]
    assert 8 <= np.ptp(changed) <= 40
    assert changed.min() >= places(without, (255, 255, 255))[1], "the caption lies on the picture"


def test_sheet_of_letters_that_the_font_lacks():
    plain = np.zeros((200, 300, 3))
    np.testing.assert_array_equal(contact_sheet([("Büste\n1", plain)]), contact_sheet([("Buste 1", plain)]))
    np.testing.assert_array_equal(contact_sheet([("画", plain)]), contact_sheet([("?", plain)]))


@given(st.integers(1, 30), st.integers(1, 3000), st.integers(1, 600), st.integers(0, 60))
def test_sheet_is_never_wider_than_it_may_be(count, width, height, letters):
    # one array for all: the pictures need not differ
    pictures = [("w" * letters, np.broadcast_to(np.float32(90), (height // 4 + 1, width, 3)))] * count
    sheet = contact_sheet(pictures)
    assert sheet.shape[1] <= 2400
    assert sheet.shape[2] == 3
    background = sheet[0, 0]
    assert background.min() >= 240
    for edge in (sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]):
        np.testing.assert_array_equal(edge, np.broadcast_to(background, edge.shape))


def test_sheet_of_different_sizes():
    red, blue = np.full((50, 100, 3), [255, 0, 0.0]), np.full((400, 200, 3), [0, 0, 255.0])
    sheet = contact_sheet([("small", red), ("tall", blue)])
    for colour, ratio in (((255, 0, 0), 0.5), ((0, 0, 255), 2.0)):
        top, bottom, left, right = places(sheet, colour)
        assert (bottom - top) / (right - left) == pytest.approx(ratio, abs=0.02)
    assert places(sheet, (255, 0, 0))[3] < places(sheet, (0, 0, 255))[2]


def test_sheet_of_nothing():
    with pytest.raises(UsageError, match="at least one picture"):
        contact_sheet([])
    for columns in (0, 25):
        with pytest.raises(UsageError, match="expected 1 to 24"):
            contact_sheet([("a", picture(4, 4))], columns=columns)
