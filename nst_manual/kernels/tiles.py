"""Tiles of images: `t` x `t` pixels each, kept as t t planes of all the tiles' pixels at one position."""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module


def gather(pixels: Any, step: int, tiles: Any) -> None:
    """Write to tiles (k, k, rows, across, C) the k x k pixels that begin at every `step`-th of (H, W, C)."""
    row, pixel, channel = pixels.strides
    strides = (row, pixel, step * row, step * pixel, channel)
    tiles[...] = array_module(pixels).lib.stride_tricks.as_strided(pixels, tiles.shape, strides)


def scatter(tiles: Any, pixels: Any) -> None:
    """Write tiles (t, t, rows, across, C) side by side to pixels (H, W, C); what lies beyond is left out."""
    t, _, rows, across, _ = tiles.shape
    if pixels.shape[:2] == (t * rows, t * across):
        row, pixel, channel = pixels.strides
        strides = (row, pixel, t * row, t * pixel, channel)
        array_module(pixels).lib.stride_tricks.as_strided(pixels, tiles.shape, strides)[...] = tiles
        return
    for i in range(t):
        for j in range(t):
            part = pixels[i::t, j::t]
            part[...] = tiles[i, j, : part.shape[0], : part.shape[1]]
