"""Read Keras's weight files as they are: kernels (kh, kw, in, out), matrices (in, out), biases (out,).

Three layouts, with or without the classifier, in which the layer's name stands at different places:

    block1_conv1/block1_conv1_W_1:0                 the published VGG files, and `save_weights("x.h5")`;
    block1_conv1/block1_conv1/kernel:0              newer ones
    model_weights/block1_conv1/block1_conv1/kernel  `model.save("x.h5")`
    layers/conv2d_3/vars/0                          Keras 3's `x.weights.h5`, the name is an attribute of vars

So the file is walked, and a dataset belongs to the layer whose name is nearest above it. Layers of which none
has a name that is known, but all have Keras's automatic ones (conv2d, conv2d_1, ..., dense), stand in the
order in which they were made.

Keras's block3_conv2, fc1, fc2 and predictions are conv3_2, fc6, fc7 and fc8 here; other networks have our own
names or Caffe's (fire2/squeeze1x1 may be groups in groups). Keras flattens (H, W, C), as we do. What we write
ourselves (`nst_manual.store.own_hdf5`) is of this kind, and has checksums besides.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.nets import NETWORKS
from nst_manual.store.archive import Archive, Node, Tensor
from nst_manual.store.damage import damage
from nst_manual.store.hdf5 import (
    SIGNATURE,
    attribute,
    check_dataset,
    has_group,
    open_hdf5,
    read_dataset,
    walk,
)
from nst_manual.store.naming import caffe_name, weighted
from nst_manual.store.own_hdf5 import FORMAT, own_sums, verified
from nst_manual.store.said import NAMES, said_preprocessing

if TYPE_CHECKING:
    import h5py

_CLASSIFIER = {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8", "fc6": "fc6", "fc7": "fc7", "fc8": "fc8"}
_BLOCK = re.compile(r"block(\d)_conv(\d)|conv(\d)_(\d)")
_AUTOMATIC = re.compile(r"(conv2d|dense)(?:_(\d+))?")


# Every name that a layer has in our tables, and that Caffe's model zoo has for it.
_NAMES = {row.name for network in NETWORKS.values() for row in weighted(network)} | {
    caffe_name(network, row.name) for network in NETWORKS.values() for row in weighted(network)
}


def matches(head: bytes) -> bool:
    """Say whether a file that begins with `head` is HDF5."""
    return head.startswith(SIGNATURE)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a file: its layers as "conv1_1.weight" and "conv1_1.bias", nothing read yet.

    Raises
    ------
    WeightsError
        The file is damaged or not HDF5, or a layer has not one kernel and one bias.
    """
    file = str(path)
    with open_hdf5(path) as opened:
        with damage(file):
            archive = _archive(file, opened)
        yield archive


def _archive(file: str, opened: h5py.File) -> Archive:
    named, automatic = find_layers(file, opened)
    sums = own_sums(file, opened)
    tensors: dict[str, Tensor] = {}
    nodes = []
    for name, pair in (named or automatic).items():
        parts = {f"{name}.{part}": dataset for part, dataset in zip(("weight", "bias"), pair, strict=True)}
        for tensor, dataset in parts.items():
            tensors[tensor] = _tensor(file, tensor, dataset, sums)
        nodes.append(Node("Conv" if len(pair[0].shape) == 4 else "Linear", tuple(parts), name))
    if sums is not None and sums.keys() != tensors.keys():
        raise WeightsError(
            file, "damaged, its layers are not those that it was written with", "fetch it again"
        )
    said = {name: attribute(opened, name) for name in NAMES}
    return Archive(
        _layout(opened),
        tensors,
        axes="HWIO",
        nodes=() if named else tuple(nodes),
        preprocessing=said_preprocessing(file, said),
        network=str(attribute(opened, "network") or "") or None,
        verified=sums is not None,
    )


