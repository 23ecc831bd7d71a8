"""Any picture that Pillow decodes, as float32 sRGB on 0..255: modes, alpha, colour profiles, 16 bit."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nst_manual.errors import ImageError
from nst_manual.images.naming import ImageWarning

if TYPE_CHECKING:
    from PIL import Image

# alpha is flattened on white, the colour of paper; see `read_image`
BACKGROUND = 255.0

_BAND = (
    1 << 20
)  # pixels converted at a time: a one-bit picture of 78 megapixels is 10 MB as a file, 300 MB as RGBX

# Pillow's modes that hold more than 8 bits; its own conversion to RGB clips them to white
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def to_srgb(image: Image.Image, name: str) -> np.ndarray:
    """Return the picture as sRGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded, of any mode.
    name : str
        What messages call it.

    Returns
    -------
    numpy.ndarray, float32
        (H, W, 3), RGB, 0..255; fractions where the source holds 16 bits (grey) or alpha.

    Raises
    ------
    ImageError
        Integers or floats whose range says nothing about which value is white.
    """
    profile = _profile(image, name)
    if image.mode in _DEEP:
        return _deep_grey(image, profile, name)
    convert = _converter(image, profile, name)
    width, height = image.size
    pixels = np.empty((height, width, 3), np.float32)
    rows = max(1, _BAND // width)
    transparent = False
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        transparent |= convert(image.crop((0, top, width, bottom)), pixels[top:bottom])
    if transparent:
        warn_of_background(name)
    return pixels


def flatten(pixels: np.ndarray, alpha: np.ndarray) -> bool:
    """Lay (h, w, 3) over `BACKGROUND`, in place; `alpha` (h, w) is 0..255. Return whether any of it shows."""
    if alpha.min() == 255:
        return False
    opacity = alpha.astype(np.float32) / np.float32(255)
    for c in range(3):
        pixels[..., c] = BACKGROUND + (pixels[..., c] - BACKGROUND) * opacity
    return True


def warn_of_background(name: str) -> None:
    """Say that what is transparent in a picture has become white."""
    text = f"{name}: is transparent in places, it is laid on white"
    warnings.warn(ImageWarning(text), stacklevel=2)


def _converter(image: Image.Image, profile, name: str) -> Callable[[Image.Image, np.ndarray], bool]:
    """Return ``convert(band, out)``, which writes a band of the picture into `out` (h, w, 3).

    It returns whether the band is transparent anywhere.
    """
    opaque, alpha = _plain_modes(image)
    transform = _transform(profile, opaque, name) if profile is not None else None

    def convert(band: Image.Image, out: np.ndarray) -> bool:
        transparency = None
        if alpha:
            # colour and alpha part ways: a profile speaks of colour alone
            band = (band.convert("LA") if band.mode == "La" else band).convert("RGBA")
            transparency = np.asarray(band.getchannel("A"))
        band = band.convert(opaque)
        if transform is not None:
            band = transform(band)
        out[...] = np.asarray(band.convert("RGB"))
        return transparency is not None and flatten(out, transparency)

    return convert


def _plain_modes(image: Image.Image) -> tuple[str, bool]:
    """Return the mode that keeps the picture's colours (L, RGB, CMYK), and whether it has alpha besides."""
    alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    if image.mode in ("1", "L", "LA", "La"):
        return "L", alpha
    return ("CMYK" if image.mode == "CMYK" else "RGB"), alpha and image.mode != "CMYK"


def _profile(image: Image.Image, name: str):
    """Return the picture's ICC profile, opened, or None; a damaged one is reported and passed over."""
    data = image.info.get("icc_profile")
    if not data:
        return None
    from PIL import ImageCms

    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data))
    except (OSError, ImageCms.PyCMSError):
        warnings.warn(ImageWarning(f"{name}: the colour profile is damaged, taken as sRGB"), stacklevel=2)
        return None


def _transform(profile, mode: str, name: str) -> Callable[[Image.Image], Image.Image] | None:
    """Return the change from the profile's colours to sRGB; None where it does not fit pictures of `mode`."""
    from PIL import ImageCms

    space = profile.profile.xcolor_space.strip()
    source = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}.get(space)
    # a grey picture with an RGB profile is common: the three channels are equal
    if source is None or (source != mode and (mode, source) != ("L", "RGB")):
        text = f"{name}: a colour profile for {space} in a picture that is {mode}, passed over"
        warnings.warn(ImageWarning(text), stacklevel=2)
        return None
    try:
        change = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), source, "RGB")
    except ImageCms.PyCMSError as error:
        text = f"{name}: the colour profile cannot be used ({error}), passed over"
        warnings.warn(ImageWarning(text), stacklevel=2)
        return None
    return lambda band: ImageCms.applyTransform(band.convert(source), change)


def _deep_grey(image: Image.Image, profile, name: str) -> np.ndarray:
    """Return a grey picture of more than 8 bits as sRGB, fractions kept."""
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        # 0..1 is what float TIFF and PFM hold; 0..255 is what Pillow's own conversions to F make
        if not (low >= 0 and high <= 255):
            raise ImageError(name, f"float values from {low:g} to {high:g}, expected 0..1 or 0..255")
        if high > 1:
            text = f"{name}: float values up to {high:g} are taken as 0..255, not 0..1"
            warnings.warn(ImageWarning(text), stacklevel=2)
        scale = 255.0 if high <= 1 else 1.0
    else:
        if not (low >= 0 and high <= 65535):
            raise ImageError(name, f"integer values from {low:g} to {high:g}, expected 0..65535")
        scale = 255.0 / 65535.0
    grey = values.astype(np.float32) * np.float32(scale)
    pixels = _through_profile(grey, profile, name)
    hole = image.info.get("transparency")
    if isinstance(hole, int) and (holes := values == hole).any():
        pixels[holes] = BACKGROUND
        warn_of_background(name)
    return pixels


def _through_profile(grey: np.ndarray, profile, name: str) -> np.ndarray:
    """Return (H, W) as sRGB (H, W, 3): the profile converts 256 greys, those between are interpolated."""
    from PIL import Image

    transform = _transform(profile, "L", name) if profile is not None else None
    if transform is None:
        return np.repeat(grey[..., None], 3, axis=2)
    ramp = np.arange(256, dtype=np.uint8)
    table = np.asarray(transform(Image.fromarray(ramp[None])))[0]  # (256, 3)
    return np.stack([np.interp(grey, ramp, table[:, c]).astype(np.float32) for c in range(3)], axis=2)
