"""Pictures as cameras make them, in that neighbours resemble each other, and images as optimisers do."""

import numpy as np


def smooth_picture(seed, height, width):
    """Return (height, width, 3) of uint8: a few waves of random direction and colour, and a little grain."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    picture = np.full((height, width, 3), 128.0)
    for _ in range(6):
        fy, fx, phase = rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), rng.uniform(0, 2 * np.pi)
        picture += np.sin(fy * rows + fx * columns + phase)[..., None] * rng.uniform(-40, 40, 3)
    picture += rng.normal(0, 6, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def random_start(seed, shape):
    """Return an image (1, H, W, 3) of float64 with values on both sides of 0..255."""
    return np.random.default_rng(seed).uniform(-40, 300, shape)
