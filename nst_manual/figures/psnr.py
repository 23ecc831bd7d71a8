"""How much of a picture a reconstruction has, in decibels."""

from __future__ import annotations

import math
from typing import Any


def psnr(pixels: Any, picture: Any) -> float:
    """Return the peak signal-to-noise ratio of two pictures, in dB.

        10 log10(255^2 / mean (x - y)^2)

    Parameters
    ----------
    pixels, picture : array (H, W, 3)
        0..255, of one size.

    Returns
    -------
    float
        Infinite where they are equal; some 30 dB is as good as the same to the eye.
    """
    error = float(((pixels.astype(float) - picture) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
