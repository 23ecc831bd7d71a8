"""Figures whose pictures take a fraction of a second: small images, the smallest network, random weights."""

from __future__ import annotations

import numpy as np
from smooth_pictures import smooth_picture

SMALL = {"network": "vgg11", "weights": "random", "size": 32, "iterations": 2}
CONTENT, STYLE = smooth_picture(0, 24, 32), smooth_picture(1, 30, 28)


def images(figure) -> list[np.ndarray]:
    """Return the pictures of a figure."""
    return [pixels for _, pixels in figure.pictures]


def captions(figure) -> list[str]:
    """Return the captions of a figure."""
    return [caption for caption, _ in figure.pictures]
