"""What is in the test files of Caffe and ONNX, made from a seed by the tools and by the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILES = Path(__file__).parent / "files"

# Layer -> (shape of the kernel (out, in / groups, kh, kw) or matrix (out, in), shape of the bias or None).
LAYERS = {
    "conv1_1": ((4, 3, 3, 3), (4,)),
    "conv1/1x1": ((6, 4, 1, 1), (6,)),
    "grouped": ((4, 3, 3, 3), None),
    "fc6": ((5, 16), (5,)),
    "fc7": ((1, 5), (1,)),
}


def golden_arrays(seed: int = 0, dtype: str = "float32") -> dict[str, np.ndarray]:
    """Return "conv1_1.weight", "conv1_1.bias", ... -> values, as a reader should give them."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for layer, shapes in LAYERS.items():
        for part, shape in zip(("weight", "bias"), shapes, strict=True):
            if shape is not None:
                arrays[f"{layer}.{part}"] = rng.standard_normal(shape).astype(dtype)
    return arrays


def batch_norm_arrays(seed: int = 1, channels: int = 4) -> list[np.ndarray]:
    """Return scale, shift, mean and variance."""
    rng = np.random.default_rng(seed)
    return [(rng.random(channels) + (i in (0, 3))).astype("float32") for i in range(4)]
