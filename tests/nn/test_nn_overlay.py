"""What is laid over the image that an optimiser moves."""

import numpy as np
import pytest

from nst_manual import nn
from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError

RNG = np.random.default_rng(0)
FACTOR, OFFSET = RNG.uniform(0, 1, (5, 6, 1)), RNG.uniform(0, 255, (5, 6, 3))
X = RNG.uniform(0, 255, (2, 5, 6, 3))


def test_a_share_of_the_image_and_what_is_laid_over_it():
    y = nn.Overlay(FACTOR, OFFSET).forward(X)
    for n, h, w, c in [(0, 0, 0, 0), (1, 4, 5, 2), (0, 2, 3, 1)]:
        assert y[n, h, w, c] == FACTOR[h, w, 0] * X[n, h, w, c] + OFFSET[h, w, c]


def test_its_gradient():
    report = gradcheck(nn.Overlay(FACTOR, OFFSET), X)
    assert report.passed, str(report)


@pytest.mark.parametrize("fused", [False, True])
def test_in_front_of_a_network(fused):
    conv = nn.Conv2d(3, 4, 3, padding=1, rng=0, dtype="float64")
    network = nn.Sequential(conv, nn.ReLU())
    expected = network.forward(FACTOR * X + OFFSET)
    dy = RNG.standard_normal(expected.shape)
    expected_dx = FACTOR * network.backward(FACTOR * X + OFFSET, dy)
    network.insert_first(nn.Overlay(FACTOR, OFFSET))
    network = nn.fuse(network) if fused else network
    np.testing.assert_allclose(network.forward(X), expected, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(network.backward(X, dy), expected_dx, rtol=1e-12, atol=1e-11)


def test_removed_it_hands_on_what_it_gets():
    overlay = nn.Overlay(FACTOR, OFFSET)
    overlay.removed = True
    np.testing.assert_array_equal(overlay.forward(X), X)
    np.testing.assert_array_equal(overlay.backward(X, X + 1), X + 1)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="Overlay, offset: expected .H, W, 1 or 3. of one size"):
        nn.Overlay(FACTOR, OFFSET[1:])
    with pytest.raises(ShapeError, match="Overlay, factor: expected"):
        nn.Overlay(FACTOR[..., 0], OFFSET)
    with pytest.raises(ShapeError, match="Overlay, input: expected 5 x 6 pixels"):
        nn.Overlay(FACTOR, OFFSET).forward(X[:, 1:])


def test_it_is_what_autograd_makes_of_it():
    torch = pytest.importorskip("torch", reason="comparison with PyTorch: pip install torch==2.13.0")
    dy = RNG.standard_normal(X.shape)
    leaf = torch.tensor(X, requires_grad=True)
    mask, photograph = torch.tensor(1 - FACTOR), torch.tensor(OFFSET)
    seen = mask * photograph + (1 - mask) * leaf
    (expected,) = torch.autograd.grad((seen * torch.tensor(dy)).sum(), leaf)
    overlay = nn.Overlay(FACTOR, (1 - FACTOR) * OFFSET)
    np.testing.assert_allclose(overlay.forward(X), seen.detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(overlay.backward(X, dy), expected.numpy(), rtol=1e-14)
