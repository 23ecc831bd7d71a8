"""From a network's table and its weights to modules."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from nst_manual.config import ObjectiveConfig
from nst_manual.errors import unknown_name
from nst_manual.kernels.conv import AUTO
from nst_manual.nets import Network, get_network, rows
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.nets.preprocessing import CAFFE_BGR, Preprocessing
from nst_manual.nn.avg_pool2d import AvgPool2d
from nst_manual.nn.concat import Concat
from nst_manual.nn.conv2d import Conv2d
from nst_manual.nn.dropout import Dropout
from nst_manual.nn.flatten import Flatten
from nst_manual.nn.fuse import fuse
from nst_manual.nn.fused_conv2d import FusedConv2d
from nst_manual.nn.global_avg_pool2d import GlobalAvgPool2d
from nst_manual.nn.l2_pool2d import L2Pool2d
from nst_manual.nn.linear import Linear
from nst_manual.nn.local_response_norm import LocalResponseNorm
from nst_manual.nn.max_pool2d import MaxPool2d
from nst_manual.nn.module import Module
from nst_manual.nn.preprocess import Preprocess
from nst_manual.nn.relu import ReLU
from nst_manual.nn.replication_pad2d import ReplicationPad2d
from nst_manual.nn.sequential import Sequential
from nst_manual.nn.softmax import Softmax
from nst_manual.store import Weights, load_weights

# How `--pooling` replaces the pooling of the table. The factors of the scaled ones are those of K. Crowson's
# style-transfer-pytorch, so that features stay nearer to the size that they have behind maxima: behind four
# poolings of VGG-16 a picture's have 2.7 and 1.6 times that norm, against 0.17 times with plain averages.
POOLINGS: dict[str, Callable[[rows.MaxPool], Module]] = {
    "max": lambda row: MaxPool2d(row.kernel_size, row.stride, row.padding, ceil_mode=row.ceil_mode),
    "max-ceil": lambda row: MaxPool2d(row.kernel_size, row.stride, row.padding, ceil_mode=True),
    "average": lambda row: AvgPool2d(row.kernel_size, row.stride, row.padding, row.ceil_mode),
    "scaled-average": lambda row: AvgPool2d(
        row.kernel_size, row.stride, row.padding, row.ceil_mode, scale=2.0
    ),
    "scaled-l2": lambda row: L2Pool2d(row.kernel_size, row.stride, row.padding, row.ceil_mode, scale=0.78),
}

# What the first convolution that pads sees beyond the image: zeros, or the outermost pixels repeated.
PADDINGS = ("zeros", "replicate")

_Parameters = tuple[Any, Any] | None

MODULES: dict[type[rows.Row], Callable[[Any, _Parameters], Module]] = {
    rows.Conv: lambda row, p: Conv2d(
        p[0].shape[2] * row.groups,
        row.out_channels,
        row.kernel_size,
        row.stride,
        row.padding,
        row.dilation,
        row.groups,
        parameters=p,
    ),
    rows.ReLU: lambda row, p: ReLU(),
    rows.LRN: lambda row, p: LocalResponseNorm(row.size, row.alpha, row.beta, row.k),
    rows.GlobalAvgPool: lambda row, p: GlobalAvgPool2d(),
    rows.Flatten: lambda row, p: Flatten(),
    rows.Linear: lambda row, p: Linear(*p[0].shape, parameters=p),
    rows.Dropout: lambda row, p: Dropout(row.p),
    rows.Softmax: lambda row, p: Softmax(),
}


def build(
    network: Network,
    weights: Weights,
    pooling: str = "max",
    preprocessing: Preprocessing | None = None,
    dtype: str | None = None,
    algorithm: str = AUTO,
    padding: str = "zeros",
) -> Sequential:
    """Return the network as modules, each named as its row, behind a `Preprocess` called "preprocess".

    Parameters
    ----------
    network : Network
    weights : Weights
        With at least the network's layers.
    pooling : str
        "max" (the table's own), "max-ceil" (the same in ceil mode), "average", "scaled-average" (twice the
        average) or "scaled-l2" (0.78 times the root of the sum of squares); over the same windows.
    preprocessing : Preprocessing, optional
        In place of the weights' own.
    dtype : str, optional
        Of the preprocessing; without, that of the weights.
    algorithm : str
        Of the convolutions that it can compute; "auto" chooses for each.
    padding : str
        "zeros", or "replicate": the first convolution that pads stands behind a `ReplicationPad2d` called
        "pad" and pads nothing itself.
    """
    if pooling not in POOLINGS:
        raise unknown_name("pooling", pooling, POOLINGS)
    if padding not in PADDINGS:
        raise unknown_name("padding", padding, PADDINGS)
    dtype = dtype or next((weight.dtype.name for weight, _ in weights.arrays.values()), "float32")
    first = Preprocess(preprocessing or weights.preprocessing, dtype)
    first.name = "preprocess"

    table = network.all_rows
    padded = (step.row for step in rows.steps(table) if isinstance(step.row, rows.Conv) and step.row.padding)
    bordered = next(padded, None) if padding == "replicate" else None

    def line(table: Iterable[rows.Row]) -> Iterator[Module]:
        for row in table:
            if isinstance(row, rows.Conv) and row == bordered:
                border = ReplicationPad2d(row.padding)
                border.name = "pad"
                yield border
                yield make(replace(row, padding=0))
            else:
                yield make(row)

    def make(row: rows.Row) -> Module:
        if isinstance(row, rows.Concat):
            module: Module = Concat(*(Sequential(*line(branch)) for branch in row.branches))
        elif isinstance(row, rows.MaxPool):
            module = POOLINGS[pooling](row)
        else:
            module = MODULES[type(row)](row, weights.arrays.get(row.name))
        if isinstance(module, Conv2d) and algorithm != AUTO and module.supported_by(algorithm):
            module.algorithm = algorithm
        module.name = row.name
        return module

    return Sequential(first, *line(table))


def configured_weights(config: ObjectiveConfig, network: Network) -> Weights:
    """Return the weights of a network that a configuration asks for, pixels scaled as its preset wants it.

    Of a network without layers nothing is read, and nothing need be installed.
    """
    source = config.weights if network.rows else "random"
    shapes = parameter_shapes(network)
    weights = load_weights(source, network, shapes, config.seed, config.dtype, config.preprocessing)
    scale = weights.preprocessing.scale * config.settings.pixel_scale
    return replace(weights, preprocessing=replace(weights.preprocessing, scale=scale))


def runs_as(
    network: Network,
    x_shape: tuple[int, ...],
    dtype: str = "float32",
    device: str = "cpu",
    tf32: bool = False,
) -> dict[str, str]:
    """Return layer -> what computes it, without weights: the algorithm, or "in conv1_1" where it is fused.

    For images (N, H, W, 3) of that shape and no losses between the layers, on "cpu" or "cuda", which need not
    be there.
    """
    zero = np.zeros((), dtype)
    arrays = {
        name: tuple(np.broadcast_to(zero, shape) for shape in shapes)  # no memory behind them
        for name, shapes in parameter_shapes(network).items()
    }
    plain = build(network, Weights(arrays, CAFFE_BGR, "none", None))
    for module in plain.walk():
        if isinstance(module, Conv2d):
            module.device, module.tf32 = device, tf32
    fused = fuse(plain)
    found = dict(fused.algorithms(x_shape, dtype))
    for module in fused.walk():
        first, *others = module.parts if isinstance(module, FusedConv2d) else [module]
        found |= {other.name: f"in {first.name}" for other in others}
    return found


def load_network(
    network: str | Network,
    weights: str | os.PathLike[str] | None = None,
    upto: str | None = None,
    dtype: str = "float32",
    *,
    top: bool = False,
    pooling: str = "max",
    padding: str = "zeros",
    seed: int = 0,
    preprocessing: str | Preprocessing | None = None,
) -> Sequential:
    """Return a network with its weights, ready for images (N, H, W, 3), RGB, 0..255.

    Parameters
    ----------
    network : str
        A name of `nst_manual.nets.NETWORKS`.
    weights : path or "random", optional
        A weight file; "random" draws them by He's rule; without, the installed or bundled file of the
        network.
    upto : str, optional
        The last layer; what follows is neither built nor read from the file.
    dtype : str
        "float32" or "float64", of the weights. Images of a wider type are computed in that type.
    top : bool
        Build the fully connected layers too (`upto` with one of their names implies it).
    pooling, padding : str
        As `build` takes them.
    seed : int
        Of random weights.
    preprocessing : str or Preprocessing, optional
        What the weights expect of their input, by a name of `nst_manual.nets.preprocessing.PREPROCESSINGS`,
        where the file does not say it.

    Raises
    ------
    UsageError
        Unknown network, layer, pooling, padding or preprocessing.
    WeightsError
        The file is missing, damaged or not the network's.
    """
    network = get_network(network)
    if upto is not None:
        network = network.upto(upto)
    elif not top:
        network = network.without_top()
    loaded = load_weights(weights, network, parameter_shapes(network), seed, dtype, preprocessing)
    return build(network, loaded, pooling, dtype=dtype, padding=padding)
