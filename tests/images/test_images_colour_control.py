"""Colours of one picture in another: what is to agree does, and what is to stay stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from smooth_pictures import smooth_picture

from nst_manual.errors import ShapeError, UsageError
from nst_manual.images import resize
from nst_manual.images.colour_control import (
    METHODS,
    RIDGE,
    keep_colours,
    keep_luminance,
    match_colours,
    match_luminance,
)
from nst_manual.images.colour_spaces import SPACES, to_space

every_space = pytest.mark.parametrize("space", SPACES)
# of colours: the last method leaves them alone
every_method = pytest.mark.parametrize("method", [name for name in METHODS if name != "luminance"])
linear = pytest.mark.parametrize("method", ["cholesky", "symmetric", "mean-std"])


def picture(seed, height=20, width=30):
    """Correlated colours, no ties."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(0, 25, (3, 3)) + np.diag([10, 10, 10])
    return rng.uniform(80, 170, 3) + rng.standard_normal((height, width, 3)) @ mixing


def moments(pixels):
    """Mean and covariance by plain loops over the channels."""
    colours = pixels.reshape(-1, 3).astype(float)
    mean = [sum(colours[:, c]) / len(colours) for c in range(3)]
    covariance = [
        [sum((colours[:, i] - mean[i]) * (colours[:, j] - mean[j])) / len(colours) for j in range(3)]
        for i in range(3)
    ]
    return np.array(mean), np.array(covariance)


# -- lightness and chrominance -------------------------------------------------------------------------------


@every_space
def test_lightness_is_of_one_and_chrominance_of_the_other(space):
    one, other = picture(0), picture(1)
    for result, light, colour in [
        (keep_colours(one, other, space), one, other),
        (keep_luminance(one, other, space), other, one),
    ]:
        values = to_space(result, space)
        scale = np.abs(to_space(one, space)).max()
        np.testing.assert_allclose(values[..., 0], to_space(light, space)[..., 0], atol=1e-9 * scale)
        np.testing.assert_allclose(values[..., 1:], to_space(colour, space)[..., 1:], atol=1e-9 * scale)


@every_space
def test_a_picture_keeps_its_own(space):
    one = picture(0)
    np.testing.assert_allclose(keep_colours(one, one, space), one, atol=1e-9)
    np.testing.assert_allclose(keep_luminance(one, one, space), one, atol=1e-9)


@every_space
def test_of_a_grey_photograph_the_picture_becomes_grey(space):
    grey = np.repeat(picture(1)[..., :1], 3, axis=2)
    result = keep_colours(picture(0), grey, space)
    assert np.ptp(result, axis=2).max() < 1e-4
    # and a grey picture gets the photograph's colours at its own lightness
    np.testing.assert_allclose(keep_luminance(grey, picture(0), space).std(axis=2), 0, atol=1e-4)


def test_a_photograph_of_another_size_is_scaled():
    small, large = picture(0, 20, 30), smooth_picture(1, 41, 55)
    expected = keep_colours(small, resize(large, (20, 30)))
    np.testing.assert_array_equal(keep_colours(small, large), expected)
    assert keep_luminance(small, large).shape == small.shape
    assert keep_colours(large, small).shape == large.shape


@every_space
def test_the_lightness_is_matched_and_the_colours_stay(space):
    one, other = smooth_picture(0, 25, 31), smooth_picture(1, 40, 20) // 2
    result = match_luminance(one.astype(float), other.astype(float), space)
    values, before, wanted = (to_space(p.astype(float), space) for p in (result, one, other))
    unit = to_space(np.full((1, 3), 255.0), space)[0, 0] / 255
    assert values[..., 0].mean() == pytest.approx(wanted[..., 0].mean(), rel=1e-9)
    assert values[..., 0].std() == pytest.approx(wanted[..., 0].std(), abs=1e-2 * unit)
    np.testing.assert_allclose(values[..., 1:], before[..., 1:], atol=1e-8 * unit * 255)
    flat = match_luminance(np.full((4, 5, 3), 60.0), other, space)
    assert np.ptp(flat) < 1e-4
    np.testing.assert_allclose(match_luminance(one.astype(float), one, space), one, atol=1e-3)


