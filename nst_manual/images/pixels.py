"""Pixels to the network and back: one leading axis, and rounding to bytes at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nst_manual.errors import DivergedError, ShapeError

if TYPE_CHECKING:
    from PIL import Image


class NotFiniteError(DivergedError, ValueError):
    """A picture with values that are not finite: no pixel has them, so the run that made it has diverged."""


def to_network(pixels: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Return (H, W, 3) as the network's image (1, H, W, 3): a contiguous copy of `dtype`, still 0..255.

    Raises
    ------
    ShapeError
        Not a picture of three channels.
    """
    _expect(pixels.ndim == 3 and pixels.shape[2] == 3, "(H, W, 3)", pixels)
    return np.array(pixels, dtype=dtype, order="C")[None]


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) of uint8, rounded to the nearest value and clipped to 0..255.

    Parameters
    ----------
    image : numpy.ndarray
        (1, H, W, 3) or (H, W, 3), pixels 0..255; an optimiser may have gone beyond.

    Raises
    ------
    NotFiniteError
        NaN or infinity among the values: a cast would make arbitrary bytes of them. A `DivergedError`.
    ShapeError
        Another shape.
    """
    _expect(image.ndim == 3 or image.shape[:1] == (1,), "(1, H, W, 3) or (H, W, 3)", image)
    if image.ndim == 4:
        image = image[0]
    _expect(image.ndim == 3 and image.shape[2] == 3, "(1, H, W, 3) or (H, W, 3)", image)
    if image.dtype == np.uint8:
        return np.array(image, order="C")
    wrong = image.size - int(np.count_nonzero(np.isfinite(image)))
    if wrong:
        raise NotFiniteError("image", f"{wrong} of {image.size} values are NaN or infinite")
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def to_pil(image: np.ndarray) -> Image.Image:
    """Return the picture as an RGB `PIL.Image.Image`; takes and raises what `to_uint8` does."""
    from PIL import Image

    return Image.fromarray(to_uint8(image))


def _expect(fits: bool, expected: str, got: np.ndarray) -> None:
    if not fits:
        raise ShapeError("image", f"expected {expected}, got {got.shape}")
