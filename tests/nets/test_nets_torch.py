"""Every network with random weights against PyTorch, built from the same table, layer by layer."""

import numpy as np
import pytest
from kernel_checks import assert_close, draw
from test_nets_build import TINY
from torch_compare import from_torch, kernel_to_torch, reorder, to_torch, torch

from nst_manual import nn
from nst_manual.nets import NETWORKS, get_network, rows

F = torch.nn.functional
MEAN = (103.939, 116.779, 123.68)  # BGR


def flatten_rows_first(x):
    """(N, C, H, W) to (N, H W C)."""
    return x.permute(0, 2, 3, 1).flatten(1)


def outputs_of(network, ours, leaf):
    """Yield name and output of each row, in PyTorch, with our weights."""
    x = leaf.flip(1) - torch.tensor(MEAN, dtype=torch.float64)[:, None, None]
    yield "preprocess", x

    def apply(row, x):
        parameters = [value for _, value, _ in ours[row.name].parameters()]
        weights = (
            [kernel_to_torch(parameters[0]).detach(), to_torch(parameters[1]).detach()] if parameters else []
        )
        match row:
            case rows.Conv():
                return F.conv2d(x, *weights, row.stride, row.padding, row.dilation, row.groups)
            case rows.ReLU():
                return F.relu(x)
            case rows.MaxPool():
                return F.max_pool2d(x, row.kernel_size, row.stride, row.padding, ceil_mode=row.ceil_mode)
            case rows.LRN():
                return F.local_response_norm(x, row.size, row.alpha, row.beta, row.k)
            case rows.Flatten():
                return flatten_rows_first(x)
            case rows.Linear():
                return F.linear(x, *weights)
            case rows.Softmax():
                return F.softmax(x, dim=1)
            case rows.GlobalAvgPool():
                return F.adaptive_avg_pool2d(x, 1)
            case rows.Dropout():
                return x
        pytest.fail(f"{row.name}: no counterpart")

    for row, y in rows.follow(network.all_rows, x, apply, lambda row, ends: torch.cat(ends, 1)):
        yield row.name, y


def compare(network, ours, side):
    """Hold every layer's output and the image's gradient against PyTorch's."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (1, side, side, 3))
    for module in ours.walk():
        if module.parameters():
            module.bias = rng.standard_normal(module.bias.shape)  # drawn networks have none to speak of
    leaf = to_torch(x)
    y = ours.forward(x)
    last = None
    for name, last in outputs_of(network, ours, leaf):
        assert_close(ours[name].output, from_torch(last), 1e-10)
    assert name == ours.names[-1]
    dy = draw(1, y.shape)
    last.backward(torch.tensor(reorder(dy)))
    assert_close(ours.backward(x, dy), from_torch(leaf.grad), 1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_and_the_image_gradient_are_those_of_pytorch(name):
    side = 32 if name.startswith("vgg") else 71  # AlexNet begins with steps of 4 pixels
    compare(get_network(name).without_top(), nn.load_network(name, "random", dtype="float64"), side)


@pytest.mark.parametrize(
    ("name", "last"), [("squeezenet", "flatten"), ("googlenet", "fc"), ("googlenet-caffe", "fc")]
)
def test_a_classifier_that_fits_every_size_is_that_of_pytorch(name, last):
    # not to the softmax: random weights make one class certain, and what is left of the gradient is rounding
    compare(get_network(name).upto(last), nn.load_network(name, "random", last, "float64"), 45)


def test_a_network_with_its_classifier_is_that_of_pytorch():
    compare(TINY, nn.load_network(TINY, "random", top=True, dtype="float64"), 8)
