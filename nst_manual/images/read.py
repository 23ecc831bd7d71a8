"""Read a picture from a path, a Pillow image or an array; a faulty file ends in an error that names it."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from nst_manual.errors import ImageError, ResourceError, UsageError
from nst_manual.images.kinds import EXPECTED, FORMATS, head_of, is_supported, png_damage, unsupported_name
from nst_manual.images.naming import ImageWarning, shown
from nst_manual.images.srgb import flatten, to_srgb, warn_of_background

if TYPE_CHECKING:
    from PIL import Image

# pixels, the number at which Pillow too refuses a file; 2 GB as float32
MAX_PIXELS = 178_956_970
LIMIT_VARIABLE = "NST_MANUAL_MAX_PIXELS"

# the settings below belong to the whole process: one picture at a time
_PILLOW = threading.RLock()


def read_image(source: str | os.PathLike[str] | Image.Image | np.ndarray, what: str = "image") -> np.ndarray:
    """Return a picture upright, in sRGB.

    A file is known by its content, whatever its name says: JPEG, PNG, WebP, TIFF, BMP, GIF, PPM. EXIF
    orientation is applied, an ICC profile converted to sRGB. What is transparent is laid on white, and of an
    animation or a file of many pages the first is taken, both with an `ImageWarning`. CMYK without a profile
    is converted by Pillow's simple formula.

    Grey of 16 bits keeps its fractions. Colour of 16 bits a channel is scaled to 8 by Pillow, which has no
    mode for more (it keeps the high byte). Float grey is 0..1, or 0..255 (with a warning).

    Parameters
    ----------
    source : path, PIL.Image.Image or numpy.ndarray
        Arrays are uint8: (H, W, 3) RGB, (H, W, 4) RGBA, (H, W) grey.
    what : str
        What messages call it: "content", "style 2", "--init".

    Returns
    -------
    numpy.ndarray, float32
        (H, W, 3), RGB, 0..255; the caller's own copy.

    Raises
    ------
    ImageError
        Missing, not a file, unreadable, empty, not an image, not a supported one, truncated or damaged; an
        array of another shape or type.
    ResourceError
        More than `MAX_PIXELS` pixels, known before decoding (the environment variable
        ``NST_MANUAL_MAX_PIXELS`` sets another limit), or not enough memory.
    """
    from PIL import Image

    if isinstance(source, np.ndarray):
        return _from_array(source, what)
    if isinstance(source, Image.Image):
        with _pillow(what):
            return _decode(source, what)
    if not isinstance(source, str | os.PathLike) or isinstance(os.fspath(source), bytes):
        cause = f"expected a path, a PIL image or an array (H, W, 3) of uint8, got {type(source).__name__}"
        raise ImageError(what, cause)
    with opened_image(source, what) as (image, name):
        return _decode(image, name)


@contextlib.contextmanager
def opened_image(path: str | os.PathLike[str], what: str) -> Iterator[tuple[Image.Image, str]]:
    """Give (image, name for messages) of a file: the header is read, nothing decoded; see `read_image`."""
    name = f"{what} {shown(path)}"
    with _open_file(path, name) as file:
        try:
            head, damage = head_of(file), png_damage(file)
        except OSError as error:  # a disk or a network that fails, after a file that could be opened
            raise ImageError(name, f"cannot be read, {error.strerror or error}") from error
        if not head:
            raise ImageError(name, "is empty")
        if damage:
            raise ImageError(name, f"is truncated or damaged, {damage}")
        with _pillow(name):
            yield _identify(file, head, name), name


def _from_array(array: np.ndarray, what: str) -> np.ndarray:
    """Return an array of uint8 as float32 (H, W, 3)."""
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not fits:
        got = f"got {array.shape} of {array.dtype}"
        raise ImageError(what, f"expected an array (H, W, 3) of uint8, 0..255, {got}")
    if array.size == 0:
        raise ImageError(what, f"has no pixels, its shape is {array.shape}")
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    pixels = np.array(array[..., :3], np.float32, order="C")
    if array.shape[2] == 4 and flatten(pixels, array[..., 3]):
        warn_of_background(what)
    return pixels


def _open_file(path: str | os.PathLike[str], name: str) -> BinaryIO:
    """Open a regular file; anything else is refused before it is opened, for a pipe would wait for ever."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(name, "is a directory, expected an image file")
        if not stat.S_ISREG(mode):
            raise ImageError(name, "is a device, pipe or socket, expected an image file")
        return open(path, "rb")
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(name, "does not exist") from None
    except OSError as error:
        raise ImageError(name, f"cannot be read, {error.strerror or error}") from error
    except ValueError as error:  # a zero byte, or characters that no file name can hold
        raise ImageError(name, f"cannot be a file name, {error}") from error


