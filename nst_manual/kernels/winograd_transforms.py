"""Winograd's transforms, of tiles of 4x4 and 6x6 pixels, as products with small matrices.

A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016): F(t x t, 3x3) makes a tile
of t x t pixels of the output from k x k of the input, k = t + 2, by

    y = A^T [ (G g G^T) * (B^T d B) ] A

The matrices come from polynomials taken at k - 1 points and at infinity: 0, +-1, +-2 for t = 4, and +-1/2
besides for t = 6. Every product below is one call for a whole band of tiles: each row of a small matrix is
applied to k long rows of numbers at once.

Rows of a matrix that are a multiple of 4096 bytes apart take the same few places of the processor's cache
from one another. So they are kept PAD numbers further apart than they are long.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from nst_manual.backend import array_module
from nst_manual.kernels.tiles import strided

MATRICES = {
    4: {
        "B_T": [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        "G": [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ],
        "A_T": [
            [1, 1, 1, 1, 1, 0],
            [0, 1, -1, 2, -2, 0],
            [0, 1, 1, 4, 4, 0],
            [0, 1, -1, 8, -8, 1],
        ],
    },
    6: {
        "B_T": [
            [1, 0, -21 / 4, 0, 21 / 4, 0, -1, 0],
            [0, 1, 1, -17 / 4, -17 / 4, 1, 1, 0],
            [0, -1, 1, 17 / 4, -17 / 4, -1, 1, 0],
            [0, 1 / 2, 1 / 4, -5 / 2, -5 / 4, 2, 1, 0],
            [0, -1 / 2, 1 / 4, 5 / 2, -5 / 4, -2, 1, 0],
            [0, 2, 4, -5 / 2, -5, 1 / 2, 1, 0],
            [0, -2, 4, 5 / 2, -5, -1 / 2, 1, 0],
            [0, -1, 0, 21 / 4, 0, -21 / 4, 0, 1],
        ],
        "G": [
            [1, 0, 0],
            [-2 / 9, -2 / 9, -2 / 9],
            [-2 / 9, 2 / 9, -2 / 9],
            [1 / 90, 1 / 45, 2 / 45],
            [1 / 90, -1 / 45, 2 / 45],
            [32 / 45, 16 / 45, 8 / 45],
            [32 / 45, -16 / 45, 8 / 45],
            [0, 0, 1],
        ],
        "A_T": [
            [1, 1, 1, 1, 1, 1, 1, 0],
            [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0],
            [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0],
            [0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0],
            [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0],
            [0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1],
        ],
    },
}
PAD = 16


@functools.cache
def matrices(tile: int, dtype: str, xp: Any, turned: bool) -> tuple[Any, Any, Any]:
    """Return B^T (k, k), G x G (k k, 9), a Kronecker product, and A^T (tile, k).

    To convolve with kernels turned by 180 degrees is to turn what goes in and what comes out: `turned` has
    the columns of B^T and the rows of A^T in reverse order.
    """
    b, g, a = (np.array(MATRICES[tile][name], float) for name in ("B_T", "G", "A_T"))
    if turned:
        b, a = b[:, ::-1], a[::-1]
    return tuple(xp.asarray(np.ascontiguousarray(m), dtype) for m in (b, np.kron(g, g), a))


def planes(memory: Any, count: int, numbers: int) -> Any:
    """Return flat memory as an array (count, numbers), its rows PAD numbers further apart."""
    return memory[: count * (numbers + PAD)].reshape(count, -1)[:, :numbers]


def planes_size(count: int, numbers: int) -> int:
    """Return how many numbers of memory `planes` takes."""
    return count * (numbers + PAD)


def band_size(tile: int, rows: int, across: int, c: int, o: int) -> int:
    """Return how many numbers each of the two arrays of a band has to have."""
    k = tile + 2
    pixels = planes_size(k * (tile * rows + 2), across * c)
    return max(pixels, planes_size(k * k, rows * across * max(c, o)))


def transform_input(pixels: Any, b: Any, v: Any, one: Any, two: Any) -> None:
    """Write B^T d B of every tile.

    Parameters
    ----------
    pixels : array (t rows + 2, t across + 2, C)
        What the tiles see, contiguous.
    b : array (k, k)
        B^T.
    v : array (k, k, rows, across C)
    one, two : array (`band_size`,)
        Memory to work in; `one` may be that of v.
    """
    xp = array_module(pixels)
    k, tile = len(b), len(b) - 2
    down, c = len(pixels), pixels.shape[2]
    rows, numbers = v.shape[2:]
    # along the rows of pixels: at each place of a tile's row a plane, of which a product makes another
    d, h = (planes(memory, down * k, numbers).reshape(down, k, numbers) for memory in (one, two))
    shape = down, k, numbers // c, c
    d.reshape(shape)[...] = strided(pixels, shape, (c * pixels.shape[1], c, tile * c, 1))
    xp.matmul(b, d, out=h)
    # and down: the k rows of pixels that a row of tiles sees
    plane = numbers + PAD
    h = strided(two, (rows, k, k, numbers), (tile * k * plane, plane, k * plane, 1))
    xp.matmul(b, h, out=v.transpose(2, 1, 0, 3))


def transform_output(m: Any, a: Any, one: Any, two: Any) -> Any:
    """Return A^T m A of every tile.

    Parameters
    ----------
    m : array (k, k, numbers)
    a : array (t, k)
        A^T.
    one, two : array (`band_size`,)
        Memory to work in; `two` may be that of m, and becomes that of the answer.

    Returns
    -------
    array (t, t, numbers)
    """
    xp = array_module(m)
    (tile, k), numbers = a.shape, m.shape[2]
    p = planes(one, k * tile, numbers).reshape(k, tile, numbers)
    xp.matmul(a, m, out=p)  # along a tile's rows
    y = two[: tile * tile * numbers].reshape(tile, tile, numbers)
    xp.matmul(a, p.transpose(1, 0, 2), out=y.transpose(1, 0, 2))  # and down
    return y
