"""What the golden `.pth` files hold, drawn from one seed: the tool writes it, the tests compare with it."""

from __future__ import annotations

import numpy as np

SHAPES = {
    "features.0.weight": (4, 3, 3, 3),
    "features.0.bias": (4,),
    "features.1.weight": (4,),
    "features.1.running_mean": (4,),
    "features.2.weight": (5, 4, 1, 1),
    "classifier.0.weight": (6, 20),
    "classifier.0.bias": (6,),
}


def state(seed: int = 0) -> dict[str, np.ndarray]:
    """Return a small network's state: float32 values that bfloat16 and float16 hold exactly."""
    rng = np.random.default_rng(seed)
    arrays = {name: rng.integers(-128, 128, shape).astype("f4") / 64 for name, shape in SHAPES.items()}
    return arrays | {"features.1.num_batches_tracked": np.array(7, "i8")}


def kinds(seed: int = 1) -> dict[str, np.ndarray]:
    """Return arrays by the names of PyTorch's types, and of ways in which a tensor lies in its storage.

    bfloat16 becomes float32.
    """
    rng = np.random.default_rng(seed)
    types = {"double": "f8", "half": "f2", "float": "f4", "bfloat16": "f4", "long": "i8", "int": "i4"}
    types |= {"short": "i2", "char": "i1", "byte": "u1"}
    arrays = {name: rng.integers(0, 100, (3, 4)).astype(code) for name, code in types.items()}
    base = (rng.integers(-128, 128, (6, 5)) / 64).astype("f4")
    arrays |= {"transposed": base.T.copy(), "rows": base[2:4].copy(), "steps": base[1::2, ::2].copy()}
    arrays["channels_last"] = (rng.integers(-128, 128, (2, 3, 4, 5)) / 64).astype("f4")
    return arrays | {"empty": np.zeros((0, 3), "f4"), "scalar": np.array(2.5, "f4")}


def base(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return the (6, 5) array of which "transposed", "rows" and "steps" are views."""
    return np.ascontiguousarray(arrays["transposed"].T)
