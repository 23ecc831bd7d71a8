"""How far rounding may bring an answer from the exact one: bounds that come of counting, not of trying.

They are for random numbers of mean 0, which all checks here draw: roundings are independent then, and add up
as the root of a sum of squares. Everything is relative to the norm of the answer. With the unit u, a rounding
has the standard deviation u / sqrt(3).

A sum of K products of variance 1 is sqrt(K) large. Its k-th partial sum is sqrt(k) large and is rounded by u
sqrt(k / 3), so all of them together by u K / sqrt(6), and the products by u sqrt(K / 3):

    error = u sqrt(K / 6 + 1 / 3)                                                        direct sums

An order in which partial sums are added in pairs is better, none that is in use is worse.

Winograd's y = A^T [ (G g G^T) * (B^T d B) ] A makes differences of numbers larger than the answer. Component
(a, b) of the bracket has the variance C |B_a|^2 |B_b|^2 |G_a|^2 |G_b|^2, and an error that is relative to it
comes out multiplied by A^2. Summed up, and divided by the variance 9 C of the answer, it has grown by

    gain = mean over i of sum over a of A_ia^2 |B_a|^2 |G_a|^2 / 3                  one for each of two axes

TF32 keeps ten bits of a factor. Tensor cores may cut off the others: each factor is too small by up to 2^-10,
a product by 2^-9, and so is a sum of such products, as they all err to the same side.
"""

from __future__ import annotations

import math

import numpy as np

from nst_manual.kernels.winograd_transforms import MATRICES

UNITS = {"float32": 2.0**-24, "float64": 2.0**-53}
TF32 = 2.0**-9  # of a product, by its factors
# Roundings of a number on its way through Winograd's transforms, at most: two axes, each in B, G and A, of up
# to five additions and as many factors.
TRANSFORMS = 2 * 3 * 10
# Above what is expected: for sums of few numbers, whose errors do not average out.
SLACK = 4.0


def direct(terms: int, dtype: str, tf32: bool = False) -> float:
    """Return the bound of a sum of that many products."""
    error = UNITS[dtype] * math.sqrt(terms / 6 + 1 / 3)
    return SLACK * error + (TF32 if tf32 and dtype == "float32" else 0.0)


def winograd(channels: int, dtype: str, tile: int = 4) -> float:
    """Return the bound of Winograd's convolution with tiles of that many pixels a side."""
    error = UNITS[dtype] * math.sqrt((channels + 2 * TRANSFORMS) / 6)
    return SLACK * gain(tile) * error


def gain(tile: int) -> float:
    """Return how many times an error relative to the products becomes larger by the way back to pixels."""
    b, g, a = (np.array(MATRICES[tile][name], float) for name in ("B_T", "G", "A_T"))
    return float((a**2 @ ((b**2).sum(1) * (g**2).sum(1))).mean() / 3)


def convolution(name: str, terms: int, channels: int, dtype: str) -> float:
    """Return the bound of an algorithm, by its name, with so many terms a sum."""
    if "winograd" in name:
        return winograd(channels, dtype)
    return direct(terms, dtype, tf32="tf32" in name)
