"""Noise to start from: its moments, its spectrum, its colours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from smooth_pictures import smooth_picture

from nst_manual.errors import ShapeError, UsageError
from nst_manual.images import MEAN_COLOUR, START_KINDS, resize, start_image
from nst_manual.images.noise import blend, periodic_spectrum, spectrum_noise, white_noise


def spectrum(picture):
    """F of each channel, whole."""
    return np.fft.fft2(np.asarray(picture, float), axes=(0, 1))


def smooth_component(channel):
    """By plain loops: its Laplacian, around the seams, is the jumps b."""
    height, width = channel.shape
    b = np.zeros(channel.shape)
    for w in range(width):
        b[0, w] += channel[-1, w] - channel[0, w]
        b[-1, w] += channel[0, w] - channel[-1, w]
    for h in range(height):
        b[h, 0] += channel[h, -1] - channel[h, 0]
        b[h, -1] += channel[h, 0] - channel[h, -1]
    laplacian = np.zeros((height * width,) * 2)
    for h, w in np.ndindex(height, width):
        for h2, w2 in ((h + 1, w), (h - 1, w), (h, w + 1), (h, w - 1)):
            laplacian[h * width + w, h2 % height * width + w2 % width] += 1
            laplacian[h * width + w, h * width + w] -= 1
    s = np.linalg.lstsq(laplacian, b.ravel(), rcond=None)[0].reshape(height, width)
    return s - s.mean()


def periodic(picture):
    """The picture without the jumps at its seams."""
    return np.stack(
        [picture[..., c] - smooth_component(picture[..., c].astype(float)) for c in range(3)], axis=-1
    )


sides = st.integers(1, 6)


@given(sides, sides, st.integers(0, 99))
def test_the_periodic_component_is_that_of_plain_loops(height, width, seed):
    channel = np.random.default_rng(seed).uniform(0, 255, (height, width))
    expected = np.fft.rfft2(channel - smooth_component(channel))
    np.testing.assert_allclose(periodic_spectrum(channel), expected, rtol=0, atol=1e-8 * height * width)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("size", [(8, 12), (9, 7), (1, 8), (7, 1), (2, 2)])
def test_amplitudes_and_mean_are_the_pictures_and_phases_are_not(size, joint):
    picture = np.random.default_rng(1).uniform(0, 255, (*size, 3))
    noise = spectrum_noise(picture, 4, joint)
    assert noise.dtype == np.float32
    assert noise.shape == picture.shape
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), picture.mean(axis=(0, 1)), rtol=1e-5)
    wanted, found = spectrum(periodic(picture)), spectrum(noise)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-3 * size[0] * size[1])
    if size == (8, 12):
        turned = np.abs(np.angle(found[..., 1] / wanted[..., 1])).ravel()[1:]
        assert np.mean(turned) == pytest.approx(np.pi / 2, rel=0.3)  # anything from 0 to pi


def test_colours_stay_together_or_come_apart():
    picture = smooth_picture(0, 10, 13).astype(float)
    seamless = periodic(picture)
    wanted = np.cov(seamless.reshape(-1, 3).T)
    together, apart = spectrum_noise(picture, 0), spectrum_noise(picture, 0, joint=False)
    np.testing.assert_allclose(np.cov(together.reshape(-1, 3).T), wanted, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(np.diag(np.cov(apart.reshape(-1, 3).T)), np.diag(wanted), rtol=1e-4)
    # of two channels, frequency by frequency
    cross, found, other = (f[..., 0] * f[..., 2].conj() for f in map(spectrum, (seamless, together, apart)))
    np.testing.assert_allclose(
        found.ravel()[1:], cross.ravel()[1:], atol=1e-4 * np.abs(cross).ravel()[1:].max()
    )
    # apart, the angle between the channels is anything from 0 to pi
    assert np.abs(np.angle(other.ravel()[1:])).mean() == pytest.approx(np.pi / 2, rel=0.3)
    assert np.abs(together - picture).mean() > 10


def test_a_grey_picture_makes_grey_noise_and_a_slope_makes_little():
    grey = np.repeat(smooth_picture(0, 20, 24)[..., :1], 3, axis=2)
    assert np.ptp(spectrum_noise(grey, 0), axis=2).max() < 1e-3
    slope = np.repeat((5.0 * np.arange(24))[None, :, None] + np.zeros((20, 1, 3)), 1, axis=0)
    # all of its amplitude is its seam, but for what the decomposition leaves near it
    assert spectrum_noise(slope, 0).std() < 0.35 * slope.std()


def test_the_seed_decides():
    picture = smooth_picture(0, 20, 24)
    for joint in (True, False):
        one = spectrum_noise(picture, 1, joint)
        np.testing.assert_array_equal(one, spectrum_noise(picture, 1, joint))
        assert (one != spectrum_noise(picture, 2, joint)).mean() > 0.99
    one = white_noise((9, 8, 3), 1, 20.0, (1, 2, 3))
    np.testing.assert_array_equal(one, white_noise((9, 8, 3), 1, 20.0, (1, 2, 3)))
    assert (one != white_noise((9, 8, 3), 2, 20.0, (1, 2, 3))).all()


def test_white_noise_has_the_moments_asked_for():
    noise = white_noise((200, 200, 3), 0, 20.0, (10, 120, 250))
    assert noise.dtype == np.float32
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), [10, 120, 250], atol=0.5)
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 20, rtol=0.02)
    assert noise.min() < 0, "clipped"


@given(st.floats(0, 1))
def test_a_blend_is_a_weighted_mean(share):
    one, other = smooth_picture(0, 5, 6), white_noise((5, 6, 3), 0, 50.0, MEAN_COLOUR)
    result = blend(one, other, share)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (1 - share) * one + share * other, atol=1e-3)


def test_starts():
    content, painting = smooth_picture(0, 20, 24), smooth_picture(1, 31, 17)
    assert set(START_KINDS) == {"content", "noise", "grey", "image", "style", "blend", "spectrum"}
    for kind in START_KINDS:
        start = start_image(kind, content, 3, 25.0, painting, (1.0, 2.0, 3.0))
        assert start.dtype == np.float32
        assert start.shape == content.shape
    np.testing.assert_array_equal(start_image("style", content, image=painting), resize(painting, (20, 24)))
    np.testing.assert_array_equal(start_image("spectrum", content, 3), spectrum_noise(content, 3))
    noise = start_image("noise", content, 3, 25.0)
    np.testing.assert_array_equal(noise, white_noise(content.shape, 3, 25.0, MEAN_COLOUR))
    np.testing.assert_array_equal(start_image("blend", content, 3, 25.0), blend(content, noise, 0.6))
    np.testing.assert_array_equal(start_image("blend", content, 3, 25.0, noise_share=0.0), content)


def test_starts_that_cannot_be():
    content = smooth_picture(0, 5, 6)
    with pytest.raises(UsageError, match="--init: 'style' needs a picture"):
        start_image("style", content)
    for share in (-0.1, 1.1, np.nan):
        with pytest.raises(UsageError, match=r"share of noise: expected 0\.\.1"):
            start_image("blend", content, noise_share=share)
    with pytest.raises(ShapeError, match="expected the picture's shape"):
        blend(content, content[:4], 0.5)
    with pytest.raises(ShapeError, match=r"expected \(H, W, 3\)"):
        spectrum_noise(content[..., 0], 0)
