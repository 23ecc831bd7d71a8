"""What all painters share: the canvas, noise, colours, light and the final reduction.

Pictures are painted at `SCALE` times their size and reduced at the end, which smooths every edge at once.
Coordinates are in pixels of the finished picture; the scale shows only where a painter indexes arrays.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

WIDTH, HEIGHT, SCALE = 640, 512, 2
SHAPE = (HEIGHT * SCALE, WIDTH * SCALE)


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of every canvas pixel's centre, in pixels of the finished picture."""
    y, x = np.indices(SCALE * np.array((HEIGHT, WIDTH)), dtype=np.float32)
    return (x + 0.5) / SCALE, (y + 0.5) / SCALE


def colours(text: str) -> np.ndarray:
    """Return (n, 3) floats in 0..1 from hexadecimal colours with spaces between."""
    return np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in text.split()], np.float32) / 255


def noise(rng: np.random.Generator, cell: float | tuple[float, float], octaves: int = 1) -> np.ndarray:
    """Return smooth noise (H, W), mean 0, deviation 1, its features `cell` pixels wide (or (high, wide))."""
    high, wide = np.broadcast_to(np.asarray(cell, float), 2)
    total = np.zeros(SHAPE, np.float32)
    for octave in range(octaves):
        f = 2.0**octave
        coarse = [max(4, int(np.ceil(n * f / c)) + 3) for n, c in ((HEIGHT, high), (WIDTH, wide))]
        values = rng.standard_normal(coarse).astype(np.float32)
        step = (f / (high * SCALE), f / (wide * SCALE))
        # a cubic spline through random values has no cell boundaries that the eye could find
        layer = ndimage.affine_transform(values, step, offset=1, output_shape=SHAPE, order=3, mode="mirror")
        total += layer / f
    return (total - total.mean()) / total.std()


def ramp(t: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return the colour at `t` in 0..1 along equally spaced `stops` (n, 3)."""
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(t, at, stops[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def mix(a: np.ndarray, b: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """Return ``a + (b - a) t`` for colours, with `t` (H, W) or a number."""
    t = np.asarray(t, np.float32)[..., None]
    return a + (b - a) * t


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Return 0 below `low`, 1 above `high`, and a smooth way between; `low` may be the greater one."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bell(x: np.ndarray, middle: float, width: float) -> np.ndarray:
    """Return a rounded hill: 1 at `middle`, 1 / e at `width` to either side."""
    return np.exp(-(((x - middle) / width) ** 2))


def relief(height: np.ndarray, depth: float, angle: float = 225) -> np.ndarray:
    """Return how much more (+) or less (-) light than a flat one each point of a surface gets.

    The light comes from `angle` degrees, counted clockwise from the right; 225 is the upper left.
    """
    dy, dx = np.gradient(height * depth)
    a = np.radians(angle)
    # minus the slope along the light, divided by the length of the surface normal
    return -(dx * np.cos(a) + dy * np.sin(a)) / np.sqrt(1 + dx * dx + dy * dy)


def to_image(canvas: np.ndarray) -> Image.Image:
    """Return the finished picture of a canvas (SCALE H, SCALE W, 3)."""
    small = canvas.reshape(HEIGHT, SCALE, WIDTH, SCALE, 3).mean(axis=(1, 3))
    return Image.fromarray((np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8))
