"""Masks: which part of a picture belongs to which painting, and how much of it.

A mask is an array (H, W) of 0..1, several are (H, W, R), regions last. They are read from pictures (a grey
one is a soft mask, one of a few flat colours holds a region a colour), brought to the picture's size, and
from there to the positions of a network's layers:

    "average"   the mask's mean around the position's centre. Pooling averages over its windows, a convolution
                over as many pixels in the middle of its kernel as its stride is wide (3x3 of stride 1: one).
                Masks that sum to 1 sum to 1 at every layer
    "grown"     the largest value of all pixels that the position sees: of a mask of 0 and 1, any that is 1
    "inside"    the smallest: all are 1. 1 - inside(mask) = grown(1 - mask)

L. Gatys et al., "Controlling perceptual factors in neural style transfer" (CVPR 2017), section 3, scale the
mask down, or keep to positions whose receptive field lies inside the region, so that no feature looks across
its edge. Growing and shrinking go row by row through the network's table: a position sees what the positions
in its window see, padding sees nothing, and behind branches a position sees what any of them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nst_manual.errors import ResourceError, ShapeError, UsageError, unknown_name
from nst_manual.images.colour_spaces import LUMA
from nst_manual.images.read import read_image
from nst_manual.nets import Network
from nst_manual.nets.rows import Conv, GlobalAvgPool, MaxPool, Row, follow
from nst_manual.nets.sizes import output_size

RULES = ("average", "grown", "inside")

# Colours of regions: how far apart at least, as distance in RGB (JPEG makes many that are near); how little
# neighbours differ where a picture is flat, in any channel (edges are mixtures, and no regions); how much of
# the picture is flat and of one colour at least; and how many there may be.
COLOUR_DISTANCE = 48.0
FLATNESS = 12.0
LEAST_SHARE = 0.005
MOST_REGIONS = 16


def read_mask(source: Any, size: tuple[int, int] | None = None, what: str = "mask") -> np.ndarray:
    """Return a mask (H, W), float32, 0..1, from a grey picture: black 0, white 1.

    Parameters
    ----------
    source : path, PIL image or array (H, W, 3) or (H, W) of uint8
        Of a coloured picture the luminance Y of BT.601 counts. What is transparent is white, as everywhere.
    size : (int, int), optional
        (h, w) to scale to, in pixels.
    what : str
        What messages call it.

    Raises
    ------
    ImageError, ResourceError
        As `read_image`.
    """
    pixels = read_image(source, what)
    mask = np.clip(pixels @ np.array(LUMA, np.float32) / np.float32(255), 0, 1)
    return mask if size is None else scale_mask(mask, size)


def read_masks(sources: Iterable[Any], size: tuple[int, int], what: str = "mask") -> np.ndarray:
    """Return the masks (h, w, R) of several grey pictures, each scaled to `size`; see `read_mask`."""
    masks = [read_mask(source, size, f"{what} {number}") for number, source in enumerate(sources, start=1)]
    if not masks:
        raise UsageError(what, "expected at least one picture, got none")
    return np.stack(masks, axis=-1)


def read_regions(
    source: Any,
    colours: Sequence[Sequence[float]] | None = None,
    size: tuple[int, int] | None = None,
    what: str = "mask",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the regions of a picture of flat colours: their colours (R, 3) and masks (H, W, R), float32.

    Every pixel belongs to the nearest of the colours, so that the masks are 0 and 1 and sum to 1; scaled to a
    `size`, they become soft at the edges and sum to 1 still.

    Parameters
    ----------
    source : path, PIL image or array (H, W, 3) of uint8
    colours : sequence of (r, g, b), optional
        0..255, in the order wanted. Without, the flat colours that the picture has, from dark to light.
    size : (int, int), optional
        (h, w) to scale the masks to, in pixels.
    what : str
        What messages call it.

    Raises
    ------
    UsageError
        A colour is no colour, two are the same, a region has no pixel, or there are fewer than two.
    ImageError, ResourceError
        As `read_image`.
    """
    pixels = read_image(source, what)
    table = flat_colours(pixels, what) if colours is None else np.array([*colours], np.float32)
    if table.ndim != 2 or table.shape[1] != 3 or not ((table >= 0) & (table <= 255)).all():
        raise UsageError(what, f"expected colours (r, g, b) of 0..255, got {colours}")
    if len(table) < 2 or len(np.unique(table, axis=0)) < len(table):
        raise UsageError(what, f"expected at least two colours, all different, got {_named(table)}")
    nearest = np.argmin(np.stack([((pixels - c) ** 2).sum(axis=2) for c in table], axis=-1), axis=-1)
    for number, colour in enumerate(table):
        if not (nearest == number).any():
            raise UsageError(
                what, f"no pixel is nearest to {_named([colour])}", f"of the colours {_named(table)}"
            )
    masks = (nearest[..., None] == np.arange(len(table))).astype(np.float32)
    return table, masks if size is None else scale_mask(masks, size)


