"""The arrays in the golden .safetensors, .npz and .mat files, made again from their seed."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np

FILES = Path(__file__).parent / "files"
SAID = {"order": "BGR", "mean": [103.5, 116.25, 123.75], "scale": 0.5, "std": [1.0, 2.0, 4.0]}
MEAN_RGB = (123.75, 116.25, 103.5)

# Kernels (kh, kw, in, out); the third is one whose last axes MATLAB leaves out.
LAYERS = {"conv1_1": (3, 3, 3, 4), "conv1_2": (3, 2, 4, 5), "conv2_1": (3, 1, 5, 1), "fc6": (2, 2, 1, 6)}


def layers() -> dict[str, np.ndarray]:
    """Return "conv1_1.weight", "conv1_1.bias", ... of float32."""
    rng = np.random.default_rng(20)
    arrays = {}
    for name, shape in LAYERS.items():
        arrays[f"{name}.weight"] = rng.standard_normal(shape).astype("f4")
        arrays[f"{name}.bias"] = rng.standard_normal(shape[3]).astype("f4")
    return arrays


def kinds() -> dict[str, np.ndarray]:
    """Return an array of each type that is read, a scalar and an empty one."""
    rng = np.random.default_rng(21)
    arrays = {
        f"kind/{code}": (rng.standard_normal((2, 3, 5)) * 50).astype(code)
        for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8")
    }
    arrays |= {f"kind/u{n}": rng.integers(0, 255, (4, 3)).astype(f"u{n}") for n in (1, 2, 4, 8)}
    return arrays | {"scalar": np.array(2.5, "f4"), "empty": np.zeros((0, 3), "f4")}


def rounded_to_bfloat16() -> np.ndarray:
    """Return float32 values that bfloat16 holds exactly, infinity and NaN among them."""
    values = np.random.default_rng(22).standard_normal((3, 7)).astype("f4")
    values[0, :3] = np.inf, -np.inf, np.nan
    return (values.view("u4") & 0xFFFF0000).view("f4")


def mean_image() -> np.ndarray:
    """Return an image (4, 2, 3) of float32 whose mean colour is exactly `MEAN_RGB`."""
    steps = np.arange(8, dtype="f4").reshape(4, 2, 1) - 3.5
    return np.asarray(MEAN_RGB, "f4") + steps * np.asarray([1, -2, 4], "f4")


def read_all(reader, path: Path) -> dict[str, np.ndarray]:
    """Return all tensors that a reader's module finds, each read and held against what it declared."""
    with reader.open_archive(path) as archive:
        arrays = {}
        for name, tensor in archive.tensors.items():
            array = arrays[name] = tensor.read()
            assert array.shape == tensor.shape and array.dtype == tensor.dtype and array.dtype.isnative, name
            assert array.flags.c_contiguous and array.flags.writeable, name
        return arrays


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    """Say whether names, shapes, types and values are equal, NaN to NaN."""
    return found.keys() == expected.keys() and all(
        x.dtype == expected[name].dtype and x.shape == expected[name].shape
        and np.array_equal(x, expected[name], equal_nan=x.dtype.kind == "f")
        for name, x in found.items()
    )  # fmt: skip


def cut(data: bytes) -> list[bytes]:
    """Return beginnings of a file: 60 sizes spread over it, and all but its last bytes."""
    sizes = {*range(0, 40, 3), *range(0, len(data), max(1, len(data) // 60))}
    return [data[:size] for size in sorted(sizes | {len(data) - n for n in (1, 2, 3, 4, 8, 22)})]


def flip(data: bytes, count: int = 200, seed: int = 23) -> list[bytes]:
    """Return copies of a file with one bit flipped, half of them in its first and last 600 bytes."""
    rng = np.random.default_rng(seed)
    edges = [*range(min(600, len(data))), *range(max(0, len(data) - 600), len(data))]
    damaged = []
    for i in range(count):
        copy = bytearray(data)
        copy[rng.choice(edges) if i % 2 else rng.integers(len(data))] ^= 1 << rng.integers(8)
        damaged.append(bytes(copy))
    return damaged


def peak_of(call) -> int:
    """Return the bytes that a call allocates at its worst."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
