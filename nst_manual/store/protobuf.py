"""Read the wire format of protocol buffers, without the library and without a compiled schema.

A message is a row of fields, and each field begins with a tag, (number << 3) | wire type:

    0   varint     7 bits a byte, the lowest first; the top bit says that another byte follows
    1   fixed64    8 bytes, little-endian
    2   length     a varint n, then n bytes: a string, a message, or numbers packed one after the other
    5   fixed32    4 bytes, little-endian

    0a 05 63 6f 6e 76 31   field 1, length 5, "conv1"
    08 96 01               field 1, varint: 0x16 + (0x01 << 7) = 150

Types 3 and 4 (groups) are in neither Caffe's nor ONNX's schema, and count as damage. So nothing here follows
nesting by itself: the readers step into those fields that their schema knows, as deep as that is. Every
length is held against the message around it, and the file is mapped, not loaded.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nst_manual.errors import ResourceError, WeightsError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}
MAX_FIELDS = 500_000  # that are looked at in a file, arrays of numbers aside; real ones have some thousands
MAX_TEXT = 1 << 16  # bytes of a name
MAX_AXES = 16  # of an array
BLOCK = 1 << 20  # bytes that are unpacked at a time


class Source:
    """A file and its bytes: what all messages in it share."""

    def __init__(self, file: str, data: mmap.mmap | bytes) -> None:
        self.file, self.data, self.fields_left = file, data, MAX_FIELDS

    def damaged(self, cause: str) -> WeightsError:
        """Return the error for a file that does not follow the format."""
        return WeightsError(self.file, f"damaged or truncated, {cause}", "fetch it again")

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """Return (value in 0..2**64 - 1, position behind it) of the varint at `at`."""
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                raise self.damaged(f"a number runs over the end of its message at byte {end}")
            byte = self.data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
        raise self.damaged(f"a number at byte {at - 10} has no end")


@dataclass(slots=True)
class Field:
    """A field of a message.

    Attributes
    ----------
    source : Source
    number, wire : int
        Of the tag.
    value : int
        Of a varint, unsigned.
    start, end : int
        Of the content: where it lies in the file.
    count : int
        How often the same tag comes in a row; more than 1 only for fixed32 and fixed64, whose values then
        stand tag, value, tag, value from `start - 1` on (numbers that are repeated, but not packed).
    """

    source: Source
    number: int
    wire: int
    value: int
    start: int
    end: int
    count: int = 1

    def _expect(self, wire: int) -> None:
        if self.wire != wire:
            raise self.source.damaged(f"field {self.number} at byte {self.start} is of another type")

    def integer(self) -> int:
        """Return the value of an int32, int64 or enum."""
        self._expect(VARINT)
        return signed(self.value)

    def message(self) -> Message:
        """Return the message inside."""
        self._expect(LENGTH)
        return Message(self.source, self.start, self.end)

    def text(self) -> str:
        """Return the string inside; bytes that are not UTF-8 are escaped."""
        self._expect(LENGTH)
        if self.end - self.start > MAX_TEXT:
            raise self.source.damaged(f"a name of {self.end - self.start} bytes at byte {self.start}")
        return self.source.data[self.start : self.end].decode("utf-8", "backslashreplace")

    def float32(self) -> float:
        """Return the value of a float; the last one if there are more."""
        self._expect(FIXED32)
        return struct.unpack("<f", self.source.data[self.end - 4 : self.end])[0]

    def integers(self) -> list[int]:
        """Return the values of a repeated int64, packed or a single one; more than `MAX_AXES` are damage."""
        if self.wire == VARINT:
            return [signed(self.value)]
        self._expect(LENGTH)
        found, at = [], self.start
        while at < self.end:
            value, at = self.source.varint(at, self.end)
            found.append(signed(value))
            if len(found) > MAX_AXES:
                raise self.source.damaged(
                    f"more than {MAX_AXES} numbers in field {self.number} at byte {self.start}"
                )
        return found


@dataclass(slots=True)
class Message:
    """A message: the bytes `start` to `end` of a file."""

    source: Source
    start: int
    end: int

    def fields(self) -> Iterator[Field]:
        """Yield the fields in their order.

        Raises
        ------
        WeightsError
            The bytes are no fields, one is longer than the message, or there are more than any real file has.
        """
        source, at, end = self.source, self.start, self.end
        while at < end:
            source.fields_left -= 1
            if source.fields_left < 0:
                raise WeightsError(source.file, f"has more than {MAX_FIELDS} fields")
            tag_at = at
            tag, at = source.varint(at, end)
            number, wire, start, value, count = tag >> 3, tag & 7, at, 0, 1
            _check_tag(source, tag, tag_at)
            if wire == VARINT:
                value, stop = source.varint(at, end)
            elif wire == LENGTH:
                value, start = source.varint(at, end)
                stop = start + value
            else:
                stop = at + _SIZES[wire]
                if at - tag_at == 1 and stop <= end:
                    count = _run(source.data, tag_at, end, 1 + _SIZES[wire])
                    stop = tag_at + count * (1 + _SIZES[wire])
            if stop > end:
                raise source.damaged(
                    f"field {number} at byte {tag_at} has {stop - start} bytes, {end - start} are there"
                )
            yield Field(source, number, wire, value, start, stop, count)
            at = stop


class Numbers:
    """A repeated numeric field: where its values lie.

    Parameters
    ----------
    dtype : str or None
        Of the values in the file, little-endian: "<f4"; None for varints, which are read as int64.
    """

    def __init__(self, dtype: str | None) -> None:
        self.dtype = dtype and np.dtype(dtype)
        self.count = 0
        self._pieces: list[Field] = []

    def add(self, field: Field) -> None:
        """Take the field's values along, packed or not; count them, read none."""
        data, size = field.source.data, field.end - field.start
        if field.wire == LENGTH and self.dtype:
            self.count += size // self.dtype.itemsize
            if size % self.dtype.itemsize:
                raise field.source.damaged(
                    f"field {field.number} at byte {field.start} has {size} bytes, not a multiple of "
                    f"{self.dtype.itemsize}"
                )
        elif field.wire == LENGTH:
            for at in range(field.start, field.end, BLOCK):
                block = np.frombuffer(data, np.uint8, min(BLOCK, field.end - at), at)
                self.count += int(np.count_nonzero(block < 128))
            if size and data[field.end - 1] >= 128:
                raise field.source.damaged(f"field {field.number} at byte {field.start} ends inside a number")
        else:
            wires = {4: FIXED32, 8: FIXED64}
            field._expect(wires.get(self.dtype.itemsize, LENGTH) if self.dtype else VARINT)
            self.count += field.count
        self._pieces.append(field)

    def read(self) -> np.ndarray:
        """Return a copy of the values, one axis, in the machine's byte order.

        Raises
        ------
        WeightsError
            A varint has no end.
        """
        dtype = self.dtype.newbyteorder("=") if self.dtype else np.dtype(np.int64)
        result = np.empty(self.count, dtype)
        done = 0
        for field in self._pieces:
            data = field.source.data
            if self.dtype and field.wire == LENGTH:
                count = (field.end - field.start) // self.dtype.itemsize
                result[done : done + count] = np.frombuffer(data, self.dtype, count, field.start)
            elif self.dtype:
                count = field.count
                pairs = np.dtype([("tag", np.uint8), ("value", self.dtype)])
                result[done : done + count] = np.frombuffer(data, pairs, count, field.start - 1)["value"]
            elif field.wire == LENGTH:
                count = _unpack_varints(field, result[done:])
            else:
                count = 1
                result[done] = signed(field.value)
            done += count
        return result


