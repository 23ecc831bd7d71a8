"""Save a picture: checked before the run, encoded in memory, written at once and whole."""

from __future__ import annotations

import difflib
import io
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nst_manual.atomic import write_atomic
from nst_manual.errors import OutputError
from nst_manual.images.metadata import options_for
from nst_manual.images.naming import shown
from nst_manual.images.pixels import to_pil

# extension: Pillow's name of the format
OUTPUT_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}

_OPTIONS = {
    "JPEG": {"quality": 95, "subsampling": 0},  # 4:4:4: brush strokes of strong colour keep their edges
    "WEBP": {"quality": 95, "method": 4},
    "TIFF": {"compression": "tiff_lzw"},
}


def check_output(path: str | os.PathLike[str], inputs: Iterable[object] = (), force: bool = False) -> Path:
    """Return `path` as a `Path` when a picture can be saved there: to be known before the run, not after it.

    Parameters
    ----------
    path : path
        Where the picture is to go; an existing file will be replaced.
    inputs : iterable
        The pictures that the run reads; those that are no paths are passed over.
    force : bool
        Allow the output to replace one of the inputs.

    Raises
    ------
    OutputError
        Unknown extension; the folder is missing, not a folder or not writable; the path is a directory or a
        device; the output is one of the inputs (links to it included).
    """
    _format_of(Path(path).suffix, shown(path))
    return check_target(path, inputs, force)


def check_target(path: str | os.PathLike[str], inputs: Iterable[object] = (), force: bool = False) -> Path:
    """Return `path` as a `Path` when a file of any kind can be written there; see `check_output`."""
    name = shown(path)
    path = Path(path)
    try:
        if path.is_dir():
            raise OutputError(name, "is a directory, expected a file to write")
        _check_folder(path.parent, name)
        _check_existing(path, name, inputs, force)
    except OutputError:
        raise
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        raise OutputError(name, f"cannot be written, {getattr(error, 'strerror', None) or error}") from error
    return path


def encode_image(pixels: np.ndarray, extension: str, metadata: dict[str, str] | None = None) -> bytes:
    """Return the picture as the bytes of a file.

    Parameters
    ----------
    pixels : numpy.ndarray
        (H, W, 3) or (1, H, W, 3), uint8 or float, 0..255; rounded and clipped.
    extension : str
        A key of `OUTPUT_FORMATS`, capitals allowed. JPEG (4:4:4) and WebP have quality 95; the others are
        lossless.
    metadata : dict of str to str, optional
        Texts for `read_metadata`. BMP cannot hold any; JPEG, WebP and TIFF hold 65 kB (more is left out with
        an `ImageWarning`).

    Raises
    ------
    OutputError
        Unknown extension, or the format cannot hold this: JPEG has at most 65500 pixels a side, WebP 16383.
    NotFiniteError, ShapeError
        As `to_uint8`.
    """
    kind = _format_of(extension, f"format {extension}")
    image = to_pil(pixels)
    file = io.BytesIO()
    try:
        image.save(file, kind, **_OPTIONS.get(kind, {}), **options_for(kind, metadata or {}))
    except Exception as error:  # encoders raise OSError, ValueError, struct.error, SystemError ...
        size = f"{image.height} x {image.width} pixels"
        raise OutputError(f"format {extension}", f"cannot hold this picture of {size}, {error}") from error
    return file.getvalue()


def save_image(
    path: str | os.PathLike[str], pixels: np.ndarray, metadata: dict[str, str] | None = None
) -> None:
    """Write the picture to `path`; the file there is the old one or the new one whole, whatever happens.

    Encoded in memory first: an encoder that itself writes to a full disk may lose both without a word.

    Parameters
    ----------
    path : path
        Its extension chooses the format (`OUTPUT_FORMATS`).
    pixels, metadata
        See `encode_image`.

    Raises
    ------
    OutputError
        Whatever keeps the file from being written.
    NotFiniteError, ShapeError
        As `to_uint8`; nothing is written.
    """
    name = shown(path)
    extension = Path(path).suffix
    _format_of(extension, name)
    try:
        write_atomic(path, encode_image(pixels, extension, metadata))
    except OutputError as error:
        cause = error.cause if error.what == os.fspath(path) else f"{error.what} {error.cause}"
        raise OutputError(name, cause, error.hint) from error
    except ValueError as error:  # a zero byte in the name
        if hasattr(error, "exit_code"):
            raise
        raise OutputError(name, f"cannot be written, {error}") from error


def _format_of(extension: str, name: str) -> str:
    """Return Pillow's name of the format."""
    kind = OUTPUT_FORMATS.get(extension.lower())
    if kind is None:
        close = difflib.get_close_matches(extension.lower(), OUTPUT_FORMATS, n=1)
        cause = (
            f"{shown(extension)!r} is not an extension that can be written"
            if extension
            else "has no extension"
        )
        cause += f", did you mean {close[0]!r}?" if close else ""
        raise OutputError(name, cause, f"one of: {', '.join(OUTPUT_FORMATS)}")
    return kind


def _check_folder(folder: Path, name: str) -> None:
    """Raise unless a file can be made in `folder`."""
    if not folder.exists():
        raise OutputError(name, f"the folder {shown(folder)} does not exist", "make it first")
    if not folder.is_dir():
        raise OutputError(name, f"{shown(folder)} is not a folder")
    try:
        # made for real: permission bits know nothing of read-only disks, and the superuser passes them all
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        cause = f"the folder {shown(folder)} is not writable, {error.strerror or error}"
        raise OutputError(name, cause) from error


def _check_existing(path: Path, name: str, inputs: Iterable[object], force: bool) -> None:
    """Raise when what is at `path` must not be replaced."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OutputError(name, "is a device, pipe or socket, expected a file to write")
    for source in inputs:
        is_path = isinstance(source, str | os.PathLike)
        if is_path and not force and os.path.exists(source) and os.path.samefile(path, source):
            raise OutputError(name, f"is the input {shown(source)}", "--force replaces it")
