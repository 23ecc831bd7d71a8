"""Exercise: the gradient of max-pooling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal
from nst_manual.kernels import max_pool

NAME = "max-pool-backward"
TITLE = "Max-pooling: the gradient, also with ties"
TEMPLATE = '''
def max_pool_backward(x, dy, k, stride):
    """Return the gradient of a loss with respect to the input of max-pooling.

    Forward, y[n, i, j, c] is the largest of x[n, i stride : i stride + k, j stride : j stride + k, c], each
    channel on its own. Backward, dy[n, i, j, c] goes to the pixel that was the largest, whole. Of several
    equal ones it goes to the first in row-major order (top row first, from left to right). Pixels that are
    in no window, or the largest of none, have gradient 0; one that is the largest of several windows has
    the sum.

    Parameters
    ----------
    x : array (N, H, W, C)
        What forward was given.
    dy : array (N, Ho, Wo, C)
        Gradient of the loss with respect to the output; Ho = (H - k) // stride + 1, and Wo likewise.
    k, stride : int
        Side of the square window, and pixels from one window to the next.

    Returns
    -------
    array (N, H, W, C)
        dx.

    Example
    -------
    k = 2, stride 2, x = 1 3    and dy = 5:   dx = 0 5
                         3 2                       0 0
    """
    raise NotImplementedError
'''
HINTS = (
    "Four loops (n, i, j, c) are enough here: find the window, find its maximum, add dy there.",
    "np.argmax gives the first maximum in row-major order; np.unravel_index makes a row and a column of it.",
    "Windows overlap where stride < k: dx[...] += dy[...], not =.",
)


def cases() -> list[Case]:
    """Return the calls to be checked."""
    rng = np.random.default_rng(3)
    ties = rng.integers(0, 3, (1, 6, 6, 2)).astype(float)
    sparse = np.maximum(normal(4, 2, 5, 8, 2), 0)
    sparse[:, :3, :5] = 0
    return [
        _case(1, normal(1, 1, 4, 6, 3), 2, 2, ""),
        _case(2, normal(2, 2, 5, 7, 2), 2, 2, "two images; the last row and column are in no window"),
        _case(3, normal(3, 1, 7, 9, 2), 3, 2, "windows overlap"),
        _case(4, ties, 2, 2, "many ties"),
        _case(5, sparse, 3, 1, "zeros, as behind a ReLU; windows overlap"),
    ]


def _case(seed: int, x: np.ndarray, k: int, stride: int, note: str) -> Case:
    y, winner = max_pool.forward(x, (k, k), (stride, stride), (0, 0))
    dy = normal(seed + 30, *y.shape)
    dx = max_pool.input_gradient(dy, winner, x.shape, (k, k), (stride, stride), (0, 0))

    def variant(share: str, add: bool = True) -> np.ndarray:
        return _loops(x, dy, k, stride, share, add)

    wrong = {
        "of several equal ones, all get the whole gradient: it is to go to the first alone": lambda: variant(
            "all"
        ),
        "of several equal ones, each gets a part: all of it is to go to the first": lambda: variant("equal"),
        "of several equal ones, the last gets the gradient: it is to be the first": lambda: variant("last"),
        "of several equal ones, the first by columns gets the gradient: it is to be the first by rows": (
            lambda: variant("columns")
        ),
        "where windows overlap, the last one is kept: add to dx (+=), do not assign (=)": (
            lambda: variant("first", add=False)
        ),
        "where windows overlap, the last one is kept, and ties are not broken as they are to be": (
            lambda: variant("all", add=False)
        ),
        "the gradient goes to all pixels of the window in equal parts: that is average pooling": (
            lambda: _everywhere(x, dy, k, stride) / k**2
        ),
        "the gradient goes to all pixels of the window, it is to go to the largest": (
            lambda: _everywhere(x, dy, k, stride)
        ),
        "the maximum of |x| gets the gradient: it is to be that of x": lambda: _loops(
            np.abs(x), dy, k, stride, "first", True
        ),
    }
    said = {dy.shape: "this is the shape of dy; dx has that of x"}
    arguments = {"x": x, "dy": dy, "k": k, "stride": stride}
    return Case("max_pool_backward", arguments, (Expected(dx, alternatives=wrong, shapes=said),), note)


def _windows(dy: np.ndarray, k: int, stride: int) -> Iterator[tuple[tuple, tuple]]:
    """Yield (index of dy, index of the window) of each."""
    for n, i, j, c in np.ndindex(dy.shape):
        rows, columns = (slice(a * stride, a * stride + k) for a in (i, j))
        yield (n, i, j, c), (n, rows, columns, c)


def _loops(x: np.ndarray, dy: np.ndarray, k: int, stride: int, share: str, add: bool) -> np.ndarray:
    """Return dx with ties broken in one way or another."""
    dx = np.zeros_like(x)
    for at, window in _windows(dy, k, stride):
        largest = x[window] == x[window].max()
        if share == "columns":
            only = int(np.flatnonzero(largest.T)[0])
            largest = (np.arange(k * k).reshape(k, k) == only).T
        elif share in ("first", "last"):
            only = np.flatnonzero(largest)[0 if share == "first" else -1]
            largest = np.arange(k * k).reshape(k, k) == only
        part = largest / (largest.sum() if share == "equal" else 1) * dy[at]
        dx[window] = dx[window] + part if add else np.where(largest, part, dx[window])
    return dx


def _everywhere(x: np.ndarray, dy: np.ndarray, k: int, stride: int) -> np.ndarray:
    dx = np.zeros_like(x)
    for at, window in _windows(dy, k, stride):
        dx[window] += dy[at]
    return dx