def _check_tag(source: Source, tag: int, at: int) -> None:
    if tag & 7 not in (VARINT, FIXED64, LENGTH, FIXED32) or not 0 < tag >> 3 < 1 << 29:
        raise source.damaged(f"no field begins at byte {at}")


def signed(value: int) -> int:
    """Return what the 64 bits mean as two's complement."""
    return value - (1 << 64) if value >> 63 else value


def _run(data: mmap.mmap | bytes, at: int, end: int, step: int) -> int:
    """Return how many values of `step` bytes, each with the tag that stands at `at`, follow one another."""
    count, total = 1, (end - at) // step
    # Arrays of millions are scanned by NumPy, in blocks that grow: a single value costs little.
    block = 16
    while count < total:
        size = min(block, total - count)
        tags = np.frombuffer(data, np.uint8, size * step, at + count * step)[::step]
        other = np.flatnonzero(tags != data[at])
        if other.size:
            return count + int(other[0])
        count += size
        block = min(block * 8, BLOCK)
    return count


def _unpack_varints(field: Field, result: np.ndarray) -> int:
    """Decode the packed varints of a field into the front of `result`; return how many they are."""
    done, at = 0, field.start
    while at < field.end:
        block = np.frombuffer(field.source.data, np.uint8, min(BLOCK, field.end - at), at)
        ends = np.flatnonzero(block < 128)
        if not ends.size:
            raise field.source.damaged(f"a number at byte {at} has no end")
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts + 1
        if lengths.max() > 10:
            raise field.source.damaged(f"a number at byte {at + int(starts[lengths.argmax()])} has no end")
        values = np.zeros(ends.size, np.uint64)
        for k in range(int(lengths.max())):
            here = lengths > k
            values[here] |= (block[starts[here] + k].astype(np.uint64) & 127) << np.uint64(7 * k)
        result[done : done + ends.size] = values.view(np.int64)
        done += ends.size
        at += int(ends[-1]) + 1
    return done


