"""What the layers of a network are called in files: the manners of Caffe, torchvision and Gluon, and our own.

    ours            conv1_1         fc6            inception3a/3x3_reduce     fire2/expand3x3
    Caffe           conv1_1         fc6            inception_3a/3x3_reduce    fire2/expand3x3
    torchvision     features.0      classifier.0   inception3a.branch2.0      features.3.expand3x3
    Gluon           vgg0_conv0      vgg0_dense0                               squeezenet0_conv3

torchvision counts the rows of a table, ReLU and pooling included; Gluon counts the convolutions. Where a
manner knows several spellings of a layer, a file has one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from nst_manual.nets import Network, rows
from nst_manual.nets.googlenet import BATCH_NORM_EPSILON
from nst_manual.nets.preprocessing import (
    CAFFE_ALEXNET,
    CAFFE_BGR,
    CAFFE_GOOGLENET,
    HALF,
    TORCHVISION,
    Preprocessing,
)

TORCH_EPSILON = 1e-5  # of PyTorch's BatchNorm2d, unless it is told another


@dataclass(frozen=True)
class Source:
    """Where the parameters of a layer stand in a file: names of tensors.

    Attributes
    ----------
    weight : str
    bias : str or None
    norm : tuple of 4 str
        Scale, shift, mean and variance of the batch normalisation behind it; empty without one.
    epsilon : float
        Of the batch normalisation.
    """

    weight: str
    bias: str | None = None
    norm: tuple[str, ...] = ()
    epsilon: float = TORCH_EPSILON

    @property
    def tensors(self) -> list[str]:
        """The names of all its tensors."""
        return [self.weight, *([self.bias] if self.bias else []), *self.norm]


# Layer -> the sources that may be its own, the likeliest first.
Sources = dict[str, list[Source]]


@dataclass(frozen=True)
class Manner:
    """A way of naming layers.

    Attributes
    ----------
    name : str
        For people.
    sources : callable
        (network, names of the tensors in the file) -> layer -> its possible sources.
    preprocessing : callable
        Network -> what files of that manner expect of their input, where they do not say it.
    """

    name: str
    sources: Callable[[Network, Collection[str]], Sources]
    preprocessing: Callable[[Network], Preprocessing]


def weighted(network: Network) -> list[rows.Row]:
    """Return the rows that have parameters, in order."""
    kinds = (rows.Conv, rows.Linear)
    return [step.row for step in rows.steps(network.all_rows) if isinstance(step.row, kinds)]


# -- one name a layer: ours and Caffe's ----------------------------------------------------------------------


def _spelled(base: str) -> list[Source]:
    """Return what a layer's two tensors may be called: PyTorch's way, ours in HDF5, Caffe2's, Gluon's."""
    endings = ((".weight", ".bias"), ("/weight", "/bias"), ("_w_0", "_b_0"), ("_weight", "_bias"))
    return [Source(base + weight, base + bias) for weight, bias in endings]


def _own(network: Network, names: Collection[str]) -> Sources:
    return {row.name: _spelled(row.name) for row in weighted(network)}


def _caffe(network: Network, names: Collection[str]) -> Sources:
    return {row.name: _spelled(caffe_name(network, row.name)) for row in weighted(network)}


def caffe_name(network: Network, layer: str) -> str:
    """Return what Caffe's model zoo calls a layer."""
    if not network.name.startswith("googlenet"):
        return layer
    first = {
        "conv1": "conv1/7x7_s2",
        "conv2_reduce": "conv2/3x3_reduce",
        "conv2": "conv2/3x3",
        "fc": "loss3/classifier",
    }
    return first.get(layer, layer.replace("inception", "inception_"))


def _of_caffe(network: Network) -> Preprocessing:
    if network.name.startswith("googlenet"):
        return CAFFE_GOOGLENET
    other = network.name.startswith(("alexnet", "squeezenet"))
    return CAFFE_ALEXNET if other else CAFFE_BGR


# -- torchvision ---------------------------------------------------------------------------------------------

