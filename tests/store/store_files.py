"""Weight files for the tests: a small network with VGG's names, and VGG-19 made of the bundled VGG-16."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

# A network of three layers with VGG's names: good for all but sizes, written in no time.
SMALL = {
    "conv1_1": ((3, 3, 3, 4), (4,)),
    "conv1_2": ((3, 3, 4, 5), (5,)),
    "conv2_1": ((3, 3, 5, 6), (6,)),
}

VGG16 = {"1": (3, 64, 2), "2": (64, 128, 2), "3": (128, 256, 3), "4": (256, 512, 3), "5": (512, 512, 3)}
VGG19 = {**VGG16, "3": (128, 256, 4), "4": (256, 512, 4), "5": (512, 512, 4)}


def vgg_shapes(blocks: dict[str, tuple[int, int, int]]) -> dict:
    """Return layer name -> (kernel's shape, bias's shape) of a VGG network without its classifier."""
    shapes = {}
    for block, (inputs, outputs, layers) in blocks.items():
        for index in range(1, layers + 1):
            shapes[f"conv{block}_{index}"] = ((3, 3, inputs if index == 1 else outputs, outputs), (outputs,))
    return shapes


def random_arrays(shapes: dict, seed: int = 0) -> dict:
    """Return layer name -> (kernel, bias) of float32."""
    rng = np.random.default_rng(seed)
    return {
        name: tuple(rng.standard_normal(shape).astype("float32") for shape in pair)
        for name, pair in shapes.items()
    }


def keras_name(name: str) -> str:
    """conv3_2 -> block3_conv2; fc6 -> fc1."""
    if name.startswith("conv"):
        return f"block{name[4]}_conv{name[6]}"
    return {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}[name]


def write_keras(path: Path, arrays: dict, **options) -> Path:
    """Write arrays in the layout of Keras's published files; `options` go to h5py's create_dataset."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([keras_name(name).encode() for name in arrays])
        for name, pair in arrays.items():
            layer = keras_name(name)
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([f"{layer}_W_1:0".encode(), f"{layer}_b_1:0".encode()])
            for part, array in zip("Wb", pair, strict=True):
                group.create_dataset(f"{layer}_{part}_1:0", data=array, **options)
    return path


def make_identity_vgg19(vgg16: dict) -> dict:
    """Return VGG-19's arrays that compute what VGG-16 does, given VGG-16's.

    conv3_4, conv4_4 and conv5_4 are identities: a one in the middle of each kernel from a channel to itself,
    no bias. Nothing that comes out of a ReLU is negative, so another ReLU behind them changes nothing either.
    """
    arrays = {}
    for name, (kernel_shape, bias_shape) in vgg_shapes(VGG19).items():
        if name.endswith("_4"):
            kernel = np.zeros(kernel_shape, "float32")
            kernel[1, 1] = np.eye(kernel_shape[2])
            arrays[name] = (kernel, np.zeros(bias_shape, "float32"))
        else:
            arrays[name] = vgg16[name]
    return arrays


def write_identity_vgg19(path: Path, vgg16: dict) -> Path:
    """Write `make_identity_vgg19` in Keras's layout (80 MB)."""
    return write_keras(path, make_identity_vgg19(vgg16))
