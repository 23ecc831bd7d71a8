"""SqueezeNet as it comes with the package, written in every format that a test can write, to be damaged."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "store"))
BUNDLED = ROOT / "weights" / "squeezenet.h5"
RUN = ("run", "photo.png", "painting.png", "-o", "old.png", "--network", "squeezenet", "--size", "48")
RUN += ("--iterations", "1")


def bundled() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return layer -> (kernel (kh, kw, in, out), bias) of float32."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def take(name: str, node: object) -> None:
        if name.endswith("/weight"):
            layer = name.removesuffix("/weight")
            found[layer] = tuple(np.asarray(file[f"{layer}/{part}"][()], "f4") for part in ("weight", "bias"))

    with h5py.File(BUNDLED, "r") as file:
        file.visititems(take)
    return found


def torch_order(arrays: dict) -> dict[str, np.ndarray]:
    """Return "conv1.weight" -> (out, in, kh, kw), "conv1.bias" -> (out,), ..."""
    named = {}
    for layer, (kernel, bias) in arrays.items():
        named[f"{layer}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        named[f"{layer}.bias"] = bias
    return named


def write_h5(path: Path, arrays: dict) -> Path:
    """Write Keras's layout, plain: nothing packed, no checksum."""
    with h5py.File(path, "w") as file:
        for layer, (kernel, bias) in arrays.items():
            file[f"{layer}/kernel"], file[f"{layer}/bias"] = kernel, bias
    return path


def write_npz(path: Path, arrays: dict) -> Path:
    """Write an .npz, kernels (kh, kw, in, out)."""
    named = {}
    for layer, pair in arrays.items():
        named[f"{layer}.weight"], named[f"{layer}.bias"] = pair
    np.savez(path, **named)
    return path


def write_safetensors(path: Path, arrays: dict) -> Path:
    """Write a .safetensors file."""
    from test_store_safetensors import write

    header, data = {}, b""
    for name, array in torch_order(arrays).items():
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    return write(path, header, data) or path


def write_pth(path: Path, arrays: dict, form: str = "zip", more: bytes = b"") -> Path:
    """Write PyTorch's file; `more` stands in the pickle of the first tensor."""
    from test_store_pth import dictionary, tensor, write

    values, data = {}, {}
    for number, (name, array) in enumerate(torch_order(arrays).items()):
        stride = tuple(step // 4 for step in array.strides)
        values[name] = tensor(key=str(number), total=array.size, shape=array.shape, stride=stride, more=more)
        data[str(number)] = array.size, array.tobytes()
        more = b""
    return write(path, form, dictionary(**values), data)


def write_legacy(path: Path, arrays: dict) -> Path:
    """Write PyTorch's file in the form before 1.6."""
    return write_pth(path, arrays, "legacy")


def write_onnx(path: Path, arrays: dict) -> Path:
    """Write an ONNX graph, one convolution after another."""
    from test_store_onnx import model, node, tensor

    parts, x = [], b"x"
    for layer, (kernel, bias) in arrays.items():
        names = [f"{layer}.weight".encode(), f"{layer}.bias".encode()]
        kernel = kernel.transpose(3, 2, 0, 1)
        for name, array in zip(names, (kernel, bias), strict=True):
            parts.append(tensor(array.shape, name, data=array.tobytes()))
        parts.append(node(b"Conv", [x, *names], output=layer.encode()))
        x = layer.encode()
    path.write_bytes(model(*parts))
    return path


def write_caffemodel(path: Path, arrays: dict) -> Path:
    """Write Caffe's file."""
    from test_store_caffemodel import blob, layer

    parts = []
    for name, (kernel, bias) in arrays.items():
        kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        parts.append(layer(blob(kernel.shape, kernel), blob(bias.shape, bias), name=name.encode()))
    path.write_bytes(b"".join(parts))
    return path


WRITERS = {
    "plain.h5": write_h5,
    "zip.pth": write_pth,
    "legacy.pth": write_legacy,
    "x.npz": write_npz,
    "x.safetensors": write_safetensors,
    "x.onnx": write_onnx,
    "x.caffemodel": write_caffemodel,
}
