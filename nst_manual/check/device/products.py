"""Matrix products by cuBLAS, with every layout that the convolutions ask for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nst_manual.backend import product, to_device
from nst_manual.check.device import rounding
from nst_manual.check.device.case import Check, difference, generator
from nst_manual.kernels.tiles import strided

# batch, rows, inner, columns
SHAPES = ((1, 7, 5, 3), (3, 4, 9, 6), (2, 1, 8, 5), (2, 6, 1, 4), (36, 10, 16, 12), (1, 130, 67, 33))


def checks() -> Iterator[Check]:
    """Yield the checks."""
    for dtype in ("float64", "float32", "tf32"):
        for shape in SHAPES:
            for layout in ("plain", "transposed", "shared, added"):
                name = f"{dtype}, {' x '.join(map(str, shape))}, {layout}"
                yield Check("products", name, lambda d=dtype, s=shape, w=layout: product_error(d, s, w))
        yield Check("products", f"{dtype}, rows that overlap", lambda d=dtype: overlapping_error(d))


def product_error(kind: str, shape: tuple[int, int, int, int], layout: str) -> tuple[float, float]:
    """Return error and bound of one product."""
    (count, rows, inner, columns), dtype = shape, "float32" if kind == "tf32" else kind
    rng = generator(shape, layout)
    a, b, out = (
        rng.standard_normal(size).astype(dtype)
        for size in ((count, rows, inner), (count, inner, columns), (count, rows, columns))
    )
    add = "added" in layout
    if "shared" in layout:
        b = np.repeat(b[:1], count, axis=0)
    expected = a.astype(float) @ b.astype(float) + (out if add else 0)
    there = to_device(out) if add else to_device(np.full_like(out, np.nan))  # what is there is not to be read
    left, right = to_device(a), to_device(b)
    if layout == "transposed":
        left, right = (to_device(m.swapaxes(1, 2).copy()).swapaxes(1, 2) for m in (a, b))
    if "shared" in layout:
        right = strided(right, b.shape, (0, columns, 1))
    product(left, right, there, add=add, tf32=kind == "tf32")
    return difference(there, expected), rounding.direct(inner + add, dtype, kind == "tf32")


def overlapping_error(kind: str) -> tuple[float, float]:
    """Return error and bound of a batch whose matrices read and write every third row."""
    dtype, (steps, channels, out) = "float32" if kind == "tf32" else kind, (5, 4, 6)
    rng = generator("overlapping")
    pixels = rng.standard_normal((3 * steps + 3, channels)).astype(dtype)
    w = rng.standard_normal((3 * channels, out)).astype(dtype)
    seen = np.stack([pixels[i : i + 3].ravel() for i in range(3 * steps)])
    flat, y = to_device(pixels.ravel()), to_device(np.full((3 * steps, out), np.nan, dtype))
    met = strided(flat, (3, steps, 3 * channels), (channels, 3 * channels, 1))
    target = strided(y, (3, steps, out), (out, 3 * out, 1))
    product(met, strided(to_device(w), (3, *w.shape), (0, out, 1)), target, tf32=kind == "tf32")
    return difference(y, seen.astype(float) @ w), rounding.direct(3 * channels, dtype, kind == "tf32")
