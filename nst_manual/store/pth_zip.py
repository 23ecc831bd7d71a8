"""PyTorch's files since 1.6: a zip archive, nothing in it compressed.

    NAME/data.pkl      the pickle; its storages are ("storage", FloatStorage, "0", "cpu", count)
    NAME/data/0        the elements of storage "0"
    NAME/data/1        ...
    NAME/byteorder     "little" or "big", since 2.1
    NAME/version       "3\\n"

A zip archive ends with a directory, which has for each member its name, size, CRC-32 and offset. At the
offset stand 30 bytes, of which the last four are the lengths of the name and of the padding that follow; then
comes the data. Nothing is unpacked to disk, so a member's name can do no harm. The CRC-32 is checked when a
tensor is read (`torch.load` does not); they are all 0 in files that were written without.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from nst_manual.errors import WeightsError
from nst_manual.store.damage import damage
from nst_manual.store.pth_objects import Content, Span, TensorUnpickler
from nst_manual.store.unpickle import MAX_BYTES

MAX_READ = 4 << 20  # bytes of the directory: 50000 tensors, and 60 MB of memory
ZIP = b"PK\x03\x04"


class _Guarded(io.FileIO):
    """A file of which `zipfile` cannot read more at once than a directory should have."""

    def read(self, size: int = -1) -> bytes:
        left = max(os.fstat(self.fileno()).st_size - self.tell(), 0)
        if max(size, left if size < 0 else 0) > MAX_READ:
            raise zipfile.BadZipFile(f"its directory has more than {MAX_READ} bytes")
        return super().read(left if size < 0 else min(size, left))


def members(path: Path) -> list[zipfile.ZipInfo]:
    """Return the directory of a zip archive.

    Raises
    ------
    WeightsError
        There is none, or it is damaged.
    """
    with damage(str(path)), _Guarded(path, "rb") as stream, zipfile.ZipFile(stream) as archive:
        return archive.infolist()


def is_pytorch_zip(path: Path) -> bool:
    """Say whether a zip archive is PyTorch's, by the names in it; never raises `WeightsError`.

    Without a directory (it was cut) the first member's name decides.
    """
    try:
        names = [info.filename for info in members(path)]
    except WeightsError:
        try:
            with path.open("rb") as stream:
                head = stream.read(1024)
        except OSError:
            return False
        length = int.from_bytes(head[26:28], "little")
        names = [head[30 : 30 + length].decode("utf-8", "replace")] if head.startswith(ZIP) else []
    return any(name.rpartition("/")[2] in ("data.pkl", "constants.pkl") for name in names)


def read_zip(file: str, stream: BinaryIO, size: int) -> Content:
    """Return what the archive holds; of the data nothing is read but the pickle.

    Raises
    ------
    WeightsError
        It is damaged or truncated, packed, no archive of PyTorch's, or refers to anything but tensors.
    """
    infos = members(Path(file))
    names = {info.filename: info for info in infos}
    if len(names) != len(infos):
        raise WeightsError(file, "has two members of the same name")
    pickles = [name for name in names if name.rpartition("/")[2] == "data.pkl"]
    if any(name.rpartition("/")[2] == "constants.pkl" or "/code/" in f"/{name}" for name in names):
        raise WeightsError(
            file, "is a TorchScript archive, expected weights", "save model.state_dict() of the module"
        )
    if len(pickles) != 1:
        raise WeightsError(file, "is a zip archive, but not one of PyTorch's", "it has no data.pkl")
    prefix = pickles[0].removesuffix("data.pkl")
    summed = any(info.CRC for info in infos)
    spans = {
        name: _span(file, stream, size, info, summed)
        for name, info in names.items()
        if name in (pickles[0], f"{prefix}byteorder") or name.startswith(f"{prefix}data/")
    }
    program = spans[pickles[0]]
    if program.nbytes > MAX_BYTES:
        raise WeightsError(file, f"its pickle has {program.nbytes} bytes, expected at most {MAX_BYTES}")
    machine = TensorUnpickler(io.BytesIO(_read(file, stream, program, "data.pkl")), file, program.nbytes)
    root = machine.load()
    if machine.left:
        raise machine.damaged(f"it has {machine.left} bytes after its pickle")
    order = "<"
    if (found := spans.get(f"{prefix}byteorder")) is not None:
        text = _read(file, stream, found, "byteorder") if found.nbytes <= 16 else None
        if text not in (b"little", b"big"):
            raise WeightsError(file, "damaged, its byte order is neither little nor big", "fetch it again")
        order = "<" if text == b"little" else ">"
    storages = {}
    for key, storage in machine.storages.items():
        span = spans.get(f"{prefix}data/{key}")
        if span is None:
            raise WeightsError(file, f"has no member data/{key}, which a tensor needs", "fetch it again")
        if span.nbytes != storage.nbytes:
            raise WeightsError(
                file, f"its storage {key!r} declares {storage.nbytes} bytes, {span.nbytes} are there"
            )
        storages[key] = span
    warnings = () if summed else (f"{file}: has no checksums inside",)
    return Content("PyTorch (zip)", root, storages, order, warnings)


def _span(file: str, stream: BinaryIO, size: int, info: zipfile.ZipInfo, summed: bool) -> Span:
    """Return where the bytes of a member lie, after making sure that they lie in the file as they are."""
    name = info.filename[-80:]
    if info.flag_bits & 0x41:
        raise WeightsError(file, f"its member {name!r} is encrypted")
    if info.compress_type != zipfile.ZIP_STORED:
        raise WeightsError(
            file, f"its member {name!r} is compressed, which PyTorch never does", "unpack and zip it with -0"
        )
    head = b""
    if 0 <= info.header_offset < size:
        stream.seek(info.header_offset)
        head = stream.read(30)
    if len(head) < 30 or not head.startswith(ZIP):
        raise WeightsError(file, f"damaged, its member {name!r} is not where it should be", "fetch it again")
    lengths = struct.unpack("<HH", head[26:])
    encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"
    start = info.header_offset + 30 + sum(lengths)
    if stream.read(lengths[0]) != info.orig_filename.encode(encoding, "replace"):
        raise WeightsError(file, f"damaged, the member at {name!r} has another name", "fetch it again")
    if info.compress_size != info.file_size or start + info.file_size > size:
        raise WeightsError(
            file,
            f"damaged or truncated, its member {name!r} declares {info.file_size} bytes",
            "fetch it again",
        )
    return Span(start, info.file_size, info.CRC if summed else None)


def _read(file: str, stream: BinaryIO, span: Span, name: str) -> bytes:
    """Return the bytes of a small member."""
    stream.seek(span.offset)
    data = stream.read(span.nbytes)
    if span.crc is not None and zlib.crc32(data) != span.crc:
        raise WeightsError(file, f"checksum mismatch inside the file, in {name}", "fetch it again")
    return data
