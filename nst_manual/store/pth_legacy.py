"""PyTorch's files before 1.6: pickles one after another, then the raw data.

    pickle    the number 0x1950a86a20f9469cfc6c
    pickle    the number 1001, the version of the form
    pickle    {"protocol_version": 1001, "little_endian": True, "type_sizes": {...}}
    pickle    the object; its storages are ("storage", FloatStorage, key, "cpu", count, None)
    pickle    [key, key, ...]
    then for each key in that order
      8 bytes   number of elements
      the elements, little-endian on every machine

The last of the six, if it is not None, is ``(key of the view, start, count)``: a part of the storage. A
machine with big-endian numbers has always turned the elements into little-endian ones, but only later
versions the number before them too; so from there that number may be either.
"""

from __future__ import annotations

from typing import BinaryIO

from nst_manual.errors import WeightsError
from nst_manual.store.pth_objects import Content, Span, TensorUnpickler

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


def is_legacy(head: bytes) -> bool:
    """Say whether this begins like a pickle of protocol 2 to 5, PyTorch's or not."""
    if head[:1] != b"\x80" or head[1:2] not in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return False
    # A safetensors file begins with a length in 8 bytes, and then a brace.
    return head[3:9] != b"\0\0\0\0\0{"


def read_legacy(file: str, stream: BinaryIO, size: int) -> Content:
    """Return what the file holds, from its start; no data is read.

    Raises
    ------
    WeightsError
        It is damaged or truncated, no file of PyTorch's, or refers to anything but tensors.
    """
    stream.seek(0)
    machine = TensorUnpickler(stream, file, size)
    if machine.load() != MAGIC:
        raise WeightsError(file, "is a pickle, but not one of PyTorch's")
    version = machine.load()
    if type(version) is not int or version != VERSION:
        raise machine.damaged("its version is not 1001")
    system = machine.load()
    if type(system) is not dict or type(system.get("little_endian")) is not bool:
        raise machine.damaged("it does not say which machine wrote it")
    root = machine.load()
    keys = machine.load()
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise machine.damaged("it has no list of storages")
    if len(set(keys)) != len(keys) or set(keys) != set(machine.storages):
        raise machine.damaged("its list of storages is not that of its tensors")
    spans = {}
    where = stream.tell()
    for key in keys:
        storage = machine.storages[key]
        stream.seek(where)
        count = stream.read(8)
        orders = ["little"] if system["little_endian"] else ["little", "big"]
        if len(count) < 8 or storage.total not in [int.from_bytes(count, order) for order in orders]:
            raise machine.damaged(f"the storage {key!r} has not the {storage.total} elements declared")
        spans[key] = Span(where + 8, storage.nbytes, None)
        where += 8 + storage.nbytes
        if where > size:
            raise machine.damaged(f"the storage {key!r} declares {storage.nbytes} bytes, it ends before")
    if where != size:
        raise machine.damaged(f"it has {size - where} bytes after the last storage")
    return Content("PyTorch (legacy)", root, spans, "<", ())
