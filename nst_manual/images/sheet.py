"""Many small pictures on one sheet, with some words below each: how a picture came to be, at a glance."""

from __future__ import annotations

import math
import re
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
MAX_COLUMNS = 24
MAX_LINES = 3  # of a caption
_SMALLEST = 180  # width of a place in pixels: below it no caption fits
_PAPER, _INK, _EDGE = (250, 250, 248), (64, 64, 68), (222, 222, 218)


def contact_sheet(
    pictures: Sequence[tuple[str, np.ndarray]], columns: int | None = None, title: str = ""
) -> np.ndarray:
    """Return the pictures in rows on light paper, with even margins and a caption below each.

    All places are of one size, that of the largest picture or smaller, and each picture fills its place as
    far as its proportion allows: the stages of a run from coarse to fine appear equally large.

    Parameters
    ----------
    pictures : sequence of (str, numpy.ndarray)
        Caption and pixels (H, W, 3), 0..255; sizes may differ. A caption too long for a line goes on in the
        next, behind a space or a comma; what does not fit into `MAX_LINES` lines is cut. Letters that the
        font lacks lose their accents or become question marks.
    columns : int, optional
        Pictures in a row, at most `MAX_COLUMNS`; without it, as many as make the sheet about 3 : 2.
    title : str, optional
        Above the pictures.

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
    if not 1 <= columns <= MAX_COLUMNS:
        raise UsageError("columns", f"expected 1 to {MAX_COLUMNS}, got {columns}")
    margin = 32 if columns <= 6 else 16
    room = (MAX_WIDTH - margin * (columns + 1)) // columns
    width = min(room, max(max(widths), _SMALLEST))
    height = max(1, round(width * ratio))
    size = min(28, max(13, width // 16))
    font, large = ImageFont.load_default(size=size), ImageFont.load_default(size=size + 4)
    captions = [_lines(caption, font, width) for caption, _ in pictures]
    line = sum(font.getmetrics())
    words = 10 + line * max(map(len, captions))  # height of what stands below a picture
    rows = math.ceil(len(pictures) / columns)
    step_x, step_y = width + margin, height + words + margin
    heading = _lines(title, large, columns * step_x - margin) if title else []
    above = margin + (sum(large.getmetrics()) * len(heading) + margin // 2 if heading else 0)
    sheet = Image.new("RGB", (margin + columns * step_x, above + rows * step_y), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for n, text in enumerate(heading):
        draw.text((margin, margin + n * sum(large.getmetrics())), text, fill=_INK, font=large)
    for n, (lines, (_, pixels)) in enumerate(zip(captions, pictures, strict=True)):
        row, column = divmod(n, columns)
        x, y = margin + column * step_x, above + row * step_y
        pixels = to_uint8(np.asarray(pixels))
        scale = min(width / pixels.shape[1], height / pixels.shape[0])
        h, w = (max(1, math.floor(side * scale + 0.5)) for side in pixels.shape[:2])
        left, top = x + (width - w) // 2, y + (height - h) // 2
        sheet.paste(to_pil(resize(pixels, (h, w))), (left, top))
        # a hair line: a white picture would have no end on white paper
        draw.rectangle((left - 1, top - 1, left + w, top + h), outline=_EDGE)
        for k, text in enumerate(lines):
            place = (x + width / 2, y + height + 10 + k * line)
            draw.text(place, text, fill=_INK, font=font, anchor="ma")
    return np.array(sheet)


def _lines(caption: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Return the caption on lines of at most `width` pixels, one at least and `MAX_LINES` at most."""
    # Pillow's own font knows ASCII alone, and shows empty boxes for the rest
    plain = unicodedata.normalize("NFKD", caption)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    caption = " ".join(plain.encode("ascii", "replace").decode().split())
    parts = []
    for clause in re.findall(r".+?, |.+", caption):  # what belongs together stays so where there is room
        fits = font.getlength(clause.rstrip()) <= width
        parts += [clause] if fits else re.findall(r"[^ ,]*[ ,]+|[^ ,]+", clause)
    lines = [""]
    for part in parts:
        begins = lines[-1] and font.getlength((lines[-1] + part).rstrip()) > width
        if begins and len(lines) < MAX_LINES:
            lines.append(part)
        else:
            lines[-1] += part
    return [_cut(text.rstrip(), font, width) for text in lines]


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return a line cut so that it is at most `width` pixels long."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."
