"""Read MatConvNet's networks, such as imagenet-vgg-verydeep-19.mat: kernels (kh, kw, in, out), RGB.

What the MAT file (see `nst_manual.store.mat5`) holds, {} a cell and . a field of a struct:

    layers{i}.name, .type                        conv1_1, conv
    layers{i}.weights{1}, {2}                    kernel and bias, since version beta10 or so
    layers{i}.filters, .biases                   the same, before
    meta.normalization.averageImage              the mean colour, as an image of any size or 1x1x3; newer
    normalization.averageImage                   the same, older

MATLAB leaves out axes of size 1 at the end: the kernel of a convolution to one channel has three. The fully
connected layers are convolutions: fc6 has a kernel of (7, 7, 512, 4096). MatConvNet correlates, as we do, and
its own manual puts H first; so nothing is flipped or transposed here. (Some readers of the published file
swap H and W, which makes the features of the transposed image.)
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.nets.preprocessing import MATCONVNET, Preprocessing
from nst_manual.store.archive import Archive, Tensor
from nst_manual.store.mat5 import Cell, Numbers, Struct, open_mat5
from nst_manual.store.said import said_preprocessing

BEGINNINGS = (b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")  # the second to say that it is not read
VERSIONS = (b"\x00\x01IM", b"\x01\x00MI")  # little- and big-endian


def matches(head: bytes) -> bool:
    """Say whether a file that begins with `head` (up to 4096 bytes) looks like this format."""
    return head.startswith(BEGINNINGS) or head[124:128] in VERSIONS


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a file; its tensors can be read inside the block.

    Parameters
    ----------
    path : Path

    Yields
    ------
    Archive
        Of axes "HWIO"; its tensors are "conv1_1.weight", of four axes, "conv1_1.bias", of one, ...

    Raises
    ------
    WeightsError
        It is damaged or truncated, or does not hold a network of this kind; here or in `read`.
    ResourceError
        There is not enough memory.
    """
    file = str(path)
    with open_mat5(path) as variables:
        net = _fields(variables.get("net"))  # save("x.mat", "net") instead of its fields
        top = variables if "layers" in variables or net is None else net
        preprocessing = _preprocessing(file, top)
        tensors = _tensors(file, top.get("layers"))
        yield Archive("MatConvNet", tensors, "HWIO", preprocessing=preprocessing, convention=MATCONVNET)


def _fields(value: object) -> dict[str, object] | None:
    """Return the fields of a struct that is one, not an array of several."""
    return value.items[0] if isinstance(value, Struct) and len(value.items) == 1 else None


def _tensors(file: str, layers: object) -> dict[str, Tensor]:
    """Return the tensors of all layers that have any."""
    if isinstance(layers, Struct):
        raise WeightsError(
            file, "is a DagNN network, expected a SimpleNN one", "what is read: layers in a cell array"
        )
    if not isinstance(layers, Cell) or not layers.items:
        raise WeightsError(file, "has no cell array layers, which MatConvNet's networks have")
    tensors: dict[str, Tensor] = {}
    for number, item in enumerate(layers.items, 1):
        layer = _fields(item)
        if layer is None or not isinstance(layer.get("type"), str):
            raise WeightsError(file, f"layer {number} is not a struct with a type")
        parts = _parts(file, number, layer)
        if layer["type"] != "conv":
            if parts:  # a kind of layer that is unknown, or a damaged type
                raise WeightsError(file, f"layer {number} has weights, its type is {layer['type'][:40]!r}")
            continue
        name = layer.get("name")
        if not isinstance(name, str) or not name or f"{name}.weight" in tensors:
            raise WeightsError(file, f"layer {number} has no name of its own, but {str(name)[:40]!r}")
        if not parts:
            raise WeightsError(file, f"layer {number} ({name[:40]!r}) should have a kernel and a bias")
        tensors |= _kernel_and_bias(file, name, *parts)
    if not tensors:
        raise WeightsError(file, "has no layer with weights")
    return tensors


def _parts(file: str, number: int, layer: dict[str, object]) -> list[Numbers]:
    """Return a layer's kernel and bias, in that order, as far as it has them; an empty matrix is none."""
    if "filters" in layer or "biases" in layer:
        found = [layer.get("filters"), layer.get("biases")]
    else:
        weights = layer.get("weights", Cell(()))
        found = list(weights.items) if isinstance(weights, Cell) else [weights]
    if not all(isinstance(part, Numbers) for part in found):
        raise WeightsError(file, f"layer {number} has weights that are not real numbers, or lacks some")
    parts = [part for part in found if 0 not in part.shape]
    # Without biases, their matrix is there and empty.
    if parts and (len(found) != 2 or parts[0] is not found[0]):
        raise WeightsError(file, f"layer {number} should have a kernel and a bias, found {len(parts)}")
    return parts


def _kernel_and_bias(file: str, name: str, kernel: Numbers, bias: Numbers | None = None) -> dict[str, Tensor]:
    shape = (*kernel.shape, 1, 1)[:4]
    if len(kernel.shape) > 4:
        raise WeightsError(file, f"{name[:40]!r} has a kernel of shape {kernel.shape}, expected four axes")
    tensors = {f"{name}.weight": _tensor(kernel, shape)}
    if bias is not None:
        if max(bias.shape) != shape[3] or math.prod(bias.shape) != shape[3]:
            raise WeightsError(
                file, f"{name[:40]!r} has a bias of shape {bias.shape}, expected {shape[3]} numbers"
            )
        tensors[f"{name}.bias"] = _tensor(bias, shape[3:])
    return tensors


def _tensor(numbers: Numbers, shape: tuple[int, ...]) -> Tensor:
    # Only axes of size 1 differ, so the order of the values stays.
    return Tensor(shape, numbers.dtype, lambda: numbers.read().reshape(shape))


def _preprocessing(file: str, top: dict[str, object]) -> Preprocessing | None:
    """Return what the network's description says about its input; None if it does not."""
    meta = _fields(top.get("meta")) or {}
    described = _fields(meta.get("normalization")) or _fields(top.get("normalization")) or {}
    image = described.get("averageImage")
    if image is None or (isinstance(image, Numbers) and 0 in image.shape):
        return None
    # An image (H, W, 3), or three numbers in any direction.
    if not isinstance(image, Numbers) or not (
        sorted(image.shape)[:-1] == [1] * (len(image.shape) - 1)
        and max(image.shape) == 3
        or (len(image.shape) == 3 and image.shape[2] == 3)
    ):
        shape = image.shape if isinstance(image, Numbers) else "none"
        raise WeightsError(file, f"has an averageImage of shape {shape}, expected (H, W, 3)")
    mean = image.read().astype(np.float64).reshape(-1, 3).mean(axis=0)
    return said_preprocessing(file, {"order": "RGB", "mean": mean})
