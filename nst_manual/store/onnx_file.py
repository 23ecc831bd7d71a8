"""Read ONNX files: the message ModelProto, which holds a graph of operations and the arrays that they take.

    ModelProto      ir_version = 1   producer_name = 2   graph = 7   opset_import = 8
    GraphProto      node = 1   initializer = 5   input = 11   output = 12
    NodeProto       input = 1   output = 2   name = 3   op_type = 4   attribute = 5
    TensorProto     dims = 1   data_type = 2   name = 8   raw_data = 9, or one of the typed fields
                    float_data = 4   int32_data = 5   int64_data = 7   double_data = 10   uint64_data = 11

    08 08  12 07 "pytorch"  3a <length>  0a <length>  0a 05 "input"  0a 08 "0.weight"  ...  22 04 "Conv"

Kernels are (out, in / groups, kh, kw). A matrix may stand either way round, Gemm's transB says which; those
stored (in, out), for MatMul too, are given as (out, in), under the same name. A weight may also come out of a
node: Constant, Identity, Cast, Transpose and Reshape are followed back to the array.

The format has no sums. But whatever a node takes, the graph must give, and a field that no version of the
schema has is damage: so nothing that is used is lost without a word.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.archive import Archive, Node, Tensor
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
    open_message,
    shown,
    top_fields,
)

MAX_NODES = 100_000  # with the initializers
MAX_CHAIN = 16  # nodes between an array and the operation that takes it
MAX_WARNINGS = 10
KNOWN_IR = (
    14  # of the schema below; newer files may have further fields, so may those of before the first release
)

# The numbers of the fields of each wire type.
_SCHEMA = {
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
_DOMAINS = ("", "ai.onnx")  # of the operations that the standard defines
_FOLLOWED = ("Identity", "Cast", "Transpose", "Reshape")  # between an array and what takes it
_BFLOAT16 = 16  # the upper half of a float32


def matches(head: bytes) -> bool:
    """Say whether a file that begins so may be ONNX: it has no signature, its first fields decide."""
    count = 0
    with contextlib.suppress(WeightsError):
        for number, wire, value, content in top_fields(head):
            if number not in _SCHEMA["ModelProto"].get(wire, ()):
                return False
            if count == 0 and (number != 1 or not 1 <= value <= 1000):
                return False
            if number in (2, 3, 4) and not content.decode("utf-8", "ignore").isprintable():
                return False
            count += 1
            if number == 7:
                return True
    # A long description may stand in front of the graph.
    return count >= 2 and len(head) >= 1024


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an ONNX file; the tensors can be read inside the block.

    Raises
    ------
    WeightsError
        It cannot be read, is damaged or truncated, or keeps its arrays in another file.
    ResourceError
        There is not enough memory.
    """
    with open_message(path) as message:
        yield _read_model(message)


def _read_model(message: Message) -> Archive:
    source, version, graphs, numbers = message.source, 0, [], {}
    for item in message.fields():
        numbers[item.number] = item
        if item.number == 1:
            version = item.integer()
        elif item.number == 7:
            graphs.append(item.message())
    strict = 3 <= version <= KNOWN_IR
    for item in numbers.values():
        _check_field(item, "ModelProto", strict)
    if len(graphs) != 1:
        raise source.damaged(f"it has {len(graphs)} graphs, expected one")
    graph = _Graph(source, strict)
    graph.read(graphs[0])
    nodes = tuple(node for node in map(graph.node, graph.ops) if node)
    warnings = graph.warnings[:MAX_WARNINGS]
    if len(graph.warnings) > MAX_WARNINGS:
        warnings.append(f"{source.file}: and {len(graph.warnings) - MAX_WARNINGS} more operations")
    if 25 in numbers:
        warnings.append(f"{source.file}: it defines functions, whose operations are not looked into")
    return Archive("ONNX", graph.tensors, "OIHW", nodes, warnings=tuple(warnings))


def _check_field(item: Field, kind: str, strict: bool) -> None:
    wires = [wire for wire, numbers in _SCHEMA[kind].items() if item.number in numbers]
    if (wires or strict) and item.wire not in wires:
        raise item.source.damaged(
            f"{kind} has no field {item.number} of type {item.wire}, at byte {item.start}"
        )