def flat_colours(pixels: np.ndarray, what: str = "mask") -> np.ndarray:
    """Return the colours (R, 3) of which a picture (H, W, 3) of flat regions is made, from dark to light.

    Of the pixels that differ little from their neighbours. The most frequent colour takes those nearer than
    `COLOUR_DISTANCE` with it, then the most frequent of the rest, and so on; one that stands for less than
    `LEAST_SHARE` of the picture is none.

    Raises
    ------
    UsageError
        More than `MOST_REGIONS`: that is a photograph.
    """
    flat = np.ones(pixels.shape[:2], bool)
    across = (np.abs(np.diff(pixels, axis=0)) <= FLATNESS).all(axis=2)
    flat[1:] &= across
    flat[:-1] &= across
    across = (np.abs(np.diff(pixels, axis=1)) <= FLATNESS).all(axis=2)
    flat[:, 1:] &= across
    flat[:, :-1] &= across
    bytes_ = np.clip(np.rint(pixels[flat]), 0, 255).astype(np.uint32)
    codes, counts = np.unique(bytes_[..., 0] << 16 | bytes_[..., 1] << 8 | bytes_[..., 2], return_counts=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.float32)
    found: list[np.ndarray] = []
    while len(colours):
        colour = colours[np.argmax(counts)]
        near = ((colours - colour) ** 2).sum(axis=1) < COLOUR_DISTANCE**2
        if counts[near].sum() >= LEAST_SHARE * pixels.shape[0] * pixels.shape[1]:
            found.append(colour)
        colours, counts = colours[~near], counts[~near]
        if len(found) > MOST_REGIONS:
            hint = "give the colours, or one grey picture a region"
            raise UsageError(what, f"expected at most {MOST_REGIONS} flat colours, found more", hint)
    return np.array(sorted(found, key=lambda c: (float(c @ np.array(LUMA, np.float32)), *c)))


