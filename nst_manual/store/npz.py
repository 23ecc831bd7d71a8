"""Read .npz files: a zip of .npy members, one an array, as numpy.savez and numpy.savez_compressed write it.

A member, unpacked:

    offset     bytes
    0          6      93 4E 55 4D 50 59: \\x93NUMPY
    6          2      the version, 1 0 or 2 0
    8          2      N, the length of what follows, little-endian; 4 bytes in version 2
    10         N      a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (64, 3, 3, 3), }
    10 + N            the values, in C order, or the first axis fastest if fortran_order

The member's name without .npy is the tensor's. Members order, mean, scale and std, small ones, say what input
the network expects (see `nst_manual.store.said`). An array of Python objects is a pickle, which runs code
when it is read: it is refused. Nothing is written anywhere, so a member may be called ../x.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.nets.preprocessing import Preprocessing
from nst_manual.store.archive import Archive, Tensor
from nst_manual.store.damage import damage
from nst_manual.store.said import NAMES, said_preprocessing

ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # with members, without
NPY = b"\x93NUMPY"
MAX_HEADER = 10_000  # bytes of a member's header, NumPy's own limit
MAX_RATIO = 1032  # deflate packs at most so many bytes into one
MAX_MEMBERS = 20_000
MAX_AXES = 32
MAX_SAID = 2000  # bytes of a member that says something about the input
PIECE = 1 << 20


def matches(head: bytes) -> bool:
    """Say whether a file that begins with `head` is a zip, or a single .npy (which is refused)."""
    return head.startswith((*ZIP, NPY))


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a file; its tensors can be read inside the block.

    Parameters
    ----------
    path : Path

    Yields
    ------
    Archive
        Of axes "OIHW"; the file does not say.

    Raises
    ------
    WeightsError
        It is damaged or truncated, unpacks to more than it declares, or has members that are not arrays of
        numbers; here or in `read`.
    ResourceError
        There is not enough memory.
    """
    file = str(path)
    with contextlib.ExitStack() as stack:
        with damage(file):
            _check_not_npy(file, path)
            opened = stack.enter_context(zipfile.ZipFile(path))
            members = _members(file, opened)
            tensors = {info.filename[:-4]: _tensor(file, opened, info) for info in members}
            preprocessing = _take_said(file, tensors)
            for name, tensor in tensors.items():
                if tensor.dtype.kind not in "fiu" or tensor.dtype.itemsize > 8:
                    raise WeightsError(
                        file, f"{name[:100]!r} holds {tensor.dtype}, expected floats or integers"
                    )
        # Keras's order of axes is as common in these files as PyTorch's
        yield Archive("NumPy .npz", tensors, axes="?", preprocessing=preprocessing)