@dataclass(slots=True)
class _Op:
    op: str = ""
    name: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: list[Message] = field(default_factory=list)


@dataclass(frozen=True)
class _Weight:
    """An array as an operation takes it: the stored one, and what is done to it on the way."""

    name: str  # of the array, or of the Identity that gives it another
    tensor: Tensor
    steps: tuple[tuple, ...] = ()

    def transposed(self, order: tuple[int, ...]) -> _Weight:
        before, steps = self.tensor, self.steps
        if steps and steps[-1][0] == "transpose":
            order_in_all = tuple(steps[-1][1][i] for i in order)
            steps = steps[:-1]
        else:
            order_in_all = order
        if order_in_all != tuple(sorted(order)):
            steps += (("transpose", order_in_all),)
        shape = tuple(before.shape[i] for i in order)
        tensor = Tensor(
            shape, before.dtype, lambda: np.ascontiguousarray(before.read().transpose(order)).reshape(shape)
        )
        return _Weight(self.name, tensor, steps)

    def reshaped(self, shape: tuple[int, ...]) -> _Weight:
        before = self.tensor
        if shape == before.shape:
            return self
        tensor = Tensor(shape, before.dtype, lambda: before.read().reshape(shape))
        return _Weight(self.name, tensor, (*self.steps, ("reshape", shape)))