# -- the painting's colours matched -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["cholesky", "symmetric"])
@given(st.integers(0, 10**6))
def test_mean_and_covariance_are_the_photographs(method, seed):
    source, reference = picture(seed, 9, 14), picture(seed + 1, 12, 8)
    mean, covariance = moments(match_colours(source, reference, method))
    wanted_mean, wanted = moments(reference)
    np.testing.assert_allclose(mean, wanted_mean, rtol=1e-10)
    _, given_ = moments(source)
    # exact but for the ridge: A (cov_S + r) A^T = cov_C + r
    bound = RIDGE * (1 + np.linalg.eigvalsh(wanted + RIDGE * np.eye(3))[-1] / np.linalg.eigvalsh(given_)[0])
    assert np.abs(covariance - wanted).max() <= bound


@pytest.mark.parametrize("method", ["cholesky", "symmetric"])
def test_without_the_ridge_the_covariance_is_exact(method, monkeypatch):
    monkeypatch.setattr("nst_manual.images.colour_control.RIDGE", 0.0)
    _, covariance = moments(match_colours(picture(0), picture(1), method))
    _, wanted = moments(picture(1))
    np.testing.assert_allclose(covariance, wanted, rtol=1e-10)


def test_the_transforms_are_those_of_their_names(monkeypatch):
    monkeypatch.setattr("nst_manual.images.colour_control.RIDGE", 0.0)
    source, reference = picture(0), picture(1)
    found = {}
    for method in ("cholesky", "symmetric", "mean-std"):
        result = match_colours(source, reference, method)
        centred, result = (p.reshape(-1, 3) - p.reshape(-1, 3).mean(axis=0) for p in (source, result))
        found[method] = np.linalg.lstsq(centred, result, rcond=None)[0].T  # result = A source
    np.testing.assert_allclose(np.triu(found["cholesky"], 1), 0, atol=1e-12)
    assert (np.diag(found["cholesky"]) > 0).all()
    # A cov_S^(1/2) = cov_C^(1/2) is symmetric, and so is its square root
    values, vectors = np.linalg.eigh(moments(source)[1])
    root = found["symmetric"] @ (vectors * values**0.5) @ vectors.T
    np.testing.assert_allclose(root, root.T, atol=1e-10)
    assert (np.linalg.eigvalsh(root) > 0).all()
    ratio = reference.std(axis=(0, 1)) / source.std(axis=(0, 1))
    np.testing.assert_allclose(found["mean-std"], np.diag(ratio), atol=1e-12)


