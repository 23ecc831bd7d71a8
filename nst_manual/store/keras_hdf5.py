"""Read Keras's weight files as they are: kernels (kh, kw, in, out), matrices (in, out), biases (out,).

Three layouts, with or without the classifier, in which the layer's name stands at different places:

    block1_conv1/block1_conv1_W_1:0                 the published VGG files, and `save_weights("x.h5")`;
    block1_conv1/block1_conv1/kernel:0              newer ones
    model_weights/block1_conv1/block1_conv1/kernel  `model.save("x.h5")`
    layers/conv2d_3/vars/0                          Keras 3's `x.weights.h5`, the name is an attribute of vars

So the file is walked, and a dataset belongs to the layer whose name is nearest above it. A file in which no
name is known, but all are Keras's automatic ones (conv2d, conv2d_1, ..., dense), is taken in their order,
which is the order in which the layers were made; the shapes have to agree, and a warning says so.

Keras's block3_conv2, fc1, fc2 and predictions are conv3_2, fc6, fc7 and fc8 here. Keras flattens (H, W, C),
as we do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.form import Preprocessing, Shapes, check_finite, check_layers, check_shape
from nst_manual.store.hdf5 import attribute, check_dataset, has_group, open_hdf5, read_dataset, walk

if TYPE_CHECKING:
    import h5py

_CLASSIFIER = {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8", "fc6": "fc6", "fc7": "fc7", "fc8": "fc8"}
_BLOCK = re.compile(r"block(\d)_conv(\d)|conv(\d)_(\d)")
_AUTOMATIC = re.compile(r"(conv2d|dense)(?:_(\d+))?")


@dataclass(frozen=True)
class Content:
    """What was read: the arrays, the preprocessing if the file says its own, and warnings."""

    arrays: dict[str, tuple[np.ndarray, np.ndarray]]
    preprocessing: Preprocessing | None
    warnings: tuple[str, ...]


def read(path: Path, network: str, shapes: Shapes, dtype: np.dtype) -> Content:
    """Return the layers in `shapes`, every one with its shape and finite.

    Raises
    ------
    WeightsError
        The file is damaged or not HDF5, or a layer is missing, of another shape, or not finite.
    """
    file = str(path)
    with open_hdf5(path) as opened:
        layers, warnings = find_layers(file, opened, shapes)
        check_layers(file, network, {name: kernel.shape for name, (kernel, _) in layers.items()}, shapes)
        # All shapes before any array: nothing is allocated for a file that is another network's.
        for name, expected in shapes.items():
            for part, dataset, shape in zip(("weight", "bias"), layers[name], expected, strict=True):
                check_shape(file, name, part, dataset.shape, shape)
                check_dataset(file, f"{name} ({part})", dataset)
        arrays = {}
        for name in shapes:
            pair = tuple(read_dataset(dataset, dtype) for dataset in layers[name])
            for part, array in zip(("weight", "bias"), pair, strict=True):
                check_finite(file, name, part, array)
            arrays[name] = pair
        return Content(arrays, read_preprocessing(file, opened), tuple(warnings))


Layers = dict[str, tuple["h5py.Dataset", "h5py.Dataset"]]


def find_layers(file: str, opened: h5py.File, shapes: Shapes | None = None) -> tuple[Layers, list[str]]:
    """Return layer name -> (dataset of the kernel, dataset of the bias), nothing read yet, and warnings.

    Parameters
    ----------
    file : str
        For messages.
    opened : h5py.File
        Open for reading.
    shapes : mapping, optional
        The layers wanted, in order: needed to name the layers of a file in which they have automatic names,
        which they keep otherwise.
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
        name = next((known for known in map(our_name, reversed(above)) if known), None)
        if name:
            named.setdefault(name, []).append(("/".join(names), dataset))
        elif key := next((key for key in map(_automatic_key, reversed(above)) if key), None):
            automatic.setdefault(key, []).append(("/".join(names), dataset))
    if named or not automatic:
        return {name: _pair(file, name, found) for name, found in named.items()}, []
    return _by_order(file, automatic, shapes)


def our_name(keras_name: str) -> str | None:
    """Return the layer that Keras calls so: block3_conv2 -> conv3_2, fc1 -> fc6; None if there is none."""
    if match := _BLOCK.fullmatch(keras_name):
        block, index = (part for part in match.groups() if part)
        return f"conv{block}_{index}"
    return _CLASSIFIER.get(keras_name)


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


def _by_order(
    file: str, automatic: dict[tuple[str, int], list], shapes: Shapes | None
) -> tuple[Layers, list[str]]:
    """Give the names of `shapes` to layers with automatic names, in order, where every shape agrees."""
    found = [(key, _pair(file, "_".join(map(str, key)), automatic[key])) for key in sorted(automatic)]
    if shapes is None:
        return {"_".join(map(str, key)): pair for key, pair in found}, [f"{file}: its layers have no names"]
    layers = {}
    for (name, (kernel_shape, bias_shape)), (key, pair) in zip(shapes.items(), found, strict=False):
        if (pair[0].shape, pair[1].shape) != (tuple(kernel_shape), tuple(bias_shape)):
            raise WeightsError(
                file,
                f"its layers have no names, and taken in order {key[0]} number {key[1]} would be {name}, "
                f"of shape {pair[0].shape}, expected {tuple(kernel_shape)}",
            )
        layers[name] = pair
    warning = (
        f"{file}: its layers have no names that are known; taken in the order in which Keras numbered them"
    )
    return layers, [warning]


def read_preprocessing(file: str, opened: h5py.File) -> Preprocessing | None:
    """Return what the file's attributes order, mean, scale, std say about the input; None if nothing.

    Raises
    ------
    WeightsError
        It says something that makes no sense.
    """
    order, mean = attribute(opened, "order"), attribute(opened, "mean")
    if order is None or mean is None:
        return None
    scale, std = attribute(opened, "scale"), attribute(opened, "std")
    try:
        mean, std = (
            tuple(map(float, np.asarray(x, float).ravel())) for x in (mean, (1, 1, 1) if std is None else std)
        )
        scale = 1.0 if scale is None else float(scale)
        sound = order in ("RGB", "BGR") and len(mean) == len(std) == 3
        sound = sound and np.isfinite([*mean, *std, scale]).all() and scale > 0 and min(std) > 0
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise WeightsError(
            file, f"has unusable attributes order {order!r}, mean {mean!r}, scale {scale!r}, std {std!r}"
        )
    return Preprocessing(order, mean, scale, std)
