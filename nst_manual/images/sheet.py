"""Many small pictures on one sheet, with a line of text below each: how a picture came to be, at a glance."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nst_manual.errors import UsageError
from nst_manual.images.pixels import to_pil, to_uint8
from nst_manual.images.resize import resize

if TYPE_CHECKING:
    from PIL import ImageFont

MAX_WIDTH = 2400  # pixels of the sheet
_SMALLEST = 180  # width of a place in pixels: below it no caption fits
_PAPER, _INK, _EDGE = (250, 250, 248), (64, 64, 68), (222, 222, 218)


def contact_sheet(pictures: Sequence[tuple[str, np.ndarray]], columns: int | None = None) -> np.ndarray:
    """Return the pictures in rows on light paper, with even margins and a caption below each.

    All places are of one size, that of the largest picture or smaller, and each picture fills its place as
    far as its proportion allows: the stages of a run from coarse to fine appear equally large.

    Parameters
    ----------
    pictures : sequence of (str, numpy.ndarray)
        Caption and pixels (H, W, 3), 0..255; sizes may differ. A caption too long for its place is cut;
        letters that the font lacks lose their accents or become question marks.
    columns : int, optional
        Pictures in a row; without it, as many as make the sheet about 3 : 2.

    Returns
    -------
    numpy.ndarray, uint8
        (H, W, 3); W is at most `MAX_WIDTH`.

    Raises
    ------
    UsageError
        No pictures, or no columns, or more columns than can be seen on a sheet.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not pictures:
        raise UsageError("contact sheet", "expected at least one picture, got none")
    heights, widths = zip(*(np.shape(pixels)[:2] for _, pixels in pictures), strict=True)
    ratio = max(heights) / max(widths)
    if columns is None:
        columns = max(1, round(math.sqrt(1.5 * len(pictures) * ratio)))
        columns = min(columns, len(pictures), 8)
    if not 1 <= columns <= 24:
        raise UsageError("columns", f"expected 1 to 24, got {columns}")
    margin = 32 if columns <= 6 else 16
    room = (MAX_WIDTH - margin * (columns + 1)) // columns
    width = min(room, max(max(widths), _SMALLEST))
    height = max(1, round(width * ratio))
    font = ImageFont.load_default(size=min(28, max(13, width // 16)))
    line = sum(font.getmetrics()) + 10
    rows = math.ceil(len(pictures) / columns)
    step_x, step_y = width + margin, height + line + margin
    sheet = Image.new("RGB", (margin + columns * step_x, margin + rows * step_y), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for n, (caption, pixels) in enumerate(pictures):
        row, column = divmod(n, columns)
        x, y = margin + column * step_x, margin + row * step_y
        pixels = to_uint8(np.asarray(pixels))
        scale = min(width / pixels.shape[1], height / pixels.shape[0])
        h, w = (max(1, math.floor(side * scale + 0.5)) for side in pixels.shape[:2])
        left, top = x + (width - w) // 2, y + (height - h) // 2
        sheet.paste(to_pil(resize(pixels, (h, w))), (left, top))
        # a hair line: a white picture would have no end on white paper
        draw.rectangle((left - 1, top - 1, left + w, top + h), outline=_EDGE)
        place = (x + width / 2, y + height + 10)
        draw.text(place, _cut(caption, font, width), fill=_INK, font=font, anchor="ma")
    return np.array(sheet)


def _cut(caption: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return the caption on one line, cut so that it is at most `width` pixels long."""
    # Pillow's own font knows ASCII alone, and shows empty boxes for the rest
    plain = unicodedata.normalize("NFKD", caption)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    caption = " ".join(plain.encode("ascii", "replace").decode().split())
    if font.getlength(caption) <= width:
        return caption
    while caption and font.getlength(caption + "...") > width:
        caption = caption[:-1]
    return caption.rstrip() + "..."
