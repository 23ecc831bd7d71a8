"""Exercise: the Gram matrix."""

from __future__ import annotations

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal, scaled
from nst_manual.kernels import gram as kernel

NAME = "gram"
TITLE = "Gram matrix: which channels are active together"
TEMPLATE = '''
def gram(x):
    """Return the Gram matrix of each image's features.

        G[n, c, d] = sum over all positions i, j of x[n, i, j, c] x[n, i, j, d]

    With F the features of one image as a matrix of M = H W rows and C columns, G = F^T F. It is not divided
    by anything.

    Parameters
    ----------
    x : array (N, H, W, C)
        Features of N images.

    Returns
    -------
    array (N, C, C)

    Example
    -------
    One image of two positions with the channels (1, 2) and (3, 4):

        F = 1 2     G = 1 + 9    2 + 12      = 10 14
            3 4         2 + 12   4 + 16        14 20
    """
    raise NotImplementedError
'''
HINTS = (
    "x.reshape(N, H * W, C) makes F of each image: the channels are the last axis already.",
    "F.transpose(0, 2, 1) exchanges rows and columns of each, and @ multiplies them image by image.",
)


def cases() -> list[Case]:
    """Return the calls to be checked."""
    return [
        _case(normal(1, 1, 4, 6, 3), ""),
        _case(normal(2, 2, 5, 3, 4), "two images"),
        _case(normal(3, 1, 2, 3, 7), "more channels than positions"),
    ]


def _case(x: np.ndarray, note: str) -> Case:
    n, h, w, c = x.shape
    m = h * w
    right = kernel.forward(x)
    features = x.reshape(n, m, c)
    centred = features - features.mean(axis=1, keepdims=True)
    rows = x.reshape(n, c, m)
    wrong = scaled(
        right,
        {
            "it is divided by the number of positions M": 1 / m,
            "it is divided by M C": 1 / (m * c),
            "it is divided by the number of channels C": 1 / c,
            "it is divided by M C^2": 1 / (m * c * c),
        },
    )
    wrong |= {
        "the channels are mixed up: reshape(C, H W) moves no axis; reshape to (H W, C), transpose": (
            rows @ rows.transpose(0, 2, 1)
        ),
        "the mean of each channel is subtracted: that is a covariance": centred.transpose(0, 2, 1) @ centred,
        "all images are in one matrix: each has its own": np.repeat(right.sum(0, keepdims=True), n, 0),
    }
    said = {
        (n, m, m): "this is F F^T, positions by positions; F^T F is channels by channels",
        (m, m): "this is F F^T, positions by positions; F^T F is channels by channels",
    }
    if n > 1:
        said[c, c] = said[1, c, c] = "all images are in one matrix: each has its own"
        said[n * m, n * m] = said[m, m]
    else:
        said[c, c] = "the axis of the images is missing"
    expected = Expected(right, alternatives=wrong, shapes=said, by_image=True)
    return Case("gram", {"x": x}, (expected,), note)
