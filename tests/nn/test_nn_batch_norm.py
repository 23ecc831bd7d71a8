"""Batch normalisation at inference, and folded into the convolution before it."""

import numpy as np
import pytest

from nst_manual import nn
from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 6, 5, 4))


def trained(channels, eps=1e-3):
    """A module with numbers as training leaves them."""
    module = nn.BatchNorm2d(channels, eps, dtype="float64")
    module.weight, module.bias, module.running_mean = RNG.standard_normal((3, channels))
    module.running_var = RNG.uniform(0.1, 2, channels)
    return module


def test_it_is_the_formula_and_the_checker_finds_nothing():
    module = trained(4)
    expected = (X - module.running_mean) / np.sqrt(module.running_var + 1e-3) * module.weight + module.bias
    np.testing.assert_allclose(module.forward(X), expected, rtol=1e-13, atol=1e-13)
    report = gradcheck(module, X)
    assert report.passed, str(report)


def test_it_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    from torch_compare import from_torch, reorder, to_torch

    module, leaf, dy = trained(4), to_torch(X), RNG.standard_normal(X.shape)
    names = ("running_mean", "running_var", "weight", "bias")
    y = torch.nn.functional.batch_norm(leaf, *(torch.tensor(getattr(module, n)) for n in names), eps=1e-3)
    y.backward(torch.tensor(reorder(dy)))
    np.testing.assert_allclose(module.forward(X), from_torch(y), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(module.backward(X, dy), from_torch(leaf.grad), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_folded_into_a_convolution_it_gives_the_same(bias, groups):
    conv = nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), 1, groups, bias, rng=1, dtype="float64")
    conv.name = "conv1"
    if bias:
        conv.bias = RNG.standard_normal(6)
    module = trained(6)
    both, folded = nn.Sequential(conv, module), module.folded_into(conv)
    y = both.forward(X)
    dy = RNG.standard_normal(y.shape)
    np.testing.assert_allclose(folded.forward(X), y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(folded.backward(X, dy), both.backward(X, dy), rtol=1e-12, atol=1e-12)
    assert folded.name == "conv1"


def test_untrained_it_changes_nothing_but_for_eps_and_float32_stays():
    module = nn.BatchNorm2d(4)
    y = module.forward(X.astype("float32"))
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, X / np.sqrt(1 + 1e-5), rtol=1e-6)
    assert repr(module) == "BatchNorm2d(4, eps=1e-05)"


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="expected 4 channels"):
        nn.BatchNorm2d(4).forward(X[..., :3])
    with pytest.raises(ShapeError, match="running_var: expected shape"):
        module = nn.BatchNorm2d(4)
        module.running_var = np.ones(3)
        module.forward(X)
    with pytest.raises(ShapeError, match="convolution: expected 4 channels, got 3"):
        nn.BatchNorm2d(4).folded_into(nn.Conv2d(2, 3, 1))
    with pytest.raises(UsageError, match="eps"):
        nn.BatchNorm2d(4, 0)
    with pytest.raises(UsageError):
        nn.BatchNorm2d(0)
