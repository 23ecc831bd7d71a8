"""The pictures of an objective: the photograph and the paintings as the losses see them, masks, what is laid
over what.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from nst_manual.config import LARGEST_SIZE, ObjectiveConfig
from nst_manual.errors import ImageError, UsageError
from nst_manual.images import longer_side, read_image, scale_to
from nst_manual.images.colour_control import match_colours
from nst_manual.images.colour_spaces import LUMA
from nst_manual.images.masks import read_mask, read_regions
from nst_manual.nn import Overlay


def read_content(content: Any, config: ObjectiveConfig) -> np.ndarray:
    """Return the photograph (H, W, 3) at the size of the picture; of a drawing that is to be coloured, the
    luminance.
    """
    pixels = read_image(content, "content")
    pixels = scale_to(pixels, content_side(pixels.shape[:2], config))
    if config.sketch:
        pixels = np.repeat(_luminance(pixels), 3, axis=2)
    return pixels


def read_paintings(styles: Sequence[Any], content: np.ndarray, config: ObjectiveConfig) -> list[np.ndarray]:
    """Return the paintings (h, w, 3) in the colours asked for, each at each of `--style-scales`."""
    found = []
    for what, painting in _in_colours(styles, content, config):
        sides = painting_sides(painting.shape[:2], max(content.shape[:2]), config, what)
        found += [scale_to(painting, side) for side in sides]
    return found


def content_side(size: tuple[int, int], config: ObjectiveConfig) -> int:
    """Return the longer side of the picture, in pixels, for a photograph of size (H, W).

    Raises
    ------
    ImageError
        The photograph is so narrow that by `--size-rule` there is no end to it.
    """
    return _longer_side(size, config.size, config.size_rule, "content")


def painting_sides(
    size: tuple[int, int], longest: int, config: ObjectiveConfig, what: str = "style"
) -> list[int]:
    """Return the longer side of a painting of size (H, W) at each of `--style-scales`.

    Parameters
    ----------
    size : (int, int)
    longest : int
        The longer side of the picture, in pixels.
    config : ObjectiveConfig
    what : str
        What messages call the painting.

    Raises
    ------
    ImageError
        The painting is so narrow that by `--size-rule` there is no end to it.
    UsageError
        A scale makes it larger than any picture may be.
    """
    if config.size_rule == "original":
        side = config.style_size or longest
    else:
        side = _longer_side(size, config.style_size or config.size, config.size_rule, what)
    sides = [max(1, round(min(scale * side, LARGEST_SIZE + 1))) for scale in config.style_scales]
    if max(sides) > max(LARGEST_SIZE, side):
        raise UsageError("--style-scales", f"brings a painting of {side} pixels to more than {LARGEST_SIZE}")
    return sides


def _longer_side(size: tuple[int, int], wanted: int, rule: str, what: str) -> int:
    """Return the longer side of a picture by the rule; raise `ImageError` where that has no end."""
    side = longer_side(size, wanted, rule)
    if rule != "original" and side > LARGEST_SIZE:
        cause = f"is so narrow, {size[0]} x {size[1]} pixels, that its longer side would have {side}"
        raise ImageError(what, cause, f"the most is {LARGEST_SIZE}; crop it, or leave --size-rule out")
    return side


def _in_colours(
    styles: Sequence[Any], content: np.ndarray, config: ObjectiveConfig
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the paintings one by one, each with the name that messages give it."""
    reference = content
    if config.colours_of is not None:
        if config.match_colours is None:
            raise UsageError("--colours-of", "has no meaning without --match-colours")
        reference = read_image(config.colours_of, "--colours-of")
    for number, style in enumerate(styles, start=1):
        what = "style" if len(styles) == 1 else f"style {number}"
        painting = read_image(style, what)
        if config.match_colours is not None:
            painting = np.clip(match_colours(painting, reference, config.match_colours), 0, 255)
        yield what, painting


def shares_of(config: ObjectiveConfig, count: int) -> tuple[float, ...]:
    """Return the share of each painting at each of its scales, with sum 1."""
    if count == 0:
        raise UsageError("styles", "expected at least one painting")
    shares = config.style_blend or (1.0,) * count
    if len(shares) != count:
        raise UsageError(
            "--style-blend", f"expected one number for each of {count} paintings, got {len(shares)}"
        )
    scales = len(config.style_scales)
    largest = max(shares)  # so that the sum of shares near the largest float is one
    whole = sum(share / largest for share in shares)
    return tuple(share / largest / whole / scales for share in shares for _ in range(scales))


def make_overlay(content: np.ndarray, config: ObjectiveConfig) -> Overlay | None:
    """Return what is laid over the optimiser's image: the drawing, the part that stays as it is."""
    if not config.sketch and config.untouched is None:
        return None
    factor = np.ones((*content.shape[:2], 1))
    offset = np.zeros(content.shape)
    if config.sketch:
        factor = _luminance(content) / 255.0
    if config.untouched is not None:
        mask = read_mask(config.untouched, content.shape[:2], "--untouched")[..., None]
        if (mask == 1).all():
            raise UsageError("--untouched", "is white everywhere", "white is where the photograph stays")
        factor, offset = factor * (1 - mask), mask * content
    overlay = Overlay(factor.astype(config.dtype), offset.astype(config.dtype))
    overlay.name = "overlay"
    return overlay


def region_masks(config: ObjectiveConfig, count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Return a mask (H, W) for each painting, where in the picture its style goes; none without masks."""
    given, option = config.style_masks, "--style-masks"
    if given is None:
        return []
    if len(given) == 1 < count:
        colours, regions = read_regions(given[0], size=size, what=option)
        if len(colours) != count:
            raise UsageError(
                option, f"has {len(colours)} flat colours, expected one for each of {count} paintings"
            )
        return list(np.moveaxis(regions, 2, 0))
    return [mask for mask in _masks(given, option, [size] * count) if mask is not None]


def painting_masks(config: ObjectiveConfig, paintings: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """Return for each painting, at each of its scales, the mask (h, w) of the part that counts, or None."""
    if config.painting_masks is None:
        return [None] * len(paintings)
    scales = len(config.style_scales)
    given = [source for source in config.painting_masks for _ in range(scales)]
    return _masks(given, "--painting-masks", [painting.shape[:2] for painting in paintings], scales)


def _masks(
    given: Sequence[Any], option: str, sizes: Sequence[tuple[int, int]], each: int = 1
) -> list[np.ndarray | None]:
    """Return a mask for each size; raise `UsageError` where one is missing or empty."""
    if len(given) != len(sizes):
        counts = f"expected one for each of {len(sizes) // each} paintings, got {len(given) // each}"
        raise UsageError(option, counts)
    found: list[np.ndarray | None] = []
    for number, (source, size) in enumerate(zip(given, sizes, strict=True)):
        what = f"{option} {number // each + 1}"
        mask = read_mask(source, size, what)
        if not mask.any():
            raise UsageError(what, "is black everywhere", "white is what counts")
        found.append(mask)
    return found


def as_list(styles: Any) -> list[Any]:
    """Return one image, or some, as a list."""
    one = isinstance(styles, (str, os.PathLike, np.ndarray)) or not isinstance(styles, Iterable)
    return [styles] if one else list(styles)


def _luminance(pixels: np.ndarray) -> np.ndarray:
    """Return the luminance (H, W, 1), 0..255."""
    return np.clip(pixels @ np.array(LUMA, pixels.dtype), 0, 255)[..., None]