def scale_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a mask (H, W) or masks (H, W, R) at another size (h, w), float32.

    By the triangle filter of `nst_manual.images.resize`: values stay in 0..1, and masks that sum to 1 still
    do.

    Raises
    ------
    ShapeError
        Not a mask.
    UsageError
        A side below 1.
    ResourceError
        Not enough memory for the new size.
    """
    from PIL import Image

    masks = _regions(mask)
    height, width = size
    if min(size) < 1:
        raise UsageError("size", f"expected sides of at least 1 pixel, got {height} x {width}")
    if masks.shape[:2] == (height, width):
        return np.array(mask, np.float32, order="C")
    try:
        result = np.empty((height, width, masks.shape[2]), np.float32)
        for r in range(masks.shape[2]):
            region = Image.fromarray(np.ascontiguousarray(masks[..., r], np.float32))
            result[..., r] = np.asarray(region.resize((width, height), Image.Resampling.BILINEAR))
    except (MemoryError, OverflowError, ValueError) as error:
        raise ResourceError(f"size {height} x {width}", "not enough memory for such a mask") from error
    return result.reshape(height, width, *mask.shape[2:])


def masks_at(
    network: Network, mask: np.ndarray, layers: Iterable[str], rule: str = "average", pooling: str = "max"
) -> dict[str, np.ndarray]:
    """Return layer name -> the mask at the positions of that layer.

    Parameters
    ----------
    network : Network
    mask : numpy.ndarray
        (H, W) or (H, W, R), 0..1, at the size of the image that the network gets.
    layers : iterable of str
        Names of convolutions, activations, pools or joins of branches.
    rule : {"average", "grown", "inside"}
    pooling : str
        As the network is built: "max-ceil" has the windows of ceil mode.

    Returns
    -------
    dict of str to numpy.ndarray
        (h, w) or (h, w, R), float32, in the order of `layers`.

    Raises
    ------
    UsageError
        An unknown layer or rule; an image too small for a layer.
    ShapeError
        Not a mask.
    """
    if rule not in RULES:
        raise unknown_name("mask rule", rule, RULES)
    masks, layers = _regions(mask), list(layers)
    table = network.covering(layers).rows

    def apply(row: Row, x: np.ndarray) -> np.ndarray:
        if isinstance(row, MaxPool) and pooling == "max-ceil":
            row = replace(row, ceil_mode=True)
        return _through(row, x, rule)

    def join(row: Row, ends: list[np.ndarray]) -> np.ndarray:
        return _JOIN[rule](ends)

    found = {row.name: x for row, x in follow(table, masks, apply, join)}
    return {name: found[name].reshape(*found[name].shape[:2], *mask.shape[2:]) for name in layers}


# What one position is of those that it sees; a join stands at the positions of all its branches.
_JOIN = {
    "average": lambda ends: sum(ends) / np.float32(len(ends)),
    "grown": lambda ends: np.max(ends, axis=0),
    "inside": lambda ends: np.min(ends, axis=0),
}


def _through(row: Row, x: np.ndarray, rule: str) -> np.ndarray:
    """Return masks (h, w, R) behind a row for x (H, W, R) before it."""
    if isinstance(row, GlobalAvgPool):
        return {"average": np.mean, "grown": np.max, "inside": np.min}[rule](x, axis=(0, 1), keepdims=True)
    if not isinstance(row, (Conv, MaxPool)):
        return x
    k, s, p = row.kernel_size, row.stride, row.padding
    d = getattr(row, "dilation", 1)
    for axis in (0, 1):
        count = output_size(x.shape[axis], k, s, p, d, getattr(row, "ceil_mode", False))
        if count < 1:
            raise UsageError(
                "size", f"the mask, {x.shape[0]} x {x.shape[1]} there, is too small for {row.name}"
            )
        first, offsets = -p, range(0, d * (k - 1) + 1, d)
        if rule == "average" and isinstance(row, Conv):
            # the s pixels in the middle of the window: those of all windows lie side by side
            offsets = range((d * (k - 1) + 1 - s) // 2, (d * (k - 1) + 1 - s) // 2 + s)
        x = _windows(x, axis, count, s, [first + offset for offset in offsets], rule)
    return x


def _windows(
    x: np.ndarray, axis: int, count: int, stride: int, offsets: Sequence[int], rule: str
) -> np.ndarray:
    """Return `count` windows along an axis of x (H, W, R), the i-th over the pixels i stride + offsets.

    What lies outside is not seen; where nothing is, the nearest pixel is (a kernel narrower than its stride
    skips some, one with more padding than half its size begins outside).
    """
    size = x.shape[axis]
    places = np.arange(count)[:, None] * stride + np.asarray(offsets)[None]  # (count, k)
    seen = (places >= 0) & (places < size)
    seen[~seen.any(axis=1)] = True
    places = np.clip(places, 0, size - 1)
    shape = [1, 1, 1]
    shape[axis] = count
    empty = {"average": 0.0, "grown": -np.inf, "inside": np.inf}[rule]
    y, seen_of = None, seen.astype(np.float32)
    for u in range(len(offsets)):
        part = np.take(x, places[:, u], axis=axis)
        there = seen[:, u].reshape(shape)
        if rule == "average":
            part = part * (seen_of[:, u] / seen_of.sum(axis=1)).reshape(shape)
            y = part if y is None else y + part
        else:
            part = np.where(there, part, np.float32(empty))
            y = part if y is None else (np.maximum if rule == "grown" else np.minimum)(y, part)
    return y


def _regions(mask: np.ndarray) -> np.ndarray:
    """Return masks as float32 (H, W, R)."""
    if mask.ndim not in (2, 3) or not mask.size:
        raise ShapeError("mask", f"expected (H, W) or (H, W, R), got {mask.shape}")
    if mask.dtype.kind not in "fiub":
        raise ShapeError("mask", f"expected numbers, got {mask.dtype}")
    return mask.astype(np.float32, copy=False).reshape(*mask.shape[:2], -1)


def _named(colours: Iterable[Iterable[float]]) -> str:
    return " ".join("#" + "".join(f"{round(float(v)):02x}" for v in colour) for colour in colours)
