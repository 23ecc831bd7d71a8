"""Which reader a weight file is for: by its first bytes, never by its name."""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nst_manual.errors import WeightsError
from nst_manual.store.archive import Archive

HEAD = 4096  # bytes that readers are shown
# Modules of this package, each with `matches(head)` and `open_archive(path)`. Those with a signature come
# first, those that have to guess from the first fields last.
READERS = (
    "matconvnet",
    "keras_hdf5",
    "pth",
    "npz",
    "safetensors_file",
    "onnx_file",
    "caffemodel",
)
KNOWN = "HDF5, PyTorch's .pth, .safetensors, .npz, .caffemodel, .onnx, MatConvNet's .mat"
# First bytes of formats that have them, to tell a file that was cut within them.
SIGNATURES = (b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"MATLAB 5.0 MAT-file", b"\x93NUMPY")


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a weight file of any format; nothing of it is executed, and no tensor read yet.

    Raises
    ------
    WeightsError
        The file is missing, no file, empty, damaged, or of no format that is known.
    ResourceError
        There is not enough memory.
    """
    check_file(path)
    with reader(path).open_archive(path) as archive:
        yield replace(archive, axes=_axes(archive)) if archive.axes == "?" else archive


def reader(path: Path):  # noqa: ANN201 - a module
    """Return the module that reads a file; raise `WeightsError` where none does."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        raise WeightsError(str(path), f"cannot be read, {error.strerror or error}") from error
    if _is_page(head):
        raise WeightsError(
            str(path),
            "is no weight file, but looks like a web page",
            "the download went wrong; fetch it again",
        )
    for name in READERS:
        module = importlib.import_module(f"nst_manual.store.{name}")
        # two formats are zips, told apart by the names in them
        if module.matches(head) and (name != "pth" or head[:2] != b"PK" or module.is_pytorch_zip(path)):
            return module
    if any(signature.startswith(head) for signature in SIGNATURES):
        raise WeightsError(str(path), "damaged or truncated, it ends after a few bytes", "fetch it again")
    raise WeightsError(
        str(path), f"is in no format that is known; it begins with {head[:8]!r}", f"known: {KNOWN}"
    )


def _is_page(head: bytes) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<script"))


def _axes(archive: Archive) -> str:
    """Return the order of axes where a format leaves it open: the sides of kernels are the small numbers."""
    votes = [sum(t.shape[:2]) < sum(t.shape[2:]) for t in archive.tensors.values() if len(t.shape) == 4]
    return "HWIO" if 2 * sum(votes) > len(votes) else "OIHW"


def check_file(path: Path) -> None:
    """Raise `WeightsError` unless the path is a readable file that is not empty; never waits for a FIFO."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise WeightsError(str(path), "no such file") from error
    except (OSError, ValueError) as error:
        raise WeightsError(
            str(path), f"cannot be read, {getattr(error, 'strerror', None) or error}"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise WeightsError(str(path), "is a directory, expected a weight file")
    if not stat.S_ISREG(status.st_mode):
        raise WeightsError(str(path), "is not a regular file")
    if status.st_size == 0:
        raise WeightsError(str(path), "is empty")
    if not os.access(path, os.R_OK):
        raise WeightsError(str(path), "cannot be read, permission denied")
