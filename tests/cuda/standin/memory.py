"""The memory of the stand-in's GPU: what is allocated, where, and what stands around it."""

from __future__ import annotations

import bisect
import ctypes
import math
from typing import Any

import numpy as np

GUARD = 256  # bytes before and after; CuPy's memory begins at multiples of 512, this at multiples of 256
WHOLE = b"\xff" * GUARD
TOTAL = 64 * 2**30


class OutOfMemoryError(MemoryError):
    """CuPy's, with its words."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        words = f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes"
        super().__init__(words + (f", limit set to: {limit:,} bytes)." if limit else ")."))

    def __reduce__(self):
        return MemoryError, self.args


class Memory:
    """One allocation. It counts as long as an array holds it."""

    __slots__ = ("buffer", "guarded", "ptr", "root", "size")

    def __init__(self, root: np.ndarray, ptr: int, size: int, guarded: bool) -> None:
        self.root, self.ptr, self.size, self.guarded = root, ptr, size, guarded
        self.buffer = None
        state.add(self)

    def bytes(self) -> ctypes.Array:
        """Return the memory as a buffer that NumPy can make arrays of."""
        if self.buffer is None:
            self.buffer = (ctypes.c_char * self.size).from_address(self.ptr)
        return self.buffer

    def check_guards(self, who: str) -> None:
        """Raise RuntimeError if something was written before or after the memory."""
        if self.guarded:
            start = self.ptr - self.root.__array_interface__["data"][0]
            before, after = self.root[start - GUARD : start], self.root[start + self.size :][:GUARD]
            if before.tobytes() != WHOLE or after.tobytes() != WHOLE:
                self.guarded = False  # said once
                raise RuntimeError(f"{who} wrote outside of an array's memory of {self.size} bytes")


class State:
    """All live allocations, by address."""

    def __init__(self) -> None:
        self.live: dict[int, int] = {}  # start -> size
        self.starts: list[int] = []
        self.used = self.peak = 0
        self.limit: int | None = None

    def add(self, memory: Memory) -> None:
        """Enter an allocation."""
        self.ask(memory.size)
        self.live[memory.ptr] = memory.size
        bisect.insort(self.starts, memory.ptr)
        self.used += memory.size
        self.peak = max(self.peak, self.used)

    def remove(self, memory: Memory, find: Any = bisect.bisect_left) -> None:
        """Take an allocation out, unless it was refused."""
        if self.live.pop(memory.ptr, None) is not None:
            del self.starts[find(self.starts, memory.ptr)]
            self.used -= memory.size

    def ask(self, size: int) -> None:
        """Raise OutOfMemoryError if that much is not to be had."""
        if self.limit is not None and self.used + size > self.limit:
            raise OutOfMemoryError(size, self.used, self.limit)

    def find(self, address: int) -> tuple[int, int]:
        """Return the start and the size of the live allocation that holds an address.

        Raises
        ------
        RuntimeError
            If there is none.
        """
        place = bisect.bisect_right(self.starts, address) - 1
        if place >= 0:
            start = self.starts[place]
            size = self.live[start]
            if address < start + max(size, 1):
                return start, size
        raise RuntimeError(f"illegal memory access: no live array holds the address {address:#x}")

    def free(self) -> tuple[int, int]:
        """Return the free bytes and all bytes."""
        total = TOTAL if self.limit is None else self.limit
        return max(0, total - self.used), total


state = State()
# Arrays may outlive this module's names when Python ends, so that the method brings along what it needs.
Memory.__del__ = lambda self, remove=state.remove: remove(self)


def allocate(shape: tuple[int, ...], dtype: np.dtype, order: str = "C") -> tuple[np.ndarray, Memory]:
    """Return an array of the GPU's memory and that memory; the content is NaN, or bytes of 0xA5.

    Before and after it stands a margin of 0xFF, so that a kernel that reads there gets NaN and one that
    writes there is found out.
    """
    size = math.prod(shape) * dtype.itemsize
    state.ask(size)  # before the memory of the machine is taken
    root = np.empty(size + 3 * GUARD, np.uint8)
    address = root.__array_interface__["data"][0]
    start = GUARD + -address % GUARD
    root[start - GUARD : start] = 0xFF
    root[start + size : start + size + GUARD] = 0xFF
    flat = root[start : start + size]
    if dtype.kind in "fc":
        flat.view(dtype).fill(np.nan)
    else:
        flat.fill(0xA5)
    memory = Memory(root, address + start, size, guarded=True)
    return np.ndarray(shape, dtype, root, start, order=order), memory
