"""Tiles of images: `t` x `t` pixels each, kept as t t planes of all the tiles' pixels at one position."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import array_module


def view(pixels: Any, step: int, shape: tuple[int, ...]) -> Any:
    """Return pixels (H, W, C) as tiles (k, k, rows, across, C), one beginning at every `step`-th pixel.

    Tiles of k > step overlap. Nothing is checked: the last one must end inside.
    """
    row, pixel, channel = (stride // pixels.itemsize for stride in pixels.strides)
    return strided(pixels, shape, (row, pixel, step * row, step * pixel, channel))


def strided(array: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Return a view of other shape and strides, these in numbers, that begins where the array does.

    Nothing is checked: the last one must lie inside.
    """
    strides = tuple(stride * array.itemsize for stride in strides)
    if isinstance(array, np.ndarray) and array.flags.c_contiguous:  # `as_strided` takes ten times as long
        return np.ndarray(shape, array.dtype, array, strides=strides)
    return array_module(array).lib.stride_tricks.as_strided(array, shape, strides)


def scatter(tiles: Any, pixels: Any) -> None:
    """Write tiles (t, t, rows, across, C) side by side to pixels (H, W, C); what lies beyond is left out."""
    t, _, rows, across, c = tiles.shape
    height, width = pixels.shape[:2]
    rows, across = min(rows, height // t), min(across, width // t)  # of whole tiles
    bottom, right = t * rows, t * across
    view(pixels, t, (t, t, rows, across, c))[...] = tiles[:, :, :rows, :across]
    if right < width:
        part = pixels[:bottom, right:].reshape(rows, t, width - right, c)
        part[...] = tiles[:, : width - right, :rows, across].transpose(2, 0, 1, 3)
    if bottom < height:
        part = pixels[bottom:, :right].reshape(height - bottom, across, t, c)
        part[...] = tiles[: height - bottom, :, rows, :across].transpose(0, 2, 1, 3)
        if right < width:
            pixels[bottom:, right:] = tiles[: height - bottom, : width - right, rows, across]
