"""Bytes at any place of a file, or of a part of it that is packed by zlib, without unpacking it whole."""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO

PIECE = 1 << 20  # bytes unpacked at a time
PACKED_PIECE = 16 << 10
STEP = 16 << 20  # bytes between two places from which unpacking can go on; each takes some 50 kB of memory


class Plain:
    """The bytes of a file.

    Parameters
    ----------
    opened : file
        Open for reading, in binary.
    """

    def __init__(self, opened: BinaryIO) -> None:
        self.opened = opened
        self.size = os.fstat(opened.fileno()).st_size

    def skip_to(self, offset: int) -> None:
        """Make sure that there are so many bytes."""
        if offset > self.size:
            raise EOFError(f"{offset} bytes needed, {self.size} are there")

    def read(self, offset: int, size: int) -> bytes:
        """Return exactly `size` bytes; raises `EOFError` if there are fewer, before allocating."""
        self.skip_to(offset + size)
        self.opened.seek(offset)
        data = self.opened.read(size)
        if len(data) < size:
            raise EOFError(f"{size} bytes needed at {offset}, {len(data)} are there")
        return data


class Inflated:
    """The bytes that a part of a file, packed by zlib, unpacks to.

    Unpacking goes forward only, so for reading backwards it begins again at the nearest of the places that
    were marked every `STEP` bytes.

    Parameters
    ----------
    opened : file
        Open for reading, in binary.
    start, packed : int
        Where the part begins, and its size in bytes.
    """

    def __init__(self, opened: BinaryIO, start: int, packed: int) -> None:
        self.opened, self.packed = opened, packed
        self._end = start + packed
        self._marks = [(0, zlib.decompressobj(), start)]
        self._return_to(0)
        # What was read last, if short: a short element's bytes stand in its own tag.
        self._last = bytearray(), 0

    def read(self, offset: int, size: int) -> bytearray:
        """Return exactly `size` bytes; raises `EOFError` if there are fewer, allocating those alone."""
        last, at = self._last
        if at <= offset and offset + size <= at + len(last):
            return last[offset - at : offset - at + size]
        self.skip_to(offset)
        data = bytearray()
        while len(data) < size:
            piece = self._more(min(size - len(data), PIECE))
            if not piece:
                raise EOFError(f"{size} bytes needed at {offset}, {len(data)} are there")
            data += piece
        if size <= 8:
            self._last = data, offset
        return data

    def skip_to(self, offset: int) -> None:
        """Go to a place; raises `EOFError` if there are not so many bytes."""
        if offset < self._position:
            self._return_to(offset)
        while self._position < offset:
            if not self._more(min(offset - self._position, PIECE)):
                raise EOFError(f"{offset} bytes needed, {self._position} are there")

    def finish(self, size: int) -> None:
        """Raise `ValueError` or `zlib.error` unless the whole is `size` bytes with the right checksum."""
        self.skip_to(size)
        if self._more(1):
            raise ValueError(f"more than the {size} bytes declared")
        if len(self._inflate.unused_data) + self._end - self._at >= 8:
            raise ValueError("bytes after the packed ones")

    def _return_to(self, offset: int) -> None:
        """Go to the last mark before a place."""
        mark = max((mark for mark in self._marks if mark[0] <= offset), key=lambda mark: mark[0])
        self._position, inflate, self._at = mark
        self._inflate = inflate.copy()

    def _more(self, limit: int) -> bytes:
        """Return from 1 to `limit` of the next bytes, nothing at the end; raises `EOFError` if it was cut."""
        data = b""
        while not data and not self._inflate.eof:
            given = self._inflate.unconsumed_tail
            if not given:
                self.opened.seek(self._at)
                given = self.opened.read(min(PACKED_PIECE, self._end - self._at))
                self._at += len(given)
            data = self._inflate.decompress(given, limit)
            if not given and not data and not self._inflate.eof:
                raise EOFError("the packed bytes end too early")
        self._position += len(data)
        if self._position >= self._marks[-1][0] + STEP:
            self._marks.append((self._position, self._inflate.copy(), self._at))
        return data
