"""MATLAB's MAT files, version 5 (save -v6 and -v7), of unknown origin: the structure now, the numbers later.

    offset   bytes
    0        116      text: MATLAB 5.0 MAT-file, ...
    124      4        version and byte order: 00 01 "IM" little-endian, 01 00 "MI" big-endian
    128               elements to the end: a tag of two 4-byte numbers, type and size, then so many bytes,
                      filled up to a multiple of 8

A size of 4 or less may stand in the upper half of the type, the bytes then in the place of the size. At the
top an element is a matrix (14), or one packed by zlib (15, not filled up). In a matrix stand, as elements:
flags (the lowest byte is the class), dimensions, name; then the numbers, first axis fastest; or, in a cell,
matrices; or, in a struct, the longest field name's size, the names, and a matrix for each field.

SciPy reads these files too, but takes their word: cells that declare a gigabyte get it, and matrices nested
deeply enough end the process. Whoever checks that beforehand has walked the whole file, so the rest is here.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.damage import damage
from nst_manual.store.unpack import Inflated, Plain

MAX_UNPACKED = 4 << 30  # bytes, of all packed elements together; the largest published VGG file has 0.6
MAX_RATIO = 1032  # deflate packs at most so many bytes into one
MAX_MATRICES = 50_000  # VGG-19 has 1500, a thousand of them names of classes
MAX_DEPTH = 16  # cells in structs in cells
MAX_TEXT = 1000  # bytes of a text that is read; longer ones stay None
MATRIX, PACKED = 14, 15
CELL, STRUCT, CHAR = 1, 2, 4
OPAQUE = 17  # MATLAB's newer objects, which have no dimensions
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
# As stored, which may be narrower than the class: a double that is 1 everywhere is kept as bytes.
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {1: "latin1", 2: "latin1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}


@dataclass(frozen=True)
class Numbers:
    """A matrix of real numbers: where they lie."""

    shape: tuple[int, ...]
    dtype: np.dtype
    file: str
    stream: Plain | Inflated
    offset: int
    stored: np.dtype

    def read(self) -> np.ndarray:
        """Return them, contiguous; raises `WeightsError` where the file is damaged."""
        with damage(self.file):
            data = self.stream.read(self.offset, math.prod(self.shape) * self.stored.itemsize)
            values = np.frombuffer(data, self.stored).reshape(self.shape, order="F")
            return np.array(values, self.dtype, order="C")


@dataclass(frozen=True)
class Cell:
    """Matrices in a cell array, the first axis fastest."""

    items: tuple[object, ...]


@dataclass(frozen=True)
class Struct:
    """A struct array's shape, and the fields of its elements, the first axis fastest."""

    shape: tuple[int, ...]
    items: tuple[dict[str, object], ...]


# Of other kinds of matrix (sparse, complex, objects, functions): there, but not looked into.
OTHER = object()


@contextlib.contextmanager
def open_mat5(path: Path) -> Iterator[dict[str, object]]:
    """Open a file; yields name -> `Numbers`, `Cell`, `Struct`, str, or `OTHER`.

    The whole structure has been walked then, and packed parts have been unpacked once, a piece at a time, and
    found whole.

    Raises
    ------
    WeightsError
        It is damaged or truncated, of another version, or unpacks to more than 4 GiB.
    ResourceError
        There is not enough memory.
    """
    file = str(path)
    with contextlib.ExitStack() as stack:
        with damage(file):
            opened = stack.enter_context(path.open("rb"))
            head = opened.read(520)
            if head.startswith(b"MATLAB 7.3 MAT-file") or head[512:] == b"\x89HDF\r\n\x1a\n":
                raise WeightsError(file, "is a MAT file of version 7.3", "save it in MATLAB with -v7")
            order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(head[124:128])
            if order is None:
                raise WeightsError(file, "damaged, or not a MAT file of version 5")
            variables = _Walk(file, order).top(Plain(opened))
        yield variables


