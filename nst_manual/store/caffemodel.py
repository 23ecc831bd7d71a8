"""Read Caffe's weight files, `.caffemodel`: the message NetParameter of its schema, a list of layers.

    NetParameter    name = 1   layers = 2 (until 2014)   input = 3   layer = 100 (since)
    layer = 100     name = 1   type = 2, "Convolution"   bottom = 3   top = 4   blobs = 7
    layers = 2      name = 4   type = 5   bottom = 2   top = 3   blobs = 6; type 4 is a convolution, 14 an
                    inner product; layer = 1 is the oldest form, name = 1, type = 2, blobs = 50 in there
    blob            num, channels, height, width = 1..4, or shape = 7 with dim = 1
                    data = 5, floats, or double_data = 8

    0a 04 "VGG_"  a2 06 <length>  0a 05 "conv1"  12 0b "Convolution"  3a <length>  2a <length> <float32s>

A kernel is (out, in / groups, kh, kw), the matrix of an inner product (out, in). A blob of the old kind
always has four axes: a matrix is (1, 1, out, in) there, a bias (1, 1, 1, out). Blob 0 is called
"conv1.weight" here, blob 1 "conv1.bias", further ones "conv1.2" and so on.

The format has no signature, no sums and no end mark. A file that was cut exactly between two layers is a
whole file with fewer layers: only those who know the network can tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.archive import Archive, Node, Tensor
from nst_manual.store.protobuf import (
    LENGTH,
    MAX_AXES,
    VARINT,
    Message,
    Numbers,
    checked_shape,
    open_message,
    shown,
    top_fields,
)

_OPS = {
    "Convolution": "Conv", "conv": "Conv", 4: "Conv",
    "InnerProduct": "Linear", "innerproduct": "Linear", 14: "Linear",
}  # fmt: skip
# Further types of layers that have weights; of any other one a warning says so.
_OTHERS = {"BatchNorm", "Scale", "Bias", "PReLU", "Deconvolution", 39, "Embed", "LSTM", "RNN", "Normalize"}
MAX_WARNINGS = 10
# Numbers of the fields: of a layer in its three forms, and of what is inside its parameters.
_NEW = {"name": 1, "type": 2, "bottom": 3, "top": 4, "blobs": 7, "Conv": 106, "Linear": 117}
_V1 = {"name": 4, "type": 5, "bottom": 2, "top": 3, "blobs": 6, "Conv": 10, "Linear": 17, "layer": 1}
_V0 = {"name": 1, "type": 2, "blobs": 50, "bias_term": 4}
_BIAS_TERM = 2
_TRANSPOSE = 6

# Types of the fields that may stand at the top of a file, for `matches`.
_TOP = {1: LENGTH, 2: LENGTH, 3: LENGTH, 5: VARINT, 6: LENGTH, 7: VARINT, 8: LENGTH, 100: LENGTH}


def matches(head: bytes) -> bool:
    """Say whether a file that begins so may be Caffe's, which has no signature; the first fields decide."""
    with contextlib.suppress(WeightsError):
        for number, wire, _, content in top_fields(head):
            if number == 4 and wire in (VARINT, LENGTH):  # input_dim
                continue
            if _TOP.get(number) != wire:
                return False
            if number in (1, 3) and not _printable(content):
                return False
            if number in (2, 100):
                return _looks_like_layer(content, (1, 2, 3, 4) if number == 2 else (1, 2))
    return False


def _printable(text: bytes) -> bool:
    return text.decode("utf-8", "ignore").isprintable()


