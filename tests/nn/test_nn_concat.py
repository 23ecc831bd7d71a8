"""Branches side by side."""

import numpy as np
import pytest

from nst_manual import nn
from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses import ContentLoss

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 6, 5, 4))


def conv(out, k=3, **options):
    return nn.Conv2d(4, out, k, padding=k // 2, rng=0, dtype="float64", **options)


def inception():
    return nn.Concat(conv(3, 1), nn.Sequential(conv(2), nn.ReLU()), nn.MaxPool2d(3, 1, 1))


def test_the_outputs_stand_one_behind_the_other_and_the_gradients_are_added():
    block = inception()
    y, dy = block.forward(X), RNG.standard_normal((2, 6, 5, 9))
    alone = inception().branches
    np.testing.assert_array_equal(y, np.concatenate([branch.forward(X) for branch in alone], -1))
    parts = np.split(dy, [3, 5], -1)
    expected = sum(
        branch.backward(X, np.ascontiguousarray(p)) for branch, p in zip(alone, parts, strict=True)
    )
    np.testing.assert_allclose(block.backward(X, dy), expected, rtol=1e-13, atol=1e-13)
    assert block.output_shape(X.shape) == y.shape


def test_the_checker_finds_nothing_also_inside_a_network_and_with_a_loss_in_a_branch():
    loss = ContentLoss(RNG.standard_normal((2, 6, 5, 2)))
    block = nn.Concat(nn.Sequential(conv(2), loss), conv(3, 1))
    network = nn.Sequential(block, nn.ReLU())
    report = gradcheck(network, X)
    assert report.passed, str(report)
    assert network.loss == block.loss == loss.loss > 0


def test_it_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    from torch_compare import from_torch, kernel_to_torch, reorder, to_torch

    block = nn.Concat(conv(3, 1), conv(2))
    y, dy = block.forward(X), RNG.standard_normal((2, 6, 5, 5))
    leaf = to_torch(X)
    outputs = [
        torch.nn.functional.conv2d(
            leaf, kernel_to_torch(branch.weight).detach(), torch.tensor(branch.bias), padding=branch.padding
        )
        for branch in block.branches
    ]
    joined = torch.cat(outputs, 1)
    joined.backward(torch.tensor(reorder(dy)))
    np.testing.assert_allclose(y, from_torch(joined), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(block.backward(X, dy), from_torch(leaf.grad), rtol=1e-12, atol=1e-12)


def test_parameters_are_named_by_branch_and_trained_with_it():
    block = inception()
    block.training = True
    dy = RNG.standard_normal((2, 6, 5, 9))
    block.backward(X, dy)
    names = [name for name, _, _ in block.parameters()]
    assert names[:2] == ["branch0.weight", "branch0.bias"]
    alone = conv(3, 1)
    alone.training = True
    alone.backward(X, dy[..., :3].copy())
    np.testing.assert_array_equal(block.branches[0].grad_weight, alone.grad_weight)
    block.zero_grad_parameters()
    assert not block.branches[0].grad_weight.any()


def test_branches_have_to_fit_and_the_one_that_fails_is_named():
    with pytest.raises(ShapeError, match=r"branch1 has the output \(2, 3, 2, 4\), branch0 \(2, 6, 5, 3\)"):
        nn.Concat(conv(3), nn.MaxPool2d(2)).forward(X)
    with pytest.raises(ShapeError, match="branch1, Conv2d"):
        nn.Concat(conv(3), nn.Conv2d(7, 2, 1)).forward(X)
    with pytest.raises(UsageError, match="at least one branch"):
        nn.Concat()


def test_its_buffers_are_kept_and_freed():
    block = inception()
    block.forward(X)
    first = block.output
    block.forward(X)
    assert block.output is first
    block.clear_state()
    assert block.output is None
    assert block.branches[0].output is None
    assert "branch1" in repr(block)


def test_a_fused_network_leaves_it_as_it_is():
    def network():
        first, last = conv(4), nn.Conv2d(9, 3, 3, padding=1, rng=1, dtype="float64")
        return nn.Sequential(first, nn.ReLU(), inception(), last, nn.ReLU(), nn.MaxPool2d(2))

    plain, fused = network(), nn.fuse(network())
    dy = RNG.standard_normal((2, 3, 2, 3))
    for _ in range(2):  # the second pass finds its buffers
        np.testing.assert_array_equal(fused.forward(X), plain.forward(X))
        np.testing.assert_allclose(fused.backward(X, dy), plain.backward(X, dy), rtol=1e-13, atol=1e-13)
    assert [type(module).__name__ for module in fused] == ["FusedConv2d", "Concat", "FusedConv2d"]
