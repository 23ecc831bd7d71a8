"""A run that takes a fraction of a second: a small picture, the smallest network, random weights."""

from __future__ import annotations

import numpy as np

SMALL = {
    "network": "vgg11",
    "weights": "random",
    "size": 24,
    "iterations": 4,
    "style_layers": "relu1_1,relu2_1",
} | {"content_layers": "relu2_1"}


def pictures(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a photograph (18, 24, 3) and a painting (24, 20, 3), both of uint8."""
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((18, 24, 3), (24, 20, 3)))