def test_mean_and_deviation_of_each_channel():
    result, reference = match_colours(picture(0), picture(1), "mean-std"), picture(1)
    np.testing.assert_allclose(result.mean(axis=(0, 1)), reference.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(result.std(axis=(0, 1)), reference.std(axis=(0, 1)), rtol=1e-3)


@every_method
def test_a_picture_matched_to_itself_stays(method):
    for same in (picture(0), smooth_picture(0, 20, 30).astype(float), np.full((4, 5, 3), 7.0)):
        np.testing.assert_allclose(match_colours(same, same.copy(), method), same, rtol=0, atol=1e-9)


@every_method
@pytest.mark.parametrize("level", [0.0, 90.0, 255.0])
def test_a_flat_painting_gets_the_mean_colour(method, level):
    reference = picture(1)
    result = match_colours(np.full((6, 7, 3), level), reference, method)
    np.testing.assert_allclose(result, np.broadcast_to(reference.mean(axis=(0, 1)), result.shape), rtol=1e-10)


@every_method
def test_a_flat_photograph_makes_a_flat_painting(method):
    result = match_colours(picture(0), np.full((6, 7, 3), [20.0, 90, 250]), method)
    # what is left of the painting is what rounding to bytes would hide
    assert np.abs(result - [20, 90, 250]).std() <= RIDGE**0.5
    np.testing.assert_allclose(result.mean(axis=(0, 1)), [20, 90, 250], rtol=1e-10)


@every_method
def test_a_grey_painting_gets_no_noise_for_colours(method):
    grey = np.repeat(picture(0)[..., :1], 3, axis=2)
    rounded = grey + np.random.default_rng(5).uniform(-0.5, 0.5, grey.shape)  # no channel quite the other
    for source in (grey, rounded):
        result = match_colours(source, picture(1), method)
        assert np.isfinite(result).all()
        np.testing.assert_allclose(result.mean(axis=(0, 1)), picture(1).mean(axis=(0, 1)), rtol=1e-6)
    if method != "histogram":
        # noise of the size of rounding is not blown up beyond the photograph's own spread
        assert result.std(axis=(0, 1)).max() <= 1.6 * picture(1).std(axis=(0, 1)).max()


@every_method
def test_of_a_grey_photograph_the_painting_becomes_grey(method):
    grey = np.repeat(picture(1)[..., :1], 3, axis=2)
    result = match_colours(smooth_picture(0, 40, 50).astype(float), grey, method)
    if method in ("cholesky", "symmetric"):
        assert np.ptp(result, axis=2).std() <= 3 * RIDGE**0.5
    np.testing.assert_allclose(result.mean(axis=(0, 1)), grey.mean(axis=(0, 1)), rtol=1e-10)


def histogram_loops(source, reference):
    """Each source value's ranks, and the mean of the reference's staircase over them, in thin slices."""
    n, m = len(source), len(reference)
    stairs = np.repeat(np.sort(reference), n)  # n m slices of equal width
    result = np.zeros(n)
    for k, value in enumerate(source):
        below, equal = np.sum(source < value), np.sum(source == value)
        result[k] = stairs[below * m : (below + equal) * m].mean()
    return result


@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 5), st.integers(1, 40), st.integers(0, 99))
def test_histograms_are_those_of_plain_loops_ties_included(height, width, side, values, seed):
    rng = np.random.default_rng(seed)
    source = rng.integers(0, values, (height, width, 3)).astype(float)
    reference = rng.integers(0, 256, (side, 4, 3)).astype(float)
    result = match_colours(source, reference, "histogram")
    for c in range(3):
        expected = histogram_loops(source[..., c].ravel(), reference[..., c].ravel())
        np.testing.assert_allclose(result[..., c].ravel(), expected, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(result.mean(axis=(0, 1)), reference.mean(axis=(0, 1)), rtol=1e-9)


def test_without_ties_the_histogram_is_exactly_the_photographs():
    source, reference = picture(0, 20, 30), smooth_picture(1, 30, 20).astype(float)
    result = match_colours(source, reference, "histogram")
    for c in range(3):
        np.testing.assert_allclose(
            np.sort(result[..., c].ravel()), np.sort(reference[..., c].ravel()), atol=1e-8
        )
        order = np.argsort(source[..., c].ravel())
        assert (np.diff(result[..., c].ravel()[order]) >= -1e-8).all()


@every_method
def test_types_sizes_and_inputs_that_are_not_written(method):
    source, reference = smooth_picture(0, 21, 17), smooth_picture(1, 13, 40)
    before = source.copy(), reference.copy()
    exact = match_colours(source.astype(float), reference, method)
    assert exact.dtype == np.float64
    for given_ in (source, source.astype(np.float32)):
        result = match_colours(given_, reference, method)
        assert result.dtype == np.float32
        assert result.shape == source.shape
        np.testing.assert_allclose(result, exact, atol=1e-3)
    np.testing.assert_array_equal(source, before[0])
    np.testing.assert_array_equal(reference, before[1])


def test_what_cannot_be_matched():
    fine = picture(0)
    with pytest.raises(UsageError, match="colour matching: 'colesky' is unknown, did you mean 'cholesky'"):
        match_colours(fine, fine, "colesky")
    for function in (keep_colours, keep_luminance, match_luminance):
        with pytest.raises(UsageError, match="colour space: 'lub' is unknown, did you mean 'lab'"):
            function(fine, fine, "lub")
    for function in (keep_colours, keep_luminance, match_luminance, match_colours):
        for one, other in [(fine[None], fine), (fine, fine[..., :2]), (fine[:0], fine)]:
            with pytest.raises(ShapeError, match=r"picture: expected \(H, W, 3\), got"):
                function(one, other)
