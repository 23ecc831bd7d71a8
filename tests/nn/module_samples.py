"""One of every module, with an input that fits: for what holds of all of them."""

import numpy as np
from kernel_checks import draw

from nst_manual import nn
from nst_manual.store import Preprocessing

PREPROCESSING = Preprocessing("BGR", (104.0, 117.0, 124.0), 0.5, (2.0, 3.0, 4.0))


def small_network():
    """Return a network with every kind of layer on the way from image to probabilities."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, rng=1, dtype="float64"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=1, groups=2, rng=2, dtype="float64"),
        nn.ReLU(),
        nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
        nn.Flatten(),
        nn.Dropout(0.4, rng=3),
        nn.Linear(2 * 1 * 6, 5, rng=4, dtype="float64"),
        nn.LogSoftmax(),
    )


# name -> (a function that makes the module, the shape of its input)
SAMPLES = {
    "Conv2d": (lambda: nn.Conv2d(3, 4, 3, padding=1, rng=0, dtype="float64"), (2, 6, 6, 3)),
    "Conv2d direct": (
        lambda: nn.Conv2d(3, 4, 3, stride=2, algorithm="direct", rng=0, dtype="float64"),
        (2, 6, 6, 3),
    ),
    "ReLU": (nn.ReLU, (2, 6, 6, 3)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1), (2, 6, 6, 3)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), (2, 6, 6, 3)),
    "AvgPool2d scaled": (lambda: nn.AvgPool2d(3, 2, 1, scale=2), (2, 6, 6, 3)),
    "L2Pool2d": (lambda: nn.L2Pool2d(2), (2, 6, 6, 3)),
    "L2Pool2d scaled": (lambda: nn.L2Pool2d(3, 2, 1, ceil_mode=True, scale=0.78), (2, 6, 6, 3)),
    "ReplicationPad2d": (lambda: nn.ReplicationPad2d((2, 1)), (2, 6, 6, 3)),
    "Linear": (lambda: nn.Linear(7, 4, rng=0, dtype="float64"), (3, 7)),
    "Flatten": (nn.Flatten, (2, 6, 6, 3)),
    "Dropout": (lambda: nn.Dropout(0.5, rng=0), (2, 6, 6, 3)),
    "Softmax": (nn.Softmax, (3, 7)),
    "LogSoftmax": (nn.LogSoftmax, (2, 2, 3, 4)),
    "Preprocess": (lambda: nn.Preprocess(PREPROCESSING, "float64"), (2, 6, 6, 3)),
    "Module": (nn.Module, (2, 6, 6, 3)),
    "Sequential": (small_network, (2, 6, 6, 3)),
    "Sequential in Sequential": (lambda: nn.Sequential(small_network(), nn.Softmax()), (2, 6, 6, 3)),
}


def with_gradient_sums(module):
    """Return the module, training, its sums at zero."""
    module.training = True
    module.zero_grad_parameters()
    return module


def output_shape(make, shape):
    """Return the shape of a module's output."""
    return make().forward(np.zeros(shape)).shape


def input_and_upstream(make, shape, seed=0):
    """Return x and dy that fit the module."""
    return draw(seed, shape, output_shape(make, shape))
