"""Change of size: a triangle filter with antialiasing, on floats."""

from __future__ import annotations

import math

import numpy as np

from nst_manual.errors import ResourceError, UsageError

_BAND = 1 << 20  # pixels whose rows are filtered at a time


def fit(size: tuple[int, int], longer: int) -> tuple[int, int]:
    """Return the size (h, w) whose longer side is `longer` and whose proportion is that of `size` (H, W).

    The shorter side is rounded to the nearest whole number, halves up, and is at least 1. Enlarges too.
    All sizes are in pixels.

    Raises
    ------
    UsageError
        A side below 1.
    """
    if min(size) < 1 or longer < 1:
        raise UsageError(
            "size", f"expected sides of at least 1 pixel, got {size[0]} x {size[1]} and {longer}"
        )
    # in whole numbers: floor(a b / c + 1/2) without the rounding of floats
    height, width = (max(1, (2 * side * longer + max(size)) // (2 * max(size))) for side in size)
    return height, width


def longer_side(size: tuple[int, int], wanted: int, rule: str = "longer") -> int:
    """Return the longer side, in pixels, of a picture of size (H, W) brought to a wanted one by a rule.

    Parameters
    ----------
    size : (int, int)
    wanted : int
        In pixels.
    rule : {"longer", "shorter", "area", "original"}
        The longer side is `wanted`; the shorter is; the area is that of `wanted` x `wanted`; the size stays.
    """
    longer, shorter = max(size), min(size)
    if rule == "shorter":
        return (2 * wanted * longer + shorter) // (2 * shorter)  # rounded, halves up
    if rule == "area":
        return max(1, round(wanted * math.sqrt(longer / shorter)))
    return longer if rule == "original" else wanted


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the picture at another size.

    A triangle (Pillow's BILINEAR), widened by the factor of the reduction so that fine patterns turn grey
    instead of into other patterns. It is the filter of neural-style and its ports, so that losses compare
    with theirs; and it never overshoots, where Lanczos leaves a bright and a dark line along each edge, which
    the style losses then have to paint (measured at 256 pixels: the same run ends with a loss a fifth
    higher). It acts on sRGB values as they are, as image editors do by default. Pillow computes on floats
    here, a channel at a time: bytes would lose the fractions of 16-bit pictures. Rows are filtered first, in
    bands, and columns after that, so that a large photograph needs no copy of itself.

    Parameters
    ----------
    pixels : numpy.ndarray
        (H, W, 3), 0..255.
    size : (int, int)
        (h, w), pixels.

    Returns
    -------
    numpy.ndarray, float32
        (h, w, 3), 0..255. The same size gives a copy.

    Raises
    ------
    UsageError
        A side below 1.
    ResourceError
        Not enough memory for the new size.
    """
    from PIL import Image

    height, width = size
    if min(height, width, *pixels.shape[:2]) < 1:
        cause = f"expected sides of at least 1 pixel, got {height} x {width} from {pixels.shape[:2]}"
        raise UsageError("size", cause)
    if pixels.shape[:2] == (height, width):
        return np.array(pixels, np.float32, order="C")
    rows = max(1, _BAND // pixels.shape[1])
    try:
        result = np.empty((height, width, 3), np.float32)
        for c in range(3):
            narrow = np.empty((pixels.shape[0], width), np.float32)
            for top in range(0, pixels.shape[0], rows):
                band = Image.fromarray(np.ascontiguousarray(pixels[top : top + rows, :, c], np.float32))
                narrow[top : top + rows] = band.resize((width, band.height), Image.Resampling.BILINEAR)
            channel = Image.fromarray(narrow)
            result[..., c] = channel.resize((width, height), Image.Resampling.BILINEAR)
    # a size beyond all address space is a ValueError of NumPy's, one beyond a C int Pillow's OverflowError
    except (MemoryError, OverflowError, ValueError) as error:
        raise ResourceError(f"size {height} x {width}", "not enough memory for such a picture") from error
    return result


def scale_to(pixels: np.ndarray, longer: int) -> np.ndarray:
    """Return the picture (H, W, 3) with its longer side of `longer` pixels; see `fit` and `resize`."""
    return resize(pixels, fit(pixels.shape[:2], longer))
