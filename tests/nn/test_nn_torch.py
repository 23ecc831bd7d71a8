"""A whole small network against PyTorch with the same weights, in float64."""

import numpy as np
import pytest
from kernel_checks import assert_close, draw
from torch_compare import from_torch, kernel_from_torch, kernel_to_torch, reorder, to_torch, torch

from nst_manual import nn


def pair_of_networks(pooling):
    """Return our network and PyTorch's; the classifier sees pixels of one place, so both flatten alike."""
    ours = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, rng=0, dtype="float64"),
        nn.ReLU(),
        nn.Conv2d(8, 8, (3, 5), stride=(1, 2), padding=(1, 2), groups=4, rng=1, dtype="float64"),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True) if pooling == "max" else nn.AvgPool2d(3, 2, 1, True, False),
        nn.Conv2d(8, 6, 2, dilation=2, bias=False, rng=2, dtype="float64"),
        nn.ReLU(),
        nn.AvgPool2d((5, 2), 1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(6, 10, rng=3, dtype="float64"),
        nn.LogSoftmax(),
    )
    t = torch.nn
    theirs = t.Sequential(
        t.Conv2d(3, 8, 3, padding=1),
        t.ReLU(),
        t.Conv2d(8, 8, (3, 5), stride=(1, 2), padding=(1, 2), groups=4),
        t.ReLU(),
        t.MaxPool2d(3, 2, 1, ceil_mode=True) if pooling == "max" else t.AvgPool2d(3, 2, 1, True, False),
        t.Conv2d(8, 6, 2, dilation=2, bias=False),
        t.ReLU(),
        t.AvgPool2d((5, 2), 1),
        t.Flatten(),
        t.Dropout(0.5),
        t.Linear(6, 10),
        t.LogSoftmax(dim=1),
    ).double()
    theirs.eval()
    rng = np.random.default_rng(4)
    for own, other in zip(ours, theirs, strict=True):
        if isinstance(own, (nn.Conv2d, nn.Linear)):
            if own.bias is not None:
                own.bias = rng.standard_normal(own.bias.shape)
                other.bias.data = to_torch(own.bias).detach()
            other.weight.data = kernel_to_torch(own.weight).detach()
    return ours, theirs


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_a_whole_network_is_that_of_pytorch_output_image_and_parameter_gradients(pooling):
    ours, theirs = pair_of_networks(pooling)
    ours.training, ours["dropout9"].training = True, False
    x = draw(5, (2, 12, 11, 3))
    leaf = to_torch(x)
    expected = theirs(leaf)
    y = ours.forward(x)
    assert_close(y, from_torch(expected), 1e-11)
    dy = draw(6, y.shape)
    expected.backward(torch.tensor(reorder(dy)))
    assert_close(ours.backward(x, dy), from_torch(leaf.grad), 1e-11)
    compared = 0
    for own, other in zip(ours, theirs, strict=True):
        if isinstance(own, (nn.Conv2d, nn.Linear)):
            assert_close(own.grad_weight, kernel_from_torch(other.weight.grad), 1e-11)
            compared += 1
            if own.bias is not None:
                assert_close(own.grad_bias, from_torch(other.bias.grad), 1e-11)
                compared += 1
    assert compared == len(ours.parameters()) == 7


def test_the_defaults_of_modules_are_those_of_pytorch():
    x = draw(0, (1, 9, 8, 4))
    for own, other in [
        (nn.MaxPool2d(3), torch.nn.MaxPool2d(3)),
        (nn.AvgPool2d(3), torch.nn.AvgPool2d(3)),
        (nn.AvgPool2d(3, 2, 1), torch.nn.AvgPool2d(3, 2, 1)),
        (nn.AvgPool2d((3, 2), 2, 1, True), torch.nn.AvgPool2d((3, 2), 2, 1, True)),
        (nn.Softmax(), torch.nn.Softmax(dim=1)),
    ]:
        assert_close(own.forward(x), from_torch(other(to_torch(x))))
