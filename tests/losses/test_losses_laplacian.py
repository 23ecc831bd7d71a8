"""Laplacian loss against plain loops and PyTorch, and what it does not see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_reference import assert_every_element, assert_gradient, assert_value, gradient_of

from nst_manual import nn
from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses.laplacian import LaplacianLoss

KERNEL = [[0, -1, 0], [-1, 4, -1], [0, -1, 0]]


def laplacian(image, p):
    """Pool each channel of (H, W, C), filter it, sum the channels: the order of the paper."""
    height, width, channels = image.shape
    h, w = height // p, width // p
    q = np.zeros((h, w, channels))
    for i, j, c in np.ndindex(h, w, channels):
        for u, v in np.ndindex(p, p):
            q[i, j, c] += image[i * p + u, j * p + v, c] / p**2
    d = np.zeros((h - 2, w - 2))
    for i, j in np.ndindex(h - 2, w - 2):
        for c in range(channels):
            for u, v in np.ndindex(3, 3):
                d[i, j] += KERNEL[u][v] * q[i + u, j + v, c]
    return d


def value(x, photograph, p):
    """Sum of squared differences over all images of x; one photograph for all."""
    target = laplacian(photograph[0], p)
    return sum(((laplacian(image, p) - target) ** 2).sum() for image in x)


def draw(seed, shape):
    return np.random.default_rng(seed).standard_normal(shape)


def make(shape, pool, weight=1.7, seed=5):
    photograph = draw(seed, (1, *shape[1:]))
    return LaplacianLoss(LaplacianLoss.target_of(photograph, pool), weight, pool), photograph


pools = pytest.mark.parametrize("pool", [1, 2, 3])


@given(st.integers(1, 3), st.integers(0, 6), st.integers(0, 6), st.integers(1, 2), st.integers(0, 99))
def test_value_is_that_of_plain_loops(pool, more_rows, more_columns, n, seed):
    shape = (n, 3 * pool + more_rows, 3 * pool + more_columns, 3)
    module, photograph = make(shape, pool, 0.6, seed + 100)
    x = draw(seed, shape)
    np.testing.assert_allclose(module.target[0], laplacian(photograph[0], pool), rtol=1e-12, atol=1e-12)
    assert_value(module, 0.6 * value(x, photograph, pool), x)


@pools
@pytest.mark.parametrize("seed", range(3))
def test_gradient(pool, seed):
    shape = (1, 3 * pool + 1 + seed, 3 * pool + 2, 3)
    report = gradcheck(make(shape, pool, seed=seed)[0], draw(seed + 10, shape), seed=seed)
    assert report.passed, report


@pools
def test_every_element_of_the_gradient_by_complex_step(pool):
    shape = (2, 3 * pool + 2, 4 * pool + 1, 3)
    assert_every_element(make(shape, pool)[0], draw(1, shape))
    assert_gradient(make((1, 40, 52, 3), pool)[0], draw(2, (1, 40, 52, 3)))


@pools
def test_pytorch_computes_the_same(pool):
    torch = pytest.importorskip("torch")
    shape = (1, 11, 13, 3)
    module, photograph = make(shape, pool)
    x = draw(1, shape)
    weight = torch.tensor(KERNEL, dtype=torch.float64).repeat(1, 3, 1, 1)

    def edges(image):
        return torch.conv2d(torch.nn.functional.avg_pool2d(image, pool), weight)

    leaf = torch.tensor(x.transpose(0, 3, 1, 2)).requires_grad_()
    loss = 1.7 * ((edges(leaf) - edges(torch.tensor(photograph.transpose(0, 3, 1, 2)))) ** 2).sum()
    loss.backward()
    dx = gradient_of(module, x)
    assert module.loss == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(dx, leaf.grad.numpy().transpose(0, 2, 3, 1), rtol=0, atol=1e-11)


def test_the_photograph_itself_costs_nothing():
    module, photograph = make((1, 14, 13, 3), 4)
    assert not gradient_of(module, photograph.copy()).any()
    assert module.loss == 0


def test_a_slope_has_no_edges_not_at_the_border_either():
    rows, columns = np.mgrid[:16, :20].astype(float)
    x = np.stack([3 * rows, 100 + 2 * columns, rows - columns], axis=-1)[None]
    assert np.abs(LaplacianLoss.target_of(x, 4)).max() <= 1e-12


def test_opposite_changes_of_two_channels_are_no_change():
    module, photograph = make((1, 12, 12, 3), 3)
    x = photograph.copy()
    x[..., 0] += draw(7, (1, 12, 12))
    x[..., 2] -= x[..., 0] - photograph[..., 0]
    module.update_output(x)
    assert module.loss < 1e-25


def test_a_spike_by_hand():
    x = np.zeros((1, 6, 6, 3))
    x[0, 2, 3, 1] = 8.0  # square (1, 1) of 3 x 3 has mean 2
    module = LaplacianLoss(np.zeros((1, 1, 1)), 0.5, 2)
    dx = gradient_of(module, x)
    assert module.loss == 0.5 * (4 * 2.0) ** 2
    square = np.zeros((3, 3))
    square[1, 1], square[0, 1], square[2, 1], square[1, 0], square[1, 2] = 4, -1, -1, -1, -1
    expected = np.repeat(np.repeat(2 * 0.5 * 8.0 * square / 4, 2, 0), 2, 1)
    np.testing.assert_allclose(dx, np.repeat(expected[None, ..., None], 3, 3), rtol=1e-14)


def test_pixels_beyond_the_last_whole_square_are_free():
    module, _ = make((1, 14, 15, 3), 4)
    dx = gradient_of(module, draw(1, (1, 14, 15, 3)))
    assert not dx[:, 12:].any()
    assert not dx[:, :, 12:].any()
    assert (dx[:, :12, 4:8] != 0).all()


def test_float32_is_right_to_its_precision():
    module, _ = make((1, 23, 26, 3), 4)
    x = np.random.default_rng(3).uniform(-128, 128, (1, 23, 26, 3)).astype(np.float32)
    double = gradient_of(module, x.astype(float))
    loss = module.loss
    module.target = module.target.astype(np.float32)
    dx = gradient_of(module, x)
    assert dx.dtype == np.float32
    assert module.loss == pytest.approx(loss, rel=1e-5)
    assert np.linalg.norm(dx - double) <= 1e-5 * np.linalg.norm(double)


def test_several_sizes_are_several_modules_and_the_state_is_let_go():
    shape = (1, 13, 16, 3)
    x, one, other = draw(1, shape), make(shape, 2)[0], make(shape, 4)[0]
    row = nn.Sequential(one, other)
    dx = row.backward(x, np.zeros(shape))
    np.testing.assert_allclose(
        dx, gradient_of(make(shape, 2)[0], x) + gradient_of(make(shape, 4)[0], x), rtol=1e-12, atol=1e-13
    )
    assert row.loss == one.loss + other.loss
    row.clear_state()
    assert one.difference is None
    assert repr(other) == "LaplacianLoss(pool=4, weight=1.7)"


@pytest.mark.parametrize("pool", [0, -2, 2.5])
def test_a_pool_that_is_none(pool):
    with pytest.raises(UsageError, match="pool: expected a whole number"):
        LaplacianLoss(np.zeros((1, 1, 1)), 1.0, pool)
    with pytest.raises(UsageError, match="pool: expected a whole number"):
        LaplacianLoss.target_of(np.zeros((1, 9, 9, 3)), pool)


def test_images_that_do_not_fit():
    with pytest.raises(ShapeError, match="11 x 40 pixels hold 2 x 10 squares of 4, expected at least 3 x 3"):
        LaplacianLoss.target_of(np.zeros((1, 11, 40, 3)), 4)
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        LaplacianLoss.target_of(np.zeros((12, 12, 3)), 4)
    module, _ = make((1, 12, 16, 3), 4)
    for shape in [(1, 16, 16, 3), (1, 16, 12, 3)]:
        with pytest.raises(ShapeError, match=r"expected \(1, 1, 2\) as of the target, got"):
            module.update_output(np.zeros(shape))
