"""Read .safetensors files: a JSON header that says where each array lies, then the arrays.

    offset   bytes
    0        8        N, the length of the header, little-endian
    8        N        JSON: {"fc6.bias": {"dtype": "F32", "shape": [4096], "data_offsets": [0, 16384]}, ...,
                             "__metadata__": {"format": "pt"}}, filled up with spaces
    8 + N             the arrays, little-endian, C order; the two offsets, of the first byte and the one after
                      the last, count from here

The arrays stand one after another without gaps and fill the file to its end, so that a byte too few or too
many shows. There is no checksum.

The format's own library is not used: through NumPy it cannot read bfloat16, which is how many networks are
published now, and what it would save is the forty lines below.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.nets.preprocessing import Preprocessing
from nst_manual.store.archive import Archive, Tensor
from nst_manual.store.damage import damage
from nst_manual.store.said import NAMES, said_preprocessing

MAX_HEADER = 4 << 20  # bytes; some 30,000 arrays. As Python objects it takes about twenty times as much
MAX_AXES = 32
# Others (BOOL, the 8-bit floats, ...) are refused, not left out: a file must not lose a tensor in silence.
DTYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": "<u2",  # the upper half of a float32
    "I8": "<i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "<u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
}


def matches(head: bytes) -> bool:
    """Say whether a file that begins with `head` (up to 4096 bytes) looks like this format."""
    if len(head) < 9:
        return False
    (length,) = struct.unpack_from("<Q", head)
    # Not held against the limit: a header that is too long is this format's error, not an unknown format.
    return 2 <= length < 1 << 40 and head[8:9] == b"{" and head[9:10] in b'"} \n'


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a file; its tensors can be read inside the block.

    Parameters
    ----------
    path : Path

    Yields
    ------
    Archive
        Of axes "OIHW", or "HWIO" if its metadata name TensorFlow or Flax as its origin.

    Raises
    ------
    WeightsError
        It is damaged or truncated, or holds values of a kind that weights do not have; here or in `read`.
    ResourceError
        There is not enough memory.
    """
    file = str(path)
    with contextlib.ExitStack() as stack:
        with damage(file):
            opened = stack.enter_context(path.open("rb"))
            header, start, size = _read_header(file, opened)
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(x, str) for x in metadata.values()):
            raise WeightsError(file, "damaged, its metadata are not strings", "fetch it again")
        if not header:
            raise WeightsError(file, "holds no arrays")
        tensors = {name: _tensor(file, opened, start, name, entry) for name, entry in header.items()}
        _check_gaps(file, header, size)
        axes = "HWIO" if metadata.get("format") in ("tf", "flax") else "OIHW"
        yield Archive("safetensors", tensors, axes, preprocessing=_preprocessing(file, metadata))


def _read_header(file: str, opened: BinaryIO) -> tuple[dict[str, object], int, int]:
    """Return the header, where the arrays begin, and how many bytes follow from there."""
    size = os.fstat(opened.fileno()).st_size
    head = opened.read(8)
    if len(head) < 8:
        raise WeightsError(file, f"damaged or truncated, it ends after {len(head)} bytes", "fetch it again")
    (length,) = struct.unpack("<Q", head)
    if length > size - 8:
        raise WeightsError(
            file, f"damaged or truncated, its header declares {length} bytes, {size - 8} are there"
        )
    if length > MAX_HEADER:
        raise WeightsError(file, f"has a header of {length} bytes, at most {MAX_HEADER} are read")
    try:
        header = json.loads(opened.read(length).decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        # Not the parser's own text: it would quote a header that may be long.
        raise WeightsError(file, f"damaged, its header is not JSON, {str(error)[:100]}") from error
    if not isinstance(header, dict):
        raise WeightsError(file, "damaged, its header is not a JSON object", "fetch it again")
    return header, 8 + length, size - 8 - length


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the pairs as a dictionary, unless a name comes twice."""
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a name comes twice")
    return unique


def _tensor(file: str, opened: BinaryIO, start: int, name: str, entry: object) -> Tensor:
    """Return the tensor that an entry of the header declares, if what it declares agrees with itself."""
    what = repr(name[:100])
    if not isinstance(entry, dict):
        raise WeightsError(file, f"damaged, {what} has no dtype, shape and data_offsets", "fetch it again")
    code, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(code, str) or code not in DTYPES:
        raise WeightsError(file, f"{what} holds {str(code)[:20]!r}, expected one of {', '.join(DTYPES)}")
    if not _counts(shape) or len(shape) > MAX_AXES or not _counts(offsets) or len(offsets) != 2:
        raise WeightsError(file, f"damaged, {what} has no usable shape and data_offsets", "fetch it again")
    stored = np.dtype(DTYPES[code])
    begin, end = offsets
    if end - begin != math.prod(shape) * stored.itemsize:
        raise WeightsError(
            file, f"damaged, {what} of shape {tuple(shape)} and type {code} declares {end - begin} bytes"
        )
    dtype = np.dtype(np.float32) if code == "BF16" else stored.newbyteorder("=")

    def read() -> np.ndarray:
        with damage(file):
            opened.seek(start + begin)
            # `_check_gaps` has made sure that these bytes are there.
            data = opened.read(end - begin)
            if len(data) < end - begin:
                raise EOFError(f"{what} ends after {len(data)} of {end - begin} bytes")
            values = np.frombuffer(data, stored)
            if code == "BF16":
                return (values.astype(np.uint32) << 16).view(np.float32).reshape(shape)
            return values.astype(dtype).reshape(shape)

    return Tensor(tuple(shape), dtype, read)


def _counts(value: object) -> bool:
    """Say whether this is a list of integers, none of them negative or too large for a file's offset."""
    return isinstance(value, list) and all(type(x) is int and 0 <= x < 1 << 63 for x in value)


def _check_gaps(file: str, header: dict[str, dict], size: int) -> None:
    """Raise `WeightsError` unless the arrays fill the file, one after another, to its end."""
    position = 0
    for (begin, end), name in sorted((entry["data_offsets"], name) for name, entry in header.items()):
        if begin != position:
            raise WeightsError(
                file, f"damaged, {name[:100]!r} begins at {begin}, expected {position}", "fetch it again"
            )
        position = end
    if position != size:
        raise WeightsError(
            file, f"damaged or truncated, it declares {position} bytes of data, {size} are there"
        )


def _preprocessing(file: str, metadata: dict[str, str]) -> Preprocessing | None:
    """Return what the metadata say about the input; all but the order is JSON in a string."""
    values: dict[str, object] = {}
    for name in NAMES:
        if name in metadata:
            values[name] = metadata[name]
            # What is not JSON stays a string, which is then found unusable.
            with contextlib.suppress(ValueError, RecursionError):
                values[name] = metadata[name] if name == "order" else json.loads(metadata[name])
    return said_preprocessing(file, values)
