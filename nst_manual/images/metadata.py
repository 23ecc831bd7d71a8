"""Short texts inside a picture: how it was made, so that it can be made again."""

from __future__ import annotations

import json
import os
import warnings

from nst_manual.images.naming import ImageWarning
from nst_manual.images.read import faults_of_decoders, opened_image

_DESCRIPTION = 0x010E  # EXIF and TIFF tag ImageDescription

# BMP has no place for text
_EXIF = ("JPEG", "WEBP", "TIFF")

_MOST = 65000  # bytes: a block of a JPEG file holds 65533, with some for its frame


def options_for(kind: str, metadata: dict[str, str]) -> dict[str, object]:
    """Return Pillow's save options that put `metadata` into a file of format `kind` (Pillow's name).

    PNG has texts with names. JPEG, WebP and TIFF have one description, which holds them as JSON.
    """
    from PIL import Image, PngImagePlugin

    if not metadata:
        return {}
    if kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        for key, value in metadata.items():
            # a path may hold bytes that no encoding knows; a picture must not be lost over its own record
            texts.add_text(key, value.encode("utf-8", "backslashreplace").decode())
        return {"pnginfo": texts}
    if kind in _EXIF:
        text = json.dumps(metadata)
        if len(text) > _MOST:
            text = f"{kind}: texts of {len(text)} bytes do not fit, the picture is saved without them"
            warnings.warn(ImageWarning(text), stacklevel=2)
            return {}
        exif = Image.Exif()
        exif[_DESCRIPTION] = text
        return {"exif": exif}
    return {}


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the texts that `save_image` put into a picture; empty when there are none.

    They may come from anyone: judge them as you would any input.

    Raises
    ------
    ImageError
        As `read_image`.
    """
    with opened_image(path, "picture") as (image, name), faults_of_decoders(name):
        # asked for its texts, Pillow reads a PNG to the end, where they may stand too
        texts = getattr(image, "text", None)
        if texts is not None:
            return {str(key): str(value) for key, value in texts.items()}
        description = image.getexif().get(_DESCRIPTION)
    try:
        found = json.loads(description)
        return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}
    except (TypeError, ValueError, RecursionError):  # none, or not ours
        return {}