class _Graph:
    """The graph, and the tensors and nodes found in it."""

    def __init__(self, source: Source, strict: bool) -> None:
        self.source, self.strict = source, strict
        self.tensors: dict[str, Tensor] = {}
        self.warnings: list[str] = []
        self.ops: list[_Op] = []
        self._stored: dict[str, Tensor | str] = {}  # str: why it cannot be a weight
        self._inputs: set[str] = set()
        self._steps: dict[str, tuple] = {}  # of the tensors that are given otherwise than they are stored

    def fields(self, message: Message, kind: str) -> Iterator[Field]:
        for item in message.fields():
            _check_field(item, kind, self.strict)
            yield item

    # What is in the file.

    def read(self, message: Message) -> None:
        outputs, sparse = [], set()
        for item in self.fields(message, "GraphProto"):
            if item.number == 1:
                self.ops.append(self._read_op(item.message()))
            elif item.number == 5:
                name, tensor = self._read_tensor(item.message())
                if name in self._stored:
                    raise self.source.damaged(f"it has two initializers {shown(name)}")
                self._stored[name] = tensor
                if isinstance(tensor, str):
                    self.warnings.append(f"{self.source.file}: {shown(name)} is left out, it {tensor}")
            elif item.number in (11, 12, 13):
                # 13 describes what lies between nodes, and is of no use; but what cannot be read is damage.
                name = self._text(item.message(), "ValueInfoProto", 1)
                if item.number == 11:
                    self._inputs.add(name)
                elif item.number == 12:
                    outputs.append(name)
            elif item.number == 15:
                for inner in self.fields(item.message(), "SparseTensorProto"):
                    if inner.number == 1:
                        sparse.add(self._text(inner.message(), "TensorProto", 8))
            if len(self.ops) + len(self._stored) > MAX_NODES:
                raise WeightsError(self.source.file, f"has more than {MAX_NODES} operations and arrays")
        self.tensors = {name: t for name, t in self._stored.items() if isinstance(t, Tensor)}
        self._giver = {name: op for op in self.ops for name in op.outputs}
        self._takers: dict[str, list[_Op]] = {}
        for op in self.ops:
            for name in op.inputs:
                self._takers.setdefault(name, []).append(op)
        given = {"", *self._inputs, *self._stored, *sparse, *self._giver}
        for taker, name in [(op.name, name) for op in self.ops for name in op.inputs] + [
            ("the graph's output", name) for name in outputs
        ]:
            if name not in given:
                raise self.source.damaged(f"{shown(taker)} takes {shown(name)}, which nothing gives")

    def _text(self, message: Message, kind: str, number: int) -> str:
        return next((item.text() for item in self.fields(message, kind) if item.number == number), "")

    def _read_op(self, message: Message) -> _Op:
        op = _Op()
        for item in self.fields(message, "NodeProto"):
            if item.number == 1:
                op.inputs.append(item.text())
            elif item.number == 2:
                op.outputs.append(item.text())
            elif item.number == 3:
                op.name = item.text()
            elif item.number == 4:
                op.op = item.text()
            elif item.number == 5:
                op.attributes.append(item.message())
            elif item.number == 7:
                op.domain = item.text()
        if not op.op or not op.outputs:
            raise self.source.damaged(f"the node at byte {message.start} lacks an operation or an output")
        op.name = op.name or op.outputs[0]
        return op

    def _read_tensor(self, message: Message) -> tuple[str, Tensor | str]:
        source = self.source
        name, dims, kind, raw, elsewhere, segment = "", [], 0, None, False, False
        typed = {4: Numbers("<f4"), 5: Numbers(None), 7: Numbers(None), 10: Numbers("<f8"), 11: Numbers(None)}
        for item in self.fields(message, "TensorProto"):
            if item.number == 1:
                dims += item.integers()
                if len(dims) > MAX_AXES:
                    raise source.damaged(f"an array at byte {message.start} has {len(dims)} axes")
            elif item.number == 2:
                kind = item.integer()
            elif item.number == 8:
                name = item.text()
            elif item.number == 9:
                raw = item
            elif item.number in typed:
                typed[item.number].add(item)
            elif item.number == 13 or item.number == 14 and item.value:
                elsewhere = True
            elif item.number == 3:
                segment = True
        if elsewhere:
            raise WeightsError(
                source.file, f"{shown(name)} keeps its data in another file", "such files are not followed"
            )
        if kind not in _TYPES or segment:
            return name, "is in segments" if segment else f"is of ONNX's data type {kind}"
        stored, number = _TYPES[kind]
        dtype = np.dtype(np.float32) if kind == _BFLOAT16 else np.dtype(stored).newbyteorder("=")
        filled = [n for n, numbers in typed.items() if numbers.count]
        if len(filled) + (raw is not None and raw.end > raw.start) > 1 or filled not in ([], [number]):
            raise source.damaged(f"{shown(name)} of data type {kind} has its values in fields {filled}")
        numbers = typed[number]
        if not filled and raw is not None:
            numbers = Numbers(stored)
            numbers.add(raw)
        shape = checked_shape(source, name, dims, numbers.count)

        def read() -> np.ndarray:
            array = numbers.read()
            if numbers.dtype is None:
                array = _narrow(source, name, array, np.dtype(stored).newbyteorder("="))
            if kind == _BFLOAT16:
                array = (array.astype(np.uint32) << 16).view(np.float32)
            return array.reshape(shape)

        return name, Tensor(shape, dtype, read)

    def _attributes(self, op: _Op) -> dict[str, float | list[int] | Message]:
        """Return name -> value: a float, integers, or the message of an array; others are left out."""
        found: dict[str, float | list[int] | Message] = {}
        for message in op.attributes:
            name, value, ints = "", None, []
            for item in self.fields(message, "AttributeProto"):
                if item.number == 1:
                    name = item.text()
                elif item.number == 2:
                    value = item.float32()
                elif item.number in (3, 8):
                    ints += item.integers()
                    if len(ints) > MAX_AXES:
                        raise self.source.damaged(f"{shown(op.name)} has {len(ints)} numbers in an attribute")
                elif item.number == 5:
                    value = item.message()
            found[name] = ints if value is None else value
        return found

    # Which arrays an operation takes.

    def _weight(self, name: str, op: _Op, must: bool = True) -> _Weight | None:
        """Follow what an operation takes back to an array; None if it is computed otherwise.

        Raises
        ------
        WeightsError
            With `must`: it is an input of the graph that has no values, or an array that holds no floats.
        """
        chain, alias, at = [], None, name
        while at not in self._stored:
            giver = self._giver.get(at)
            if must and giver is None and at in self._inputs:
                raise WeightsError(
                    self.source.file, f"{shown(op.name)} takes {shown(at)}, which has no values"
                )
            if giver is None or giver.domain not in _DOMAINS or len(chain) > MAX_CHAIN:
                return None
            value = self._attributes(giver).get("value") if giver.op == "Constant" else None
            if isinstance(value, Message):
                self._stored[at] = self._read_tensor(value)[1]
            elif giver.op in _FOLLOWED and giver.inputs:
                # Cast: the values are those stored; the type that they shall have is up to the caller.
                alias = alias or (at if giver.op == "Identity" else None)
                chain.append(giver)
                at = giver.inputs[0]
            else:
                return None
        tensor = self._stored[at]
        if isinstance(tensor, str) or tensor.dtype.kind != "f":
            if not must:
                return None
            why = tensor if isinstance(tensor, str) else f"holds {tensor.dtype}"
            raise WeightsError(self.source.file, f"{shown(at)} of {shown(op.name)} {why}, expected floats")
        weight = _Weight(alias or at, tensor)
        for giver in reversed(chain):
            weight = self._step(giver, weight)
            if weight is None:
                return None
        return weight

    def _step(self, giver: _Op, weight: _Weight) -> _Weight | None:
        shape = weight.tensor.shape
        if giver.op == "Transpose":
            order = self._attributes(giver).get("perm", list(range(len(shape)))[::-1])
            if not isinstance(order, list) or sorted(order) != list(range(len(shape))):
                raise self.source.damaged(f"{shown(giver.name)} transposes {shape} by {order}")
            return weight.transposed(tuple(order))
        if giver.op == "Reshape":
            wanted = self._integers(giver.inputs[1]) if len(giver.inputs) > 1 else None
            wanted = self._attributes(giver).get("shape") if wanted is None else wanted
            if not isinstance(wanted, list) or len(wanted) > MAX_AXES:
                return None
            wanted = [shape[i] if n == 0 and i < len(shape) else n for i, n in enumerate(wanted)]
            known = math.prod(n for n in wanted if n != -1)
            if wanted.count(-1) == 1 and known > 0:
                wanted[wanted.index(-1)] = math.prod(shape) // known
            return weight.reshaped(tuple(checked_shape(self.source, giver.name, wanted, math.prod(shape))))
        return weight

    def _integers(self, name: str) -> list[int] | None:
        """Return a short constant array of integers; None if it is none."""
        tensor, giver = self._stored.get(name), self._giver.get(name)
        if tensor is None and giver is not None and giver.op == "Constant":
            attributes = self._attributes(giver)
            if isinstance(attributes.get("value_ints"), list):
                return attributes["value_ints"]
            if isinstance(attributes.get("value"), Message):
                tensor = self._read_tensor(attributes["value"])[1]
        short = (
            isinstance(tensor, Tensor) and tensor.dtype == np.int64 and math.prod(tensor.shape) <= MAX_AXES
        )
        return tensor.read().ravel().tolist() if short else None

    def _publish(self, weight: _Weight) -> str:
        """Put the array among the tensors as the operation takes it; return its name there."""
        name, count = weight.name, 1
        # One that two operations take in two ways is there twice.
        while self._steps.setdefault(name, weight.steps) != weight.steps:
            count += 1
            name = f"{weight.name}#{count}"
        self.tensors[name] = weight.tensor
        return name

    # The operations.

    def node(self, op: _Op) -> Node | None:
        """Return the operation as a node; None if it has no weights, or such that are computed."""
        make = {
            "Conv": self._conv,
            "Gemm": self._gemm,
            "MatMul": self._matmul,
            "BatchNormalization": self._norm,
        }
        if op.op not in make or op.domain not in _DOMAINS:
            self._warn_of_unknown(op)
            return None
        node = make[op.op](op)
        # A product of two things that are both computed has no weights.
        if node is None and op.op != "MatMul":
            self.warnings.append(
                f"{self.source.file}: {op.op} {shown(op.name)} is left out, its weights are computed"
            )
        return node

    def _warn_of_unknown(self, op: _Op) -> None:
        """Warn if an operation that is none of ours takes a matrix, a kernel or four arrays."""
        if op.op in _FOLLOWED and op.domain in _DOMAINS:
            return
        weights = [self._weight(name, op, must=False) for name in op.inputs]
        shapes = [weight.tensor.shape for weight in weights if weight]
        if len(shapes) > 3 or any(len(shape) == 2 or sum(n > 1 for n in shape) > 1 for shape in shapes):
            self.warnings.append(
                f"{self.source.file}: {op.op!r:.40} {shown(op.name)} is left out, it is unknown"
            )

    def _conv(self, op: _Op) -> Node | None:
        weight = self._weight(_input(op, 1), op)
        if weight is None or len(weight.tensor.shape) < 3:
            return None
        return self._with_bias("Conv", op, weight, behind=len(weight.tensor.shape) - 2)

    def _gemm(self, op: _Op) -> Node | None:
        weight = self._weight(_input(op, 1), op)
        attributes = self._attributes(op)
        plain = attributes.get("transA", [0]) == [0] and attributes.get("alpha", 1.0) == 1.0
        if weight is None or len(weight.tensor.shape) != 2 or not plain or attributes.get("beta", 1.0) != 1.0:
            return None
        if attributes.get("transB", [0]) == [0]:
            weight = weight.transposed((1, 0))
        return self._with_bias("Linear", op, weight)

    def _matmul(self, op: _Op) -> Node | None:
        weight = self._weight(_input(op, 1), op, must=False)
        if weight is None or len(weight.tensor.shape) != 2:
            return None
        return self._with_bias("Linear", op, weight.transposed((1, 0)))

    def _with_bias(self, kind: str, op: _Op, weight: _Weight, behind: int = 0) -> Node | None:
        """Return the node; its bias is its third input, or an array that the next node, an Add, adds."""
        out = weight.tensor.shape[0]
        bias = None
        if _input(op, 2):
            bias = self._weight(_input(op, 2), op)
            if bias is None:
                return None
            if bias.tensor.shape not in ((out,), (1, out)):
                raise self.source.damaged(
                    f"{shown(op.name)} has a weight of shape {weight.tensor.shape}, out first, "
                    f"and a bias of {bias.tensor.shape}"
                )
        else:
            takers = self._takers.get(op.outputs[0], [])
            if len(takers) == 1 and takers[0].op == "Add":
                other = next((name for name in takers[0].inputs if name != op.outputs[0]), "")
                bias = self._weight(other, takers[0], must=False)
                wanted = (out,) + (1,) * behind
                if bias is not None and bias.tensor.shape not in (wanted, (1, *wanted)):
                    bias = None
        parts = [weight] if bias is None else [weight, bias.reshaped((out,))]
        return Node(kind, tuple(self._publish(part) for part in parts), op.name)

    def _norm(self, op: _Op) -> Node | None:
        weights = [self._weight(_input(op, i), op) for i in range(1, 5)]
        if any(weight is None for weight in weights):
            return None
        shapes = {weight.tensor.shape for weight in weights}
        if len(shapes) != 1 or len(min(shapes)) != 1:
            raise self.source.damaged(f"{shown(op.name)} has parameters of the shapes {sorted(shapes)}")
        epsilon = self._attributes(op).get("epsilon", 1e-5)
        if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
            raise self.source.damaged(f"{shown(op.name)} has the epsilon {epsilon}")
        return Node("BatchNorm", tuple(self._publish(weight) for weight in weights), op.name, epsilon)


def _input(op: _Op, index: int) -> str:
    return op.inputs[index] if index < len(op.inputs) else ""


def _narrow(source: Source, name: str, array: np.ndarray, stored: np.dtype) -> np.ndarray:
    """Return the int64 that varints give as the type they stand for; float16 stands there by its bits."""
    if stored == np.uint64:
        return array.view(np.uint64)
    whole = np.dtype(np.uint16) if stored == np.float16 else stored
    narrow = array.astype(whole)
    if (narrow != array).any():
        raise source.damaged(f"{shown(name)} holds numbers that are out of the range of {whole}")
    return narrow.view(stored)
