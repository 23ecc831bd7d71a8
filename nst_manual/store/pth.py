"""PyTorch's `.pth` and `.pt` files: a state dict, or a checkpoint that has one, without PyTorch.

Two forms, `pth_zip` and `pth_legacy`, of the same thing: a pickle that describes tensors as views of
storages (`pth_objects`, `unpickle`), and the storages as raw elements. Kernels are (out, in, kh, kw),
matrices (out, in). The pickle is a dictionary:

    {"features.0.weight": tensor, "features.0.bias": tensor, ...}                  a state dict
    {"epoch": 90, "state_dict": {"module.features.0.weight": tensor, ...}, ...}    a checkpoint

Left out are tensors of bool, which are masks and never weights. A file in which a whole module was pickled
(``torch.save(model)``) refers to its classes, and is refused like everything else that would have to be
executed.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nst_manual.errors import NstError, ResourceError, WeightsError
from nst_manual.store.archive import Archive, Tensor
from nst_manual.store.pth_legacy import is_legacy, read_legacy
from nst_manual.store.pth_objects import STORAGES, Content, Rebuilt, Span
from nst_manual.store.pth_zip import ZIP, is_pytorch_zip, read_zip
from nst_manual.store.unpickle import HINT

__all__ = ["is_pytorch_zip", "matches", "open_archive"]

MAX_NAME = 300  # characters of a tensor's name
BLOCK = 1 << 20

# Where checkpoints keep the network, the first that is there; beside it may lie an optimizer's tensors.
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "params",
    "weights",
)
# Put before every name by DataParallel, torch.compile, and modules around the network.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
# The names in a tar file, the form before PyTorch 0.1.10.
_TAR_NAMES = (b"sys_info\0", b"pickle\0", b"tensors\0", b"storages\0")


def matches(head: bytes) -> bool:
    """Say whether a file that begins so may be PyTorch's; of a zip archive `is_pytorch_zip` knows more."""
    return head.startswith(ZIP) or is_legacy(head) or _is_tar(head)


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar" and head.removeprefix(b"./").startswith(_TAR_NAMES)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a file; its tensors can be read inside the block.

    Raises
    ------
    WeightsError
        It is damaged or truncated, has no tensors, or refers to anything but tensors; nothing was executed.
    ResourceError
        There is not enough memory.
    """
    file = str(path)
    with contextlib.ExitStack() as stack:
        with _faults(file):
            stream = stack.enter_context(path.open("rb"))
            content = _read_content(file, stream)
            found, warnings = _choose(file, content.root)
            sound: set[str] = set()
            tensors = {
                name: _tensor(file, stream, content, name, tensor, sound)
                for name, tensor in found.items()
                if tensor.storage.kind != "BoolStorage"
            }
        yield Archive(content.form, tensors, warnings=(*content.warnings, *warnings))


@contextlib.contextmanager
def _faults(file: str) -> Iterator[None]:
    try:
        yield
    except NstError:
        raise
    except MemoryError as error:
        raise ResourceError(file, "does not fit into memory") from error
    except OSError as error:
        raise WeightsError(file, f"cannot be read, {error.strerror or error}") from error
    except (ValueError, OverflowError) as error:
        # All is checked before it is used; should a number slip through, it is the file's fault.
        text = " ".join(str(error).split())[:200]
        raise WeightsError(file, f"damaged, {text}", "fetch it again") from error


def _read_content(file: str, stream: BinaryIO) -> Content:
    head = stream.read(4096)
    size = os.fstat(stream.fileno()).st_size
    if head.startswith(ZIP):
        return read_zip(file, stream, size)
    if is_legacy(head):
        return read_legacy(file, stream, size)
    if _is_tar(head):
        raise WeightsError(
            file,
            "is a tar archive of PyTorch before 0.1.10, which is not read",
            "load and save it with a newer PyTorch",
        )
    if not head:
        raise WeightsError(file, "is empty")
    raise WeightsError(file, "is not a file of PyTorch's", f"it begins with {head[:8]!r}")


def _choose(file: str, root: Any) -> tuple[dict[str, Rebuilt], list[str]]:
    """Return the tensors of the network by their names, and warnings."""
    path, seen = [], {}
    # A pickle may contain itself; no checkpoint has more than three levels.
    for _ in range(4):
        if type(root) is not dict:
            raise WeightsError(file, f"holds a {type(root).__name__}, expected tensors by their names", HINT)
        inner = [key for key, value in root.items() if type(value) is dict and _has_tensors(value, 2, seen)]
        direct = _has_tensors(root, 0, seen)
        known = [key for key in WRAPPERS if key in inner]
        if known:
            key = known[0]
        elif direct and not inner:
            break
        elif len(inner) == 1 and not direct:
            key = inner[0]
        elif inner:
            # One is perhaps the network, another an optimizer or an average: taking either is a guess.
            names = ", ".join(["at the top"] * direct + [repr(key)[:40] for key in inner[:6]])
            raise WeightsError(file, f"has several sets of tensors: {names}", "save one of them alone")
        else:
            raise WeightsError(file, "has no tensors", HINT)
        path.append(repr(key)[:40])
        root = root[key]
    tensors = {name: value for name, value in root.items() if type(value) is Rebuilt}
    if not tensors:
        raise WeightsError(file, "has no tensors", HINT)
    for name in tensors:
        if type(name) is not str or not name.isprintable() or not 0 < len(name) <= MAX_NAME:
            raise WeightsError(file, f"has a tensor under {repr(name)[:80]}, expected a name")
    while prefix := next(
        (p for p in PREFIXES if all(len(n) > len(p) and n.startswith(p) for n in tensors)), 0
    ):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors, [f"{file}: is a checkpoint, of which {' / '.join(path)} is taken"] if path else []


def _has_tensors(values: dict, levels: int, known: dict[tuple[int, int], bool]) -> bool:
    """Say whether there are tensors in a dictionary, or in those in it, so many levels down.

    Each dictionary is looked at once: thousands of names may share one that has thousands of names.
    """
    key = (id(values), levels)
    if key not in known:
        known[key] = any(
            type(value) is Rebuilt
            or (levels > 0 and type(value) is dict and _has_tensors(value, levels - 1, known))
            for value in values.values()
        )
    return known[key]


def _tensor(
    file: str, stream: BinaryIO, content: Content, name: str, tensor: Rebuilt, sound: set[str]
) -> Tensor:
    storage = tensor.storage
    stored = np.dtype(content.order + STORAGES[storage.kind])
    bfloat16 = storage.kind == "BFloat16Storage"
    dtype = np.dtype("f4") if bfloat16 else stored.newbyteorder("=")
    span = content.spans[storage.key]

    def read() -> np.ndarray:
        with _faults(file):
            if not tensor.extent:
                return np.empty(tensor.shape, dtype)
            flat = np.empty(tensor.extent, stored)
            stream.seek(span.offset + (storage.start + tensor.offset) * stored.itemsize)
            raw = memoryview(flat).cast("B")
            if stream.readinto(raw) != flat.nbytes:
                raise WeightsError(file, f"truncated, {name} ends before its last value", "fetch it again")
            # The sum is that of the whole storage, of which several tensors may be parts.
            if span.crc is not None and storage.key not in sound:
                crc = zlib.crc32(raw) if flat.nbytes == span.nbytes else _crc(stream, span)
                if crc != span.crc:
                    raise WeightsError(
                        file, f"checksum mismatch inside the file, in {name}", "fetch it again"
                    )
                sound.add(storage.key)
            if bfloat16:
                flat = (flat.astype("u4") << 16).view("f4")
            # Strides of axes of one element mean nothing, and may be anything.
            steps = zip(tensor.shape, tensor.stride, strict=True)
            strides = [step * flat.itemsize if n > 1 else 0 for n, step in steps]
            strided = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides)
            return np.asarray(strided, dtype, order="C")

    return Tensor(tensor.shape, dtype, read)


def _crc(stream: BinaryIO, span: Span) -> int:
    """Return the CRC-32 of a storage, read a block at a time."""
    crc, left = 0, span.nbytes
    stream.seek(span.offset)
    while left and (block := stream.read(min(left, BLOCK))):
        crc = zlib.crc32(block, crc)
        left -= len(block)
    return crc