@contextlib.contextmanager
def open_message(path: Path) -> Iterator[Message]:
    """Map a file into memory, and give it as a message that is not looked into yet.

    Raises
    ------
    WeightsError
        It cannot be read, or is empty.
    ResourceError
        There is not enough memory.
    """
    file = str(path)
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            # An empty file cannot be mapped.
            data = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) if size else None
    except (OSError, ValueError) as error:
        raise WeightsError(file, f"cannot be read, {getattr(error, 'strerror', None) or error}") from error
    if data is None:
        raise WeightsError(file, "is empty", "fetch it again")
    try:
        yield Message(Source(file, data), 0, size)
    except MemoryError as error:
        raise ResourceError(file, "does not fit into memory") from error
    finally:
        # An array that is still looking into the file, in the traceback of an error, keeps it open till then.
        with contextlib.suppress(BufferError):
            data.close()


def checked_shape(source: Source, name: str, shape: list[int], count: int) -> tuple[int, ...]:
    """Return a declared shape as a tuple, after making sure that `count` values fill it.

    Raises
    ------
    WeightsError
        There are more or fewer values, or it is no shape at all.
    """
    # No array can have a shape like (0, 10**18, 10**18), empty as it is.
    if len(shape) > MAX_AXES or min(shape, default=0) < 0 or math.prod(n or 1 for n in shape) > 1 << 40:
        listed = ", ".join(map(str, shape[:MAX_AXES]))
        raise source.damaged(f"{shown(name)} declares the shape ({listed})")
    if math.prod(shape) != count:
        raise source.damaged(
            f"{shown(name)} declares the shape {tuple(shape)}, {math.prod(shape)} values, {count} are there"
        )
    return tuple(shape)


def top_fields(head: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield (number, wire type, value, content) of the fields at the front of a file, as far as `head` goes.

    For telling formats apart. The last content may be cut off.

    Raises
    ------
    WeightsError
        The bytes are no fields.
    """
    source, at = Source("", head), 0
    while at < len(head):
        try:
            tag, start = source.varint(at, len(head))
            value, stop = source.varint(start, len(head)) if tag & 7 in (VARINT, LENGTH) else (0, start)
        except WeightsError:
            # Cut off by the end of the head; a number without an end is damage.
            if len(head) - at > 20:
                raise
            return
        _check_tag(source, tag, at)
        wire = tag & 7
        start = stop if wire == LENGTH else start
        at = stop + (value if wire == LENGTH else _SIZES.get(wire, 0))
        yield tag >> 3, wire, value, head[start:at]


def shown(name: str) -> str:
    """Return a name from a file so that a message of one line can hold it."""
    return repr(name if len(name) <= 80 else name[:77] + "...")