# The convolutions of an inception block, as torchvision nests them.
_BRANCHES = {
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
}


def _torchvision(network: Network, names: Collection[str]) -> Sources:
    if network.name.startswith("googlenet"):
        return dict(_torchvision_googlenet(network))
    # with batch normalisation, as in vgg16_bn, every convolution has one more module behind it
    normalised = any(name.startswith("features.1.") for name in names)  # else it is a ReLU
    found: Sources = {}
    for layer, index in _features(network, normalised).items():
        place = f"features.{index}"
        if normalised and index.isdigit():
            found[layer] = [_normalised(place, f"features.{int(index) + 1}", bias=True)]
        else:
            found[layer] = [Source(f"{place}.weight", f"{place}.bias")]
    return found | _classifier(network)


def _features(network: Network, normalised: bool) -> dict[str, str]:
    """Return convolution -> its place in torchvision's `features`, such as "3" or "3.squeeze"."""
    found: dict[str, str] = {}
    count = 0
    for row in network.rows:
        part = row.name.partition("/")[2]
        match row:
            case rows.Conv() if part:  # the squeezing half of a fire module, which is one place
                found[row.name] = f"{count}.squeeze"
            case rows.ReLU() if part:
                pass
            case rows.Conv():
                found[row.name] = str(count)
                count += 1 + normalised
            case rows.Concat():
                for inner in (step.row for step in rows.steps((row,)) if isinstance(step.row, rows.Conv)):
                    found[inner.name] = f"{count}.{inner.name.partition('/')[2]}"
                count += 1
            case _:
                count += 1
    return found


def _classifier(network: Network) -> Sources:
    """Return the layers of torchvision's `classifier`, which has no module that flattens.

    In J. Johnson's files the first two matrices of VGG stand one place further.
    """
    places = [row for row in network.top if not isinstance(row, rows.Flatten)]
    found: Sources = {}
    for index, row in enumerate(places):
        if isinstance(row, (rows.Conv, rows.Linear)):
            likely = [f"classifier.{index}", f"classifier.{index + 1}"]
            found[row.name] = [Source(f"{place}.weight", f"{place}.bias") for place in likely]
    return found


def _torchvision_googlenet(network: Network) -> Iterator[tuple[str, list[Source]]]:
    first = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3"}
    for row in weighted(network):
        if row.name == "fc":
            yield row.name, [Source("fc.weight", "fc.bias")]
            continue
        block, _, part = row.name.partition("/")
        place = f"{block}.{_BRANCHES[part]}" if part else first[block]
        yield row.name, [_normalised(f"{place}.conv", f"{place}.bn", False, BATCH_NORM_EPSILON)]


def _normalised(conv: str, norm: str, bias: bool, epsilon: float = TORCH_EPSILON) -> Source:
    parts = ("weight", "bias", "running_mean", "running_var")
    return Source(
        f"{conv}.weight", f"{conv}.bias" if bias else None, tuple(f"{norm}.{part}" for part in parts), epsilon
    )


def _of_torchvision(network: Network) -> Preprocessing:
    return HALF if network.name.startswith("googlenet") else TORCHVISION


# -- Gluon ---------------------------------------------------------------------------------------------------

_GLUON = re.compile(r"(.*?)(?:conv|dense)\d+_weight")


def _gluon(network: Network, names: Collection[str]) -> Sources:
    prefix = next((match[1] for name in names if (match := _GLUON.fullmatch(name))), "")
    counts = {"conv": 0, "dense": 0}
    found: Sources = {}
    for row in weighted(network):
        kind = "conv" if isinstance(row, rows.Conv) else "dense"
        base = f"{prefix}{kind}{counts[kind]}"
        found[row.name] = [Source(f"{base}_weight", f"{base}_bias")]
        counts[kind] += 1
    return found


MANNERS = (
    Manner("our own", _own, _of_caffe),
    Manner("Caffe's", _caffe, _of_caffe),
    Manner("torchvision's", _torchvision, _of_torchvision),
    Manner("Gluon's", _gluon, lambda network: TORCHVISION),
)
