"""Tiles of images: `t` x `t` pixels each, kept as t t planes of all the tiles' pixels at one position."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import array_module


def view(pixels: Any, step: int, shape: tuple[int, ...]) -> Any:
    """Return pixels (H, W, C) as tiles (k, k, rows, across, C), one beginning at every `step`-th pixel.

    Tiles of k > step overlap. Nothing is checked: the last one must end inside.
    """
    row, pixel, channel = pixels.strides
    strides = (row, pixel, step * row, step * pixel, channel)
    if isinstance(pixels, np.ndarray) and pixels.flags.c_contiguous:  # `as_strided` takes ten times as long
        return np.ndarray(shape, pixels.dtype, pixels, strides=strides)
    return array_module(pixels).lib.stride_tricks.as_strided(pixels, shape, strides)


def gather(pixels: Any, step: int, tiles: Any) -> None:
    """Write to tiles (k, k, rows, across, C) the k x k pixels that begin at every `step`-th of (H, W, C)."""
    tiles[...] = view(pixels, step, tiles.shape)


def scatter(tiles: Any, pixels: Any) -> None:
    """Write tiles (t, t, rows, across, C) side by side to pixels (H, W, C); what lies beyond is left out."""
    t, _, rows, across, _ = tiles.shape
    if pixels.shape[:2] == (t * rows, t * across):
        view(pixels, t, tiles.shape)[...] = tiles
        return
    for i in range(t):
        for j in range(t):
            part = pixels[i::t, j::t]
            part[...] = tiles[i, j, : part.shape[0], : part.shape[1]]
