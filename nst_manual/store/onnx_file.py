"""Read ONNX files: the message ModelProto, which holds a graph of operations and the arrays that they take.

    ModelProto      ir_version = 1   producer_name = 2   graph = 7   opset_import = 8   functions = 25
    GraphProto      node = 1   initializer = 5   input = 11   output = 12   value_info = 13
                    sparse_initializer = 15

    08 08  12 07 "pytorch"  3a <length>  0a <length>  0a 05 "input"  0a 08 "0.weight"  ...  22 04 "Conv"

These two are read here, what is in a graph by `onnx_messages`; which operation takes which arrays, and how,
finds `onnx_graph`.

The format has no sums. But whatever a node takes, the graph must give, and a field that no version of the
schema has is damage: so nothing that is used is lost without a word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from nst_manual.errors import WeightsError
from nst_manual.store.archive import Archive, Tensor
from nst_manual.store.onnx_graph import Graph
from nst_manual.store.onnx_messages import (
    SCHEMA,
    Op,
    check_field,
    checked_fields,
    read_op,
    read_tensor,
    text_of,
)
from nst_manual.store.protobuf import Message, Source, open_message, shown, top_fields

MAX_NODES = 100_000  # with the initializers
MAX_WARNINGS = 10
# Versions that the schema describes; newer files may have further fields, so may those of before the first
# release.
FIRST_IR, KNOWN_IR = 3, 14


def matches(head: bytes) -> bool:
    """Say whether a file that begins so may be ONNX: it has no signature, its first fields decide."""
    count = 0
    with contextlib.suppress(WeightsError):
        for number, wire, value, content in top_fields(head):
            if number not in SCHEMA["ModelProto"].get(wire, ()):
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
    source, version, graphs, last = message.source, 0, [], {}
    for item in message.fields():
        last[item.number] = item
        if item.number == 1:
            version = item.integer()
        elif item.number == 7:
            graphs.append(item.message())
    # Only now is the version known that says how the others are to be checked.
    strict = FIRST_IR <= version <= KNOWN_IR
    for item in last.values():
        check_field(item, "ModelProto", strict)
    if len(graphs) != 1:
        raise source.damaged(f"it has {len(graphs)} graphs, expected one")
    graph = _read_graph(graphs[0], strict)
    nodes = tuple(graph.nodes())
    warnings = graph.warnings[:MAX_WARNINGS]
    if len(graph.warnings) > MAX_WARNINGS:
        warnings.append(f"{source.file}: and {len(graph.warnings) - MAX_WARNINGS} more operations")
    if 25 in last:
        warnings.append(f"{source.file}: it defines functions, whose operations are not looked into")
    return Archive("ONNX", graph.tensors, "OIHW", nodes, warnings=tuple(warnings))


def _read_graph(message: Message, strict: bool) -> Graph:
    source = message.source
    ops: list[Op] = []
    stored: dict[str, Tensor | str] = {}
    inputs, outputs, sparse = set(), [], set()
    for item in checked_fields(message, "GraphProto", strict):
        match item.number:
            case 1:
                ops.append(read_op(item.message(), strict))
            case 5:
                name, tensor = read_tensor(item.message(), strict)
                if name in stored:
                    raise source.damaged(f"it has two initializers {shown(name)}")
                stored[name] = tensor
            case 11:
                inputs.add(text_of(item.message(), "ValueInfoProto", 1, strict))
            case 12:
                outputs.append(text_of(item.message(), "ValueInfoProto", 1, strict))
            case 13:
                # Describes what lies between nodes, and is of no use; but what cannot be read is damage.
                text_of(item.message(), "ValueInfoProto", 1, strict)
            case 15:
                for inner in checked_fields(item.message(), "SparseTensorProto", strict):
                    if inner.number == 1:
                        sparse.add(text_of(inner.message(), "TensorProto", 8, strict))
        if len(ops) + len(stored) > MAX_NODES:
            raise WeightsError(source.file, f"has more than {MAX_NODES} operations and arrays")
    _check_names(source, ops, outputs, {"", *inputs, *stored, *sparse})
    return Graph(source, strict, ops, stored, inputs)


def _check_names(source: Source, ops: list[Op], outputs: list[str], given: set[str]) -> None:
    """Raise `WeightsError` if an operation takes, or the graph returns, what nothing gives."""
    given = given.union(*(op.outputs for op in ops))
    taken = [(op.name, name) for op in ops for name in op.inputs]
    for taker, name in taken + [("the graph's output", name) for name in outputs]:
        if name not in given:
            raise source.damaged(f"{shown(taker)} takes {shown(name)}, which nothing gives")