def _check_not_npy(file: str, path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(6) == NPY:
            raise WeightsError(
                file, "is a single array (.npy), expected several with names", "save them by numpy.savez"
            )


def _members(file: str, opened: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members if each is a .npy, and none declares more than its packed bytes could give."""
    members = opened.infolist()
    if not members:
        raise WeightsError(file, "holds no arrays")
    if len(members) > MAX_MEMBERS:
        raise WeightsError(file, f"has more than {MAX_MEMBERS} members")
    if len({info.filename for info in members}) != len(members):
        raise WeightsError(file, "has two members of the same name")
    _check_gaps(file, opened, members)
    for info in members:
        what = repr(info.filename[:100])
        if not info.filename.endswith(".npy"):
            raise WeightsError(file, f"has a member {what}, expected .npy only")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WeightsError(file, f"{what} is encrypted or packed in another way than by deflate")
        ratio = MAX_RATIO if info.compress_type == zipfile.ZIP_DEFLATED else 1
        if info.file_size > ratio * info.compress_size:
            raise WeightsError(
                file, f"{what} declares {info.file_size} bytes, packed in {info.compress_size}: impossible"
            )
    return members


def _check_gaps(file: str, opened: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> None:
    """Raise `WeightsError` unless the members fill the file, one after another, up to the list of members.

    Otherwise some may have dropped out of a damaged list, or share their bytes.
    """
    expected = 0
    for info in sorted(members, key=lambda info: info.header_offset):
        # Up to 24 bytes, the sizes and the checksum again, may follow a member; a whole one has more.
        if not 0 <= info.header_offset - expected <= 24:
            break
        # What stands before the data: 30 bytes, the last four of them the lengths of two more parts.
        opened.fp.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", opened.fp.read(4))
        expected = info.header_offset + 30 + name + extra + info.compress_size
    else:
        if 0 <= opened.start_dir - expected <= 24:
            return
    raise WeightsError(file, "damaged or truncated, its list of members does not fit", "fetch it again")


def _tensor(file: str, opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Tensor:
    """Return the array in a member, of any type but objects, if its shape and its size agree."""
    what = repr(info.filename[:100])
    with opened.open(info) as member:
        head = io.BytesIO(member.read(12 + MAX_HEADER))
    shape, fortran, stored = _parse_header(file, what, head)
    start = head.tell()
    if stored.hasobject:
        raise WeightsError(file, f"{what} holds Python objects", "reading those would run code")
    if len(shape) > MAX_AXES or not all(type(n) is int and 0 <= n < 1 << 63 for n in shape):
        raise WeightsError(file, f"{what} has an unusable shape {str(shape)[:100]}")
    size = math.prod(shape) * stored.itemsize
    if size != info.file_size - start:
        raise WeightsError(
            file, f"{what} of shape {shape} needs {size} bytes, {info.file_size - start} are there"
        )
    dtype = stored.newbyteorder("=")

    def read() -> np.ndarray:
        with damage(file):
            data = bytearray()  # grows with what comes, not with what was declared
            with opened.open(info) as member:
                member.read(start)
                # One byte more than expected: at the end the checksum is compared.
                while piece := member.read(min(PIECE, size + 1 - len(data))):
                    data += piece
            if len(data) != size:
                raise EOFError(f"{what} has {len(data)} of {size} bytes")
            values = np.frombuffer(data, stored).reshape(shape, order="F" if fortran else "C")
            return np.ascontiguousarray(values, dtype).reshape(shape)  # a scalar became a vector

    return Tensor(shape, dtype, read)


def _parse_header(file: str, what: str, head: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return (shape, is in Fortran order, type), leaving `head` where the values begin."""
    # Version 3 is for fields whose names are not Latin; weights have no fields.
    parsers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(head)
        if version not in parsers:
            raise ValueError(f"version {version} is not read")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "required additional header parsing": Python 2 wrote it
            return parsers[version](head, max_header_size=MAX_HEADER)
    except Exception as error:
        # Whatever it is, MemoryError too: Python's parser says so of a literal that is nested too deeply.
        text = " ".join(str(error).split())[:100]
        raise WeightsError(file, f"damaged, {what} has no usable header, {text}", "fetch it again") from error


def _take_said(file: str, tensors: dict[str, Tensor]) -> Preprocessing | None:
    """Take what the file says about its input out of the tensors and return it."""
    # Without both of these, a tensor "scale" is one of the network's.
    if "order" not in tensors or "mean" not in tensors:
        return None
    values: dict[str, object] = {}
    for name in NAMES:
        if name in tensors:
            tensor = tensors.pop(name)
            if math.prod(tensor.shape) * tensor.dtype.itemsize > MAX_SAID or tensor.dtype.kind not in "fiuSU":
                raise WeightsError(
                    file, f"{name} has an unusable shape {tensor.shape} or type {tensor.dtype}"
                )
            value = tensor.read()
            values[name] = value
            if value.dtype.kind in "SU" and value.size == 1:
                text = value.item()
                values[name] = text.decode("latin1") if isinstance(text, bytes) else text
    return said_preprocessing(file, values)