def _looks_like_layer(content: bytes, first_fields: tuple[int, ...]) -> bool:
    first = next(top_fields(content), None)
    if first is None or first[0] not in first_fields or first[1] != LENGTH:
        return False
    # Layers of 2013 begin with a message (field 1 of 2), all others with a name.
    return _printable(first[3]) or (first_fields[-1] == 4 and first[0] == 1)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a `.caffemodel`; the tensors can be read inside the block.

    Raises
    ------
    WeightsError
        It cannot be read, is damaged or truncated, or two layers of the same name have weights.
    ResourceError
        There is not enough memory.
    """
    with open_message(path) as message:
        yield _read_net(message)


@dataclass
class _Layer:
    name: str = ""
    type: str | int = ""
    bottoms: list[str] = field(default_factory=list)
    tops: list[str] = field(default_factory=list)
    blobs: list[tuple[list[int], Numbers]] = field(default_factory=list)
    bias_term: bool | None = None  # None: the file has no parameters of the layer that would say it
    transpose: bool = False


def _read_net(message: Message) -> Archive:
    source = message.source
    tensors: dict[str, Tensor] = {}
    nodes, with_blobs, unknown = [], set(), []
    inputs, given, taken, layers = set(), set(), {}, 0  # names of what layers give to one another
    for part in message.fields():
        if part.number == 3:
            inputs.add(part.text())
        if part.number not in (2, 100):
            continue
        layers += 1
        layer = _read_layer(part.message(), _V1 if part.number == 2 else _NEW)
        # In order: a layer may write over what it takes, and would give by itself what a lost one gave.
        taken.update({name: layer.name for name in layer.bottoms if name not in given})
        given.update(layer.tops)
        if not layer.name or layer.type == "":
            raise source.damaged(f"the layer at byte {part.start} lacks a name or a type")
        op = _OPS.get(layer.type)
        if not layer.blobs and not op:
            continue
        _check_layer(message, layer, op)
        if layer.name in with_blobs:
            raise WeightsError(source.file, f"has two layers {shown(layer.name)} with weights")
        with_blobs.add(layer.name)
        names = [
            f"{layer.name}.{('weight', 'bias')[index] if index < 2 else index}"
            for index in range(len(layer.blobs))
        ]
        for index, (name, blob) in enumerate(zip(names, layer.blobs, strict=True)):
            tensors[name] = _tensor(message, name, index, blob, layer, op)
        if op:
            nodes.append(Node(op, tuple(names[:2]), layer.name))
        elif layer.type not in _OTHERS:
            unknown.append(
                f"{source.file}: {shown(layer.name)} with weights has the unknown type {layer.type!r:.40}"
            )
    if not layers:
        raise source.damaged("it has no layers")
    lost = [
        f"{source.file}: layer {shown(layer)} takes {shown(name)}, which none before gives; one may be lost"
        for name, layer in taken.items()
        if name not in inputs
    ]
    warnings = lost[:1] + unknown[:MAX_WARNINGS]
    return Archive("Caffe", tensors, "OIHW", tuple(nodes), warnings=tuple(warnings))


def _read_layer(message: Message, numbers: dict[str, int], layer: _Layer | None = None) -> _Layer:
    """Read a layer whose fields have these numbers; with `layer`, into that one."""
    layer = layer or _Layer()
    parts = {number: part for part, number in numbers.items()}
    for item in message.fields():
        part = parts.get(item.number)
        if part == "layer":
            _read_layer(item.message(), _V0, layer)
        elif part == "name":
            layer.name = item.text()
        elif part == "type":
            layer.type = item.integer() if numbers is _V1 else item.text()
        elif part == "bottom":
            layer.bottoms.append(item.text())
        elif part == "top":
            layer.tops.append(item.text())
        elif part == "blobs":
            layer.blobs.append(_read_blob(item.message()))
        elif part == "bias_term":
            layer.bias_term = bool(item.integer())
        elif part in ("Conv", "Linear"):
            if layer.bias_term is None:
                layer.bias_term = True  # what the schema says where the field is not there
            for inner in item.message().fields():
                if inner.number == _BIAS_TERM:
                    layer.bias_term = bool(inner.integer())
                elif inner.number == _TRANSPOSE and part == "Linear":
                    layer.transpose = bool(inner.integer())
    return layer


def _read_blob(message: Message) -> tuple[list[int], Numbers]:
    """Return (shape, where the values are)."""
    old, shape = [0, 0, 0, 0], None
    singles, doubles = Numbers("<f4"), Numbers("<f8")
    for item in message.fields():
        if 1 <= item.number <= 4:
            old[item.number - 1] = item.integer()
        elif item.number == 7:
            if shape is not None:
                raise message.source.damaged(f"a blob at byte {message.start} has two shapes")
            shape = []
            for inner in item.message().fields():
                if inner.number == 1:
                    shape += inner.integers()
                if len(shape) > MAX_AXES:
                    raise message.source.damaged(f"a blob at byte {message.start} has {len(shape)} axes")
        elif item.number == 5:
            singles.add(item)
        elif item.number == 8:
            doubles.add(item)
    if singles.count and doubles.count:
        raise message.source.damaged(f"a blob at byte {message.start} has its values twice")
    return (old if shape is None else shape), (doubles if doubles.count else singles)


def _check_layer(message: Message, layer: _Layer, op: str | None) -> None:
    """Raise `WeightsError` if the layer lacks blobs that it needs: nothing else would tell."""
    source, what = message.source, f"layer {shown(layer.name)}"
    if not op:
        return
    if not layer.blobs:
        raise WeightsError(source.file, f"{what} has no weights", "the file describes a network, untrained")
    if layer.bias_term is not None and len(layer.blobs) != 1 + layer.bias_term:
        raise source.damaged(
            f"{what} declares {'a' if layer.bias_term else 'no'} bias and has {len(layer.blobs)} blobs"
        )


def _tensor(
    message: Message, name: str, index: int, blob: tuple[list[int], Numbers], layer: _Layer, op: str | None
) -> Tensor:
    declared, numbers = blob
    shape = checked_shape(message.source, name, declared, numbers.count)
    transpose = False
    if op and index == 1 and max(shape, default=1) == numbers.count:
        shape = (numbers.count,)
    elif op == "Linear" and index == 0:
        if len(shape) == 4:
            # (1, 1, out, in), and (out, in, 1, 1) where a converter thought of a 1x1 convolution.
            shape = shape[2:] if shape[:2] == (1, 1) else shape[:2] if shape[2:] == (1, 1) else shape
        transpose = layer.transpose and len(shape) == 2
    stored = shape

    def read() -> np.ndarray:
        array = numbers.read().reshape(stored)
        return np.ascontiguousarray(array.T) if transpose else array

    return Tensor(shape[::-1] if transpose else shape, numbers.dtype.newbyteorder("="), read)
