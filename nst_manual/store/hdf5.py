"""HDF5 files of unknown origin: open, walk and read them without trusting what they declare.

A file may link to others on the same disk, declare more data than there is memory, or compress gigabytes into
kilobytes. So only what lies in the file itself is followed, and a dataset is held against what is expected,
and against what is stored, before anything is allocated.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.damage import damage

if TYPE_CHECKING:
    import h5py

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL\1"
MAX_OBJECTS = 200_000  # in heaps; a file of weights has a few texts
MAX_DEPTH = 12  # groups within groups
MAX_MEMBERS = 20_000  # in the whole file; a group may contain itself
MAX_CHUNK = 64 << 20  # bytes, or the size of the dataset if that is more
CHECKED_CHUNK = 512 << 10  # bytes stored: zlib packs at most 1032 to 1, half a GB from here
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}  # by their numbers in HDF5


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; what reads it inside the block stands in `damage` of its own.

    Raises
    ------
    WeightsError
        It is damaged or truncated, or not HDF5.
    ResourceError
        There is not enough memory.
    """
    import h5py

    with damage(str(path)):
        _check_heaps(path)
        # Reading takes no lock: on some network disks and read-only folders locks fail.
        opened = h5py.File(os.fspath(path), "r", locking=False)
    with opened:
        yield opened


def _check_heaps(path: Path) -> None:
    """Raise `ValueError` where HDF5 would never come to the end of a heap of texts.

    Attributes' texts lie in heaps without checksums: "GCOL", version 1, three bytes, the heap's size, then
    objects. An object is its number (two bytes), six bytes, its size, and its bytes filled up to a multiple
    of 8. Number 0 is free space, whose size counts the first 16 bytes too; where it is 0, HDF5 (2.0 still)
    looks at the same place for ever, and not even Ctrl-C ends it.
    """
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if (data[13:15] if data[8:9] < b"\2" else data[9:11]) != b"\x08\x08":
            raise ValueError("its addresses and sizes have other than 8 bytes")
        objects = 0
        # heaps may lie anywhere; among the weights these letters may stand by chance, and mean nothing
        start = data.find(HEAP)
        while start >= 0:
            (size,) = struct.unpack("<Q", data[start + 8 : start + 16].ljust(8, b"\xff"))
            at, end = start + 16, start + size
            while at + 16 <= end <= len(data):
                number, needed = struct.unpack("<H6xQ", data[at : at + 16])
                objects += 1
                if objects > MAX_OBJECTS or not (number or needed):
                    raise ValueError("a heap of texts has no end")
                at += 16 + needed + -needed % 8 if number else needed
            start = data.find(HEAP, start + 1)


def walk(
    file: str, group: h5py.Group, skip: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], h5py.Dataset]]:
    """Yield (path as a tuple of names, dataset) of everything that lies in the file itself.

    Parameters
    ----------
    file : str
        For messages.
    group : h5py.Group
        Where to begin.
    skip : tuple of str
        Names in `group` that are not looked into.

    Raises
    ------
    WeightsError
        A link leads elsewhere, or there are more members or levels than any weight file has.
    """
    import h5py

    count = 0
    todo = [((), group)]
    while todo:
        names, parent = todo.pop()
        if len(names) > MAX_DEPTH:
            raise WeightsError(file, f"has groups within groups more than {MAX_DEPTH} deep")
        groups = []
        for name in parent:
            if not names and name in skip:
                continue
            count += 1
            if count > MAX_MEMBERS:
                raise WeightsError(file, f"has more than {MAX_MEMBERS} members")
            where = (*names, name)
            if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
                raise WeightsError(
                    file, f"{'/'.join(where)} is a link, expected data", "links are not followed"
                )
            member = parent[name]
            if isinstance(member, h5py.Dataset):
                yield where, member
            elif isinstance(member, h5py.Group):
                groups.append((where, member))
        todo += reversed(groups)  # the first one is next


def has_group(group: h5py.Group, name: str) -> bool:
    """Say whether `name` is a group in the file itself, without following a link."""
    import h5py

    # `name in group` would open the file that an external link points to.
    return isinstance(group.get(name, getlink=True), h5py.HardLink) and isinstance(group[name], h5py.Group)


def attribute(node: h5py.Group, name: str, max_items: int = 16) -> object | None:
    """Return an attribute's value if it is there, a string or a few numbers; None otherwise."""
    import h5py

    if name not in node.attrs:
        return None
    found = node.attrs.get_id(name)
    if math.prod(found.shape) > max_items:
        return None
    if found.dtype.kind not in "fiuS" and h5py.check_string_dtype(found.dtype) is None:
        return None
    value = node.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def check_dataset(file: str, name: str, dataset: h5py.Dataset) -> None:
    """Raise `WeightsError` unless the dataset holds floats, all of them in this file, as many as it declares.

    Call it after the shape has been found right: then reading allocates no more than was expected.
    """
    kind = dataset.dtype
    if kind.kind != "f" or kind.itemsize > 8:
        raise WeightsError(file, f"{name} holds {kind}, expected float16, float32 or float64")
    if dataset.external or dataset.is_virtual:
        raise WeightsError(file, f"{name} keeps its data in another file", "such files are not followed")
    size = math.prod(dataset.shape) * kind.itemsize
    if dataset.chunks is None:
        if dataset.id.get_storage_size() < size:
            raise WeightsError(
                file, f"{name} declares {size} bytes, {dataset.id.get_storage_size()} are there"
            )
        return
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if not set(filters) <= set(FILTERS) or filters.count(1) > 1:
        names = ", ".join(FILTERS.get(number, f"filter {number}") for number in filters)
        raise WeightsError(
            file, f"{name} is packed by {names}", f"what is read: {', '.join(FILTERS.values())}"
        )
    chunk_size = math.prod(dataset.chunks) * kind.itemsize
    if chunk_size > max(MAX_CHUNK, size):
        raise WeightsError(file, f"{name} declares chunks of {chunk_size} bytes for {size} bytes of data")
    stored = []
    dataset.id.chunk_iter(stored.append)
    expected = math.prod(math.ceil(n / chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    if len(stored) != expected:
        raise WeightsError(file, f"{name} has {len(stored)} of its {expected} chunks")
    for chunk in stored:
        if 1 not in filters or chunk.size <= CHECKED_CHUNK or chunk.filter_mask:
            continue
        _, packed = dataset.id.read_direct_chunk(chunk.chunk_offset)
        # Four bytes more where fletcher32's sum was packed along with the data.
        if len(zlib.decompressobj().decompress(packed, chunk_size + 5)) > chunk_size + 4:
            raise WeightsError(file, f"{name} unpacks to more than the {chunk_size} bytes that it declares")


def read_dataset(dataset: h5py.Dataset, dtype: np.dtype) -> np.ndarray:
    """Return the values as a contiguous array of `dtype` in the machine's byte order."""
    # A float64 that float32 cannot hold becomes infinite, which `check_finite` reports.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(dataset[()], dtype=dtype)
