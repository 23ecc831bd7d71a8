"""Read ONNX's messages inside a graph: operations, their attributes, and arrays; the schema of all messages.

    NodeProto       input = 1   output = 2   name = 3   op_type = 4   attribute = 5   domain = 7
    AttributeProto  name = 1   f = 2   i = 3   t = 5   ints = 8
    TensorProto     dims = 1   data_type = 2   name = 8   raw_data = 9, or one of the typed fields
                    float_data = 4   int32_data = 5   int64_data = 7   double_data = 10   uint64_data = 11

    08 40  08 03  08 03  08 03  10 01  42 08 "0.weight"  4a 80 36 <6912 bytes>     (64, 3, 3, 3), float32

A field that the schema has, but of another wire type, is damage. So is one that it has not, if `strict`: the
file is of a version that the schema describes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.archive import Tensor
from nst_manual.store.protobuf import (
    FIXED32,
    FIXED64,
    LENGTH,
    MAX_AXES,
    VARINT,
    Field,
    Message,
    Numbers,
    Source,
    checked_shape,
    shown,
)

# The numbers of the fields of each wire type.
SCHEMA = {
    "ModelProto": {VARINT: (1, 5), LENGTH: (2, 3, 4, 6, 7, 8, 14, 20, 25, 26)},
    "GraphProto": {LENGTH: (1, 2, 5, 10, 11, 12, 13, 14, 15, 16)},
    "NodeProto": {LENGTH: tuple(range(1, 11))},
    "ValueInfoProto": {LENGTH: (1, 2, 3, 4)},
    "SparseTensorProto": {VARINT: (3,), LENGTH: (1, 2, 3)},
    "AttributeProto": {
        VARINT: (3, 8, 20),
        LENGTH: (1, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 21, 22, 23),
        FIXED32: (2, 7),
    },
    "TensorProto": {
        VARINT: (1, 2, 5, 7, 11, 14),
        LENGTH: (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16),
        FIXED32: (4,),
        FIXED64: (10,),
    },
}

# data_type -> (type of the values, field that has them where raw_data has not). Not among them, and left
# out, since no weight of ours is any of these: string 8, bool 9, complex 14 and 15, and from 17 on floats and
# integers of 8 bits and less. An operation that takes such a one as its weight is refused.
_TYPES = {
    1: ("<f4", 4),
    2: ("u1", 5),
    3: ("i1", 5),
    4: ("<u2", 5),
    5: ("<i2", 5),
    6: ("<i4", 5),
    7: ("<i8", 7),
    10: ("<f2", 5),
    11: ("<f8", 10),
    12: ("<u4", 11),
    13: ("<u8", 11),
    16: ("<u2", 5),
}
_BFLOAT16 = 16  # the upper half of a float32


def check_field(item: Field, kind: str, strict: bool) -> None:
    """Raise `WeightsError` if a message of this kind has no such field."""
    wires = [wire for wire, numbers in SCHEMA[kind].items() if item.number in numbers]
    if (wires or strict) and item.wire not in wires:
        raise item.source.damaged(
            f"{kind} has no field {item.number} of type {item.wire}, at byte {item.start}"
        )


def checked_fields(message: Message, kind: str, strict: bool) -> Iterator[Field]:
    """Yield the fields of a message of this kind, each of them checked."""
    for item in message.fields():
        check_field(item, kind, strict)
        yield item


def text_of(message: Message, kind: str, number: int, strict: bool) -> str:
    """Return the text of one field, "" if it is not there; what lies behind it is not looked at."""
    found = (item.text() for item in checked_fields(message, kind, strict) if item.number == number)
    return next(found, "")


@dataclass(slots=True)
class Op:
    """An operation: a NodeProto, whose attributes are read when they are asked for."""

    op: str = ""
    name: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: list[Message] = field(default_factory=list)

    def input(self, index: int) -> str:
        """Return the name of what it takes there; "" if nothing."""
        return self.inputs[index] if index < len(self.inputs) else ""


def read_op(message: Message, strict: bool) -> Op:
    """Return the operation in a NodeProto; one without a name gets that of its first output."""
    op = Op()
    for item in checked_fields(message, "NodeProto", strict):
        match item.number:
            case 1:
                op.inputs.append(item.text())
            case 2:
                op.outputs.append(item.text())
            case 3:
                op.name = item.text()
            case 4:
                op.op = item.text()
            case 5:
                op.attributes.append(item.message())
            case 7:
                op.domain = item.text()
    if not op.op or not op.outputs:
        raise message.source.damaged(f"the node at byte {message.start} lacks an operation or an output")
    op.name = op.name or op.outputs[0]
    return op


def read_attributes(op: Op, strict: bool) -> dict[str, float | list[int] | Message]:
    """Return name -> value: a float, integers, or the message of an array; [] for what is none of these."""
    found: dict[str, float | list[int] | Message] = {}
    for message in op.attributes:
        name, value, ints = "", None, []
        for item in checked_fields(message, "AttributeProto", strict):
            match item.number:
                case 1:
                    name = item.text()
                case 2:
                    value = item.float32()
                case 3 | 8:
                    ints += item.integers()
                    if len(ints) > MAX_AXES:
                        cause = f"{shown(op.name)} has {len(ints)} numbers in an attribute"
                        raise message.source.damaged(cause)
                case 5:
                    value = item.message()
        found[name] = ints if value is None else value
    return found


def read_tensor(message: Message, strict: bool) -> tuple[str, Tensor | str]:
    """Return the name and the array in a TensorProto; instead of the array a text if it is no weight: why."""
    source = message.source
    name, dims, kind, raw, elsewhere, segment = "", [], 0, None, False, False
    typed = {4: Numbers("<f4"), 5: Numbers(None), 7: Numbers(None), 10: Numbers("<f8"), 11: Numbers(None)}
    for item in checked_fields(message, "TensorProto", strict):
        match item.number:
            case 1:
                dims += item.integers()
                if len(dims) > MAX_AXES:
                    raise source.damaged(f"an array at byte {message.start} has {len(dims)} axes")
            case 2:
                kind = item.integer()
            case 3:
                segment = True
            case 8:
                name = item.text()
            case 9:
                raw = item
            case 13:
                elsewhere = True
            case 14:
                elsewhere = elsewhere or item.value != 0
            case number if number in typed:
                typed[number].add(item)
    if elsewhere:
        raise WeightsError(
            source.file, f"{shown(name)} keeps its data in another file", "such files are not followed"
        )
    if kind not in _TYPES or segment:
        return name, "is in segments" if segment else f"is of ONNX's data type {kind}"
    numbers = _choose(source, name, kind, raw, typed)
    shape = checked_shape(source, name, dims, numbers.count)
    stored = np.dtype(_TYPES[kind][0]).newbyteorder("=")

    def read() -> np.ndarray:
        array = numbers.read()
        if numbers.dtype is None:
            array = _narrow(source, name, array, stored)
        if kind == _BFLOAT16:
            array = (array.astype(np.uint32) << 16).view(np.float32)
        return array.reshape(shape)

    return name, Tensor(shape, np.dtype(np.float32) if kind == _BFLOAT16 else stored, read)


def _choose(source: Source, name: str, kind: int, raw: Field | None, typed: dict[int, Numbers]) -> Numbers:
    """Return where the values are: in raw_data or in the field of their type, and not in two of them."""
    stored, number = _TYPES[kind]
    filled = [n for n, numbers in typed.items() if numbers.count]
    in_raw = raw is not None and raw.end > raw.start
    if filled not in ([], [number]) or filled and in_raw:
        raise source.damaged(f"{shown(name)} of data type {kind} has its values in fields {filled}")
    if filled or raw is None:
        return typed[number]
    numbers = Numbers(stored)
    numbers.add(raw)
    return numbers


def _narrow(source: Source, name: str, array: np.ndarray, stored: np.dtype) -> np.ndarray:
    """Return the int64 that varints give as the type they stand for; float16 stands there by its bits."""
    if stored == np.uint64:
        return array.view(np.uint64)
    whole = np.dtype(np.uint16) if stored == np.float16 else stored
    narrow = array.astype(whole)
    if (narrow != array).any():
        raise source.damaged(f"{shown(name)} holds numbers that are out of the range of {whole}")
    return narrow.view(stored)