class _Walk:
    """One walk through a file; it counts what it meets."""

    def __init__(self, file: str, order: str) -> None:
        self.file, self.order = file, order
        self.matrices = self.unpacked = 0

    def top(self, stream: Plain) -> dict[str, object]:
        """Return the variables."""
        variables: dict[str, object] = {}
        offset = 128
        while offset < stream.size:
            kind, size = struct.unpack(self.order + "II", stream.read(offset, 8))
            end = offset + 8 + size
            if end > stream.size:
                raise EOFError(f"{size} bytes declared at {offset}, {stream.size - offset - 8} are there")
            if kind == MATRIX:
                name, value = self.matrix(stream, offset + 8, end, 0)
            elif kind == PACKED:
                name, value = self.packed(Inflated(stream.opened, offset + 8, size))
            else:
                raise ValueError(f"an element of type {kind} at {offset}, expected a matrix")
            if name in variables:
                raise ValueError(f"two variables {name[:60]!r}")
            variables[name] = value
            offset = end
        return variables

    def packed(self, stream: Inflated) -> tuple[str, object]:
        """Return the name and value of the matrix in a packed element, all of it unpacked once."""
        kind, size = struct.unpack(self.order + "II", stream.read(0, 8))
        if kind != MATRIX:
            raise ValueError(f"a packed element of type {kind}, expected a matrix")
        if size > MAX_RATIO * stream.packed:
            raise ValueError(f"{size} bytes declared, packed in {stream.packed}: impossible")
        self.unpacked += size
        if self.unpacked > MAX_UNPACKED:
            raise WeightsError(self.file, f"unpacks to more than {MAX_UNPACKED} bytes", "save it with -v6")
        found = self.matrix(stream, 8, 8 + size, 0)
        stream.finish(8 + size)
        return found

    def element(self, stream: Plain | Inflated, offset: int, end: int) -> tuple[int, int, int, int]:
        """Return (type, where its bytes begin, their number, where the next element begins)."""
        if offset + 8 > end:
            raise EOFError(f"no room for an element at {offset}, the matrix ends at {end}")
        kind, size = struct.unpack(self.order + "II", stream.read(offset, 8))
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise ValueError(f"a short element of {size} bytes at {offset}")
            return kind, offset + 4, size, offset + 8
        if size > end - offset - 8:
            raise EOFError(f"{size} bytes declared at {offset}, the matrix ends at {end}")
        # Some writers do not fill up what stands last.
        return kind, offset + 8, size, min(offset + 8 + -(-size // 8) * 8, end)

    def matrix(self, stream: Plain | Inflated, offset: int, end: int, depth: int) -> tuple[str, object]:
        """Return the name and value of the matrix whose elements stand from `offset` to `end`."""
        self.matrices += 1
        if self.matrices > MAX_MATRICES or depth > MAX_DEPTH:
            raise WeightsError(
                self.file, f"has more than {MAX_MATRICES} matrices, or {MAX_DEPTH} one in another"
            )
        if offset == end:  # an empty one may be left out
            return "", Numbers((0, 0), np.dtype("f8"), self.file, stream, offset, np.dtype("f8"))
        flags, offset = self.integers(stream, offset, end, 6, 2)
        opaque = flags and flags[0] & 0xFF == OPAQUE
        shape, offset = ((1, 1), offset) if opaque else self.integers(stream, offset, end, 5, 32)
        if len(flags) != 2 or len(shape) < 2 or min(shape) < 0:
            raise ValueError(f"a matrix with flags {flags} and dimensions {shape}")
        _, at, size, offset = self.element(stream, offset, end)
        name = bytes(stream.read(at, min(size, 64))).decode("latin1")
        kind, count = flags[0] & 0xFF, math.prod(shape)
        if kind == CELL:
            items, offset = self.matrices_in(stream, offset, end, count, depth)
            value = Cell(tuple(items))
        elif kind == STRUCT:
            names, offset = self.field_names(stream, offset, end)
            items, offset = self.matrices_in(stream, offset, end, count * len(names), depth)
            rows = range(0, len(items), len(names) or 1)
            value = Struct(shape, tuple(dict(zip(names, items[i:], strict=False)) for i in rows))
        elif kind == CHAR or (kind in CLASSES and not flags[0] & 0x800):  # not complex
            value, offset = self.values(stream, offset, end, shape, kind)
        else:
            return name, OTHER
        if offset != end:
            raise ValueError(f"{end - offset} bytes too many in a matrix of shape {shape}")
        return name, value

    def integers(
        self, stream: Plain | Inflated, offset: int, end: int, kind: int, most: int
    ) -> tuple[tuple[int, ...], int]:
        """Return the integers of an element of type `kind`, and where the next element begins."""
        found, at, size, after = self.element(stream, offset, end)
        if found != kind or size % 4 or size > 4 * most:
            raise ValueError(f"an element of type {found} and {size} bytes, expected type {kind}")
        letter = {5: "i", 6: "I"}[kind]
        return struct.unpack(f"{self.order}{size // 4}{letter}", stream.read(at, size)), after

    def field_names(self, stream: Plain | Inflated, offset: int, end: int) -> tuple[list[str], int]:
        """Return the names of a struct's fields, and where the values begin."""
        (longest, *_), offset = self.integers(stream, offset, end, 5, 1)
        _, at, size, offset = self.element(stream, offset, end)
        if not 1 <= longest <= 64 or size % longest or size > 64 * 1000:
            raise ValueError(f"field names of {longest} bytes in {size}")
        data = bytes(stream.read(at, size))
        fields = [data[i : i + longest].split(b"\0")[0].decode("latin1") for i in range(0, size, longest)]
        if len(set(fields)) != len(fields):
            raise ValueError("two fields of the same name")
        return fields, offset

    def matrices_in(
        self, stream: Plain | Inflated, offset: int, end: int, count: int, depth: int
    ) -> tuple[list[object], int]:
        """Return the values of `count` matrices, one after another, and where they end."""
        if count * 8 > end - offset:
            raise EOFError(f"{count} matrices declared in {end - offset} bytes")
        items = []
        for _ in range(count):
            kind, at, size, offset = self.element(stream, offset, end)
            if kind != MATRIX:
                raise ValueError(f"an element of type {kind}, expected a matrix")
            items.append(self.matrix(stream, at, at + size, depth + 1)[1])
        return items, offset

    def values(
        self, stream: Plain | Inflated, offset: int, end: int, shape: tuple[int, ...], kind: int
    ) -> tuple[object, int]:
        """Return the text or the numbers of a matrix, and where they end."""
        found, at, size, offset = self.element(stream, offset, end)
        if kind != CHAR or size > MAX_TEXT:
            stream.skip_to(at + size)  # not for what is read now: going back costs much in a packed stream
        if kind == CHAR:
            if found not in TEXTS:
                raise ValueError(f"a text of type {found}")
            if size > MAX_TEXT:
                return None, offset
            name = TEXTS[found]
            name += {"<": "-le", ">": "-be"}[self.order] if name in ("utf-16", "utf-32") else ""
            return bytes(stream.read(at, size)).decode(name, "replace"), offset
        if found not in STORED:
            raise ValueError(f"numbers of type {found}")
        stored = np.dtype(self.order + STORED[found])
        if math.prod(shape) * stored.itemsize != size:
            raise ValueError(f"a matrix of shape {shape} in {size} bytes")
        return Numbers(shape, np.dtype(CLASSES[kind]), self.file, stream, at, stored), offset