def _identify(file: BinaryIO, head: bytes, name: str) -> Image.Image:
    """Open the file with Pillow, or say why not."""
    from PIL import Image, UnidentifiedImageError

    try:
        with faults_of_decoders(name):
            return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        if is_supported(head):
            raise ImageError(name, "is truncated or damaged, its header cannot be read") from None
        other = unsupported_name(head)
        if other:
            raise ImageError(name, f"is {other}, which is not supported ({EXPECTED})") from None
        raise ImageError(name, f"is not an image ({EXPECTED})") from None


def _decode(image: Image.Image, name: str) -> np.ndarray:
    """Return the first picture of an opened file, upright, in sRGB."""
    from PIL import Image

    width, height = image.size
    if width * height > _limit():
        raise _too_large(name, f"{width} x {height} pixels")
    if width * height == 0:
        raise ImageError(name, f"has no pixels, its size is {width} x {height}")
    with faults_of_decoders(name):
        # phones write MPO: a JPEG followed by a preview or a depth map, which nobody would call an animation
        several = getattr(image, "is_animated", False) and image.format != "MPO"
        image.load()
    if several:
        warnings.warn(
            ImageWarning(f"{name}: has several frames or pages, the first one is used"), stacklevel=2
        )
    turn = Image.Transpose
    method = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }.get(_orientation(image, name))
    return to_srgb(image if method is None else image.transpose(method), name)


def _orientation(image: Image.Image, name: str) -> int:
    """Return the EXIF orientation; damaged EXIF data does not make a picture unusable."""
    from PIL import ExifTags

    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:  # Pillow's parser raises many kinds here
        text = f"{name}: the EXIF data is damaged ({error}), orientation unknown"
        warnings.warn(ImageWarning(text), stacklevel=2)
        return 1


@contextlib.contextmanager
def _pillow(name: str) -> Iterator[None]:
    """Within, Pillow keeps to our limit of pixels, and what it warns of comes out with the name."""
    from PIL import Image

    limit = _limit()
    with _PILLOW, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Pillow warns above its limit and raises above twice that: the warning as an error makes them one
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit
        try:
            yield
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise _too_large(name, "too many pixels") from None
        except MemoryError as error:
            raise ResourceError(name, "not enough memory to decode it") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before
    for warning in caught:
        own = issubclass(warning.category, ImageWarning)
        warnings.warn(
            ImageWarning(str(warning.message) if own else f"{name}: {warning.message}"), stacklevel=4
        )


@contextlib.contextmanager
def faults_of_decoders(name: str) -> Iterator[None]:
    """Within, whatever a decoder stumbles over (OSError, SyntaxError, struct.error ...) means damage."""
    from PIL import Image, UnidentifiedImageError

    passed_on = (
        UnidentifiedImageError,
        MemoryError,
        Image.DecompressionBombWarning,
        Image.DecompressionBombError,
    )
    try:
        yield
    except passed_on:
        raise
    except Exception as error:
        raise ImageError(name, f"is truncated or damaged, {error}") from error


def _limit() -> int:
    """Return the largest number of pixels that a file may have."""
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return MAX_PIXELS
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(LIMIT_VARIABLE, f"expected a number of pixels, at least 1, got {text!r}")
    return int(text)


def _too_large(name: str, found: str) -> ResourceError:
    hint = (
        f"set the environment variable {LIMIT_VARIABLE} to raise the limit, or scale the picture down first"
    )
    return ResourceError(name, f"{found}, the limit is {_limit()}", hint)