def _layout(opened: h5py.File) -> str:
    if attribute(opened, "format") == FORMAT:
        return FORMAT
    if has_group(opened, "model_weights"):
        return "Keras HDF5, whole model"
    if any(has_group(opened, name) for name in ("layers", "_layer_checkpoint_dependencies")):
        return "Keras HDF5, Keras 3 (.weights.h5)"
    return "Keras HDF5"


def _tensor(file: str, name: str, dataset: h5py.Dataset, sums: dict[str, str] | None) -> Tensor:
    """Return a dataset as a tensor that is checked when it is read."""
    # types that are no floats are refused by the caller, or here when they are read all the same
    dtype = dataset.dtype.newbyteorder("=") if dataset.dtype.kind == "f" else dataset.dtype

    def read() -> np.ndarray:
        layer, _, part = name.rpartition(".")
        with damage(file):
            check_dataset(file, f"{layer} ({part})", dataset)
            array = read_dataset(dataset, dtype)
        if sums is not None:
            verified(file, name, array, sums)
        return array

    return Tensor(dataset.shape, dtype, read)


Layers = dict[str, tuple["h5py.Dataset", "h5py.Dataset"]]


def find_layers(file: str, opened: h5py.File) -> tuple[Layers, Layers]:
    """Return layer name -> (dataset of the kernel, dataset of the bias), nothing read yet.

    Those with names that are known, and those with Keras's automatic names, in the order in which Keras
    numbered them.
    """
    # As a link it stays a member of the root, which `walk` refuses to follow.
    root = opened["model_weights"] if has_group(opened, "model_weights") else opened
    named, automatic = {}, {}
    for names, dataset in walk(
        file, root, skip=("optimizer", "optimizer_weights", "top_level_model_weights")
    ):
        above = list(names[:-1])
        if above and above[-1] == "vars":
            # Keras 3 keeps the layer's name beside its variables.
            above.append(str(attribute(root["/".join(above)], "name") or ""))
        pairs = [f"{outer}/{inner}" for outer, inner in zip(above, above[1:], strict=False)]
        name = next((known for known in map(our_name, [*reversed(pairs), *reversed(above)]) if known), None)
        if name:
            named.setdefault(name, []).append(("/".join(names), dataset))
        elif key := next((key for key in map(_automatic_key, reversed(above)) if key), None):
            automatic.setdefault(key, []).append(("/".join(names), dataset))
    if named:
        return {name: _pair(file, name, found) for name, found in named.items()}, {}
    ordered = {f"{kind} number {number}": automatic[kind, number] for kind, number in sorted(automatic)}
    return {}, {name: _pair(file, name, found) for name, found in ordered.items()}


def our_name(keras_name: str) -> str | None:
    """Return the layer that Keras calls so: block3_conv2 -> conv3_2, fc1 -> fc6; None if there is none."""
    if match := _BLOCK.fullmatch(keras_name):
        block, index = (part for part in match.groups() if part)
        return f"conv{block}_{index}"
    return _CLASSIFIER.get(keras_name, keras_name if keras_name in _NAMES else None)


def _automatic_key(name: str) -> tuple[str, int] | None:
    """Return what Keras's automatic names sort by: conv2d, conv2d_1, ... conv2d_10, dense, ..."""
    match = _AUTOMATIC.fullmatch(name)
    return match and (match[1], int(match[2] or 0))


def _pair(file: str, name: str, found: list[tuple[str, h5py.Dataset]]) -> tuple[h5py.Dataset, h5py.Dataset]:
    """Return (kernel, bias) of the datasets found for a layer; told apart by their number of axes."""
    kernels = [dataset for _, dataset in found if len(dataset.shape) > 1]
    biases = [dataset for _, dataset in found if len(dataset.shape) == 1]
    if len(kernels) != 1 or len(biases) != 1 or len(found) != 2:
        listed = ", ".join(f"{path} {dataset.shape}" for path, dataset in found[:6])
        raise WeightsError(file, f"{name} should have one kernel and one bias, found {listed}")
    return kernels[0], biases[0]
