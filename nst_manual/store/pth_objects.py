"""What PyTorch's pickles are made of: storages, and tensors that are views of them.

A tensor is pickled as the call ``_rebuild_tensor_v2(storage, offset, shape, stride, ...)``, and its storage
as a reference to ``("storage", FloatStorage, key, "cpu", number of elements)``; where the file keeps the
elements that belong to the key, the form of the file (zip or legacy) says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.unpickle import HINT, Global, Unpickler

MAX_RANK = 32  # axes of a tensor

# The type of a storage's elements, by the name of its class, without the byte order; bfloat16 is the upper
# half of a float32, read as an integer.
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


@dataclass(frozen=True, slots=True)
class Storage:
    """Elements in a row: `count` from `start` on, of the `total` that are stored under `key`.

    Attributes
    ----------
    key : str
    kind : str
        Name of the class, in `STORAGES`.
    total, start, count : int
        In elements. Before PyTorch 0.4 a storage could be a part (a view) of another.
    """

    key: str
    kind: str
    total: int
    start: int
    count: int

    @property
    def nbytes(self) -> int:
        """Bytes of the whole."""
        return self.total * np.dtype(STORAGES[self.kind]).itemsize


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A tensor as the pickle describes it: element (i, j, ...) is storage[offset + i*stride[0] + ...].

    All in elements, checked: no element lies outside the storage, and there are not more than it has.
    `extent` counts from the first element to the last, both included.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    extent: int


class Span(NamedTuple):
    """Where a storage lies in the file, in bytes, and its CRC-32 if the file has one."""

    offset: int
    nbytes: int
    crc: int | None


class Content(NamedTuple):
    """What both forms of the file come to; `order` is "<" or ">"."""

    form: str
    root: Any
    spans: Mapping[str, Span]
    order: str
    warnings: tuple[str, ...]


class TensorUnpickler(Unpickler):
    """Knows tensors, and a few things of no use for weights that checkpoints have beside them.

    Attributes
    ----------
    storages : dict
        Key -> the first `Storage` seen under it.
    """

    values = frozenset(STORAGES)
    names = frozenset(("torch", name) for name in STORAGES) | {
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        # What these would make is a tuple or, here, None.
        ("torch", "Size"),
        ("torch", "device"),
        ("torch.serialization", "_get_layout"),
    }

    def __init__(self, stream: BinaryIO, file: str, size: int) -> None:
        super().__init__(stream, file, size)
        self.storages: dict[str, Storage] = {}

    def outside(self, found: Any) -> Storage:
        """Return the storage that a persistent id stands for."""
        if type(found) is not tuple or len(found) not in (5, 6) or found[0] != "storage":
            raise self.damaged("its pickle refers to something outside that is no storage")
        _, kind, key, _, total, *view = found
        if type(kind) is not Global:
            raise self.damaged("its pickle has a storage of no known type")
        if type(key) is not str or not (key.isascii() and key.isalnum() and len(key) <= 64):
            raise self.damaged("its pickle has a storage whose key is not a number")
        start, count = 0, total
        if view and view[0] is not None:
            if type(view[0]) is not tuple or len(view[0]) != 3:
                raise self.damaged("its pickle has a view of a storage that makes no sense")
            _, start, count = view[0]
        if not all(map(_is_count, (total, start, count))) or start + count > total:
            raise self.damaged(f"its pickle has a storage {key!r} of no sensible size")
        storage = Storage(key, kind.name, total, start, count)
        first = self.storages.setdefault(key, storage)
        if (first.kind, first.total) != (storage.kind, storage.total):
            raise self.damaged(f"its pickle describes the storage {key!r} in two ways")
        return storage

    def call(self, name: str, args: tuple) -> Any:
        """Return what a call would have made."""
        count = len(args)
        if name == "OrderedDict" and (not args or count == 1 and type(args[0]) is list):
            return self.ordered_dict(args[0] if args else [])
        if name == "_rebuild_tensor" and count == 4:
            return self.tensor(*args)
        if name == "_rebuild_tensor_v2" and count in (6, 7):
            # The seventh may say that the values are stored with the other sign.
            if count == 7 and args[6] is not None and args[6] != {}:
                raise WeightsError(self.file, "has a tensor with properties that are not known", HINT)
            return self.tensor(*args[:4])
        if name == "_rebuild_parameter" and count == 3 and type(args[0]) is Rebuilt:
            return args[0]
        if name == "Size" and count == 1 and type(args[0]) is tuple:
            return args[0]
        if name in ("device", "_get_layout"):
            return None
        raise self.damaged(f"its pickle calls {name} with arguments that it does not take")

    def ordered_dict(self, pairs: list[Any]) -> dict:
        """Return the dictionary that Python 2 wrote as pairs; Python 3 makes an empty one first."""
        self.pay(len(pairs))
        if any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
            raise self.damaged("its pickle has a dictionary made of something else than pairs")
        result = {}
        self.fill(result, pairs)
        return result

    def tensor(self, storage: Any, offset: Any, shape: Any, stride: Any) -> Rebuilt:
        """Check a tensor against its storage, before anything is allocated."""
        if type(storage) is not Storage or type(shape) is not tuple or type(stride) is not tuple:
            raise self.damaged("its pickle has a tensor without storage, shape or strides")
        if len(shape) != len(stride) or len(shape) > MAX_RANK:
            raise self.damaged("its pickle has a tensor whose shape and strides do not fit together")
        self.pay(len(shape))
        if not all(map(_is_count, (offset, *shape, *stride))):
            raise self.damaged("its pickle has a tensor with a shape or strides that are no natural numbers")
        size, extent, nonzero = 1, 1, 1
        for n, step in zip(shape, stride, strict=True):
            size, nonzero = size * n, nonzero * max(n, 1)
            extent += max(n - 1, 0) * step
        extent = extent if size else 0
        # A stride of 0 would make any shape of one element. NumPy refuses even empty arrays with long axes.
        if size > storage.count or offset + extent > storage.count or (not size and nonzero >= 1 << 40):
            described = f"shape {str(shape)[:80]} with strides {str(stride)[:80]} from {offset}"
            raise WeightsError(
                self.file, f"has a tensor of {described} in a storage of {storage.count} elements"
            )
        return Rebuilt(storage, offset, shape, stride, extent)


def _is_count(value: Any) -> bool:
    # Python's True is an integer too; longer numbers would make longer sums, and messages.
    return type(value) is int and 0 <= value < 1 << 60
