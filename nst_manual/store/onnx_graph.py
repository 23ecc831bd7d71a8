"""Find which arrays the operations of an ONNX graph take, and how; the messages are already read.

    Conv (x, weight, bias)                     kernels (out, in / groups, kh, kw)
    Gemm (x, weight, bias)                     a matrix, transB says which way round it stands
    MatMul (x, weight), then Add (_, bias)     a matrix (in, out)
    BatchNormalization (x, scale, shift, mean, variance)

Matrices that are stored (in, out) are given as (out, in), under the same name. A weight may also come out of
an operation: Constant, Identity, Cast, Transpose and Reshape are followed back to the array.

    "0.weight" -> Identity -> "copy" -> Transpose -> "turned" -> Conv     the weight of Conv is "copy", turned
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.archive import Node, Tensor
from nst_manual.store.onnx_messages import Op, read_attributes, read_tensor
from nst_manual.store.protobuf import MAX_AXES, Message, Source, checked_shape, shown

MAX_CHAIN = 16  # operations between an array and the one that takes it
_DOMAINS = ("", "ai.onnx")  # of the operations that the standard defines
_FOLLOWED = ("Identity", "Cast", "Transpose", "Reshape")  # between an array and what takes it


@dataclass(frozen=True)
class _Weight:
    """An array as an operation takes it: the stored one, and what is done to it on the way."""

    name: str  # of the array, or of the Identity that gives it another
    tensor: Tensor
    steps: tuple[tuple, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    def transposed(self, order: tuple[int, ...]) -> _Weight:
        steps, in_all = self.steps, order
        # Two in a row are one; one that changes nothing is none.
        if steps and steps[-1][0] == "transpose":
            in_all = tuple(steps[-1][1][i] for i in order)
            steps = steps[:-1]
        if in_all != tuple(sorted(order)):
            steps += (("transpose", in_all),)
        shape = tuple(self.shape[i] for i in order)
        read = self.tensor.read
        tensor = Tensor(shape, self.tensor.dtype, lambda: np.asarray(read().transpose(order), order="C"))
        return _Weight(self.name, tensor, steps)

    def reshaped(self, shape: tuple[int, ...]) -> _Weight:
        if shape == self.shape:
            return self
        tensor = Tensor(shape, self.tensor.dtype, lambda: self.tensor.read().reshape(shape))
        return _Weight(self.name, tensor, (*self.steps, ("reshape", shape)))


class Graph:
    """The operations of a graph, and the arrays in it.

    Parameters
    ----------
    source : Source
    strict : bool
        See `onnx_messages`.
    ops : list of Op
    stored : dict
        Name -> array, or a text that says why it cannot be a weight.
    inputs : set of str

    Attributes
    ----------
    tensors : dict of str to Tensor
        The arrays; those that `nodes` has come to are there as their operation takes them.
    warnings : list of str
        Of what is left out.
    """

    def __init__(
        self, source: Source, strict: bool, ops: list[Op], stored: dict[str, Tensor | str], inputs: set[str]
    ) -> None:
        self.source, self.tensors, self.warnings = source, {}, []
        self._strict, self._ops, self._stored, self._inputs = strict, ops, stored, inputs
        self._giver = {name: op for op in ops for name in op.outputs}
        self._takers: dict[str, list[Op]] = {}
        self._steps: dict[str, tuple] = {}  # what is done to each of `tensors` that an operation takes
        for op in ops:
            for name in op.inputs:
                self._takers.setdefault(name, []).append(op)
        for name, tensor in stored.items():
            if isinstance(tensor, Tensor):
                self.tensors[name] = tensor
            else:
                self._warn(f"{shown(name)} is left out, it {tensor}")

    def nodes(self) -> Iterator[Node]:
        """Yield the operations that have weights, and note those whose weights are lost.

        Raises
        ------
        WeightsError
            What an operation takes makes no sense, or cannot be its weight.
        """
        make = {
            "Conv": self._conv,
            "Gemm": self._gemm,
            "MatMul": self._matmul,
            "BatchNormalization": self._norm,
        }
        for op in self._ops:
            if op.op not in make or op.domain not in _DOMAINS:
                self._warn_of_unknown(op)
            elif node := make[op.op](op):
                yield node
            # A product of two things that are both computed has no weights.
            elif op.op != "MatMul":
                self._warn(f"{op.op} {shown(op.name)} is left out, its weights are computed")

    def _warn(self, text: str) -> None:
        self.warnings.append(f"{self.source.file}: {text}")

    def _warn_of_unknown(self, op: Op) -> None:
        """Warn if an operation that is none of ours takes a matrix, a kernel or four arrays."""
        if op.op in _FOLLOWED and op.domain in _DOMAINS:
            return
        weights = [self._weight(name, op, must=False) for name in op.inputs]
        shapes = [weight.shape for weight in weights if weight]
        if len(shapes) > 3 or any(len(shape) == 2 or sum(n > 1 for n in shape) > 1 for shape in shapes):
            self._warn(f"{op.op!r:.40} {shown(op.name)} is left out, it is unknown")

    def _attributes(self, op: Op) -> dict[str, float | list[int] | Message]:
        return read_attributes(op, self._strict)

    # From what an operation takes back to an array.

    def _weight(self, name: str, op: Op, must: bool = True) -> _Weight | None:
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
                cause = f"{shown(op.name)} takes {shown(at)}, which has no values"
                raise WeightsError(self.source.file, cause)
            if giver is None or giver.domain not in _DOMAINS or len(chain) > MAX_CHAIN:
                return None
            value = self._attributes(giver).get("value") if giver.op == "Constant" else None
            if isinstance(value, Message):
                self._stored[at] = read_tensor(value, self._strict)[1]
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
            if giver.op == "Transpose":
                weight = self._transpose(giver, weight)
            elif giver.op == "Reshape":
                weight = self._reshape(giver, weight)
            if weight is None:
                return None
        return weight

    def _transpose(self, giver: Op, weight: _Weight) -> _Weight:
        axes = list(range(len(weight.shape)))
        order = self._attributes(giver).get("perm", axes[::-1])
        if not isinstance(order, list) or sorted(order) != axes:
            raise self.source.damaged(f"{shown(giver.name)} transposes {weight.shape} by {order}")
        return weight.transposed(tuple(order))

    def _reshape(self, giver: Op, weight: _Weight) -> _Weight | None:
        shape, count = weight.shape, math.prod(weight.shape)
        wanted = self._integers(giver.inputs[1]) if len(giver.inputs) > 1 else None
        if wanted is None:  # in the first versions of the operations it is an attribute
            wanted = self._attributes(giver).get("shape")
        if not isinstance(wanted, list) or len(wanted) > MAX_AXES:
            return None
        # 0: as it is; -1: what is left.
        wanted = [shape[i] if n == 0 and i < len(shape) else n for i, n in enumerate(wanted)]
        known = math.prod(n for n in wanted if n != -1)
        if wanted.count(-1) == 1 and known > 0:
            wanted[wanted.index(-1)] = count // known
        return weight.reshaped(checked_shape(self.source, giver.name, wanted, count))

    def _integers(self, name: str) -> list[int] | None:
        """Return a short constant array of integers; None if it is none."""
        tensor, giver = self._stored.get(name), self._giver.get(name)
        if tensor is None and giver is not None and giver.op == "Constant":
            attributes = self._attributes(giver)
            if isinstance(attributes.get("value_ints"), list):
                return attributes["value_ints"]
            if isinstance(attributes.get("value"), Message):
                tensor = read_tensor(attributes["value"], self._strict)[1]
        if not isinstance(tensor, Tensor) or tensor.dtype != np.int64 or math.prod(tensor.shape) > MAX_AXES:
            return None
        return tensor.read().ravel().tolist()

    # From an operation to the node; None if its weights are computed.

    def _conv(self, op: Op) -> Node | None:
        weight = self._weight(op.input(1), op)
        return self._with_bias("Conv", op, weight) if weight and len(weight.shape) > 2 else None

    def _gemm(self, op: Op) -> Node | None:
        weight, attributes = self._weight(op.input(1), op), self._attributes(op)
        usual = {"transA": [0], "alpha": 1.0, "beta": 1.0}
        plain = all(attributes.get(name, value) == value for name, value in usual.items())
        if weight is None or len(weight.shape) != 2 or not plain:
            return None
        if attributes.get("transB", [0]) == [0]:
            weight = weight.transposed((1, 0))
        return self._with_bias("Linear", op, weight)

    def _matmul(self, op: Op) -> Node | None:
        weight = self._weight(op.input(1), op, must=False)
        matrix = weight is not None and len(weight.shape) == 2
        return self._with_bias("Linear", op, weight.transposed((1, 0))) if matrix else None

    def _with_bias(self, kind: str, op: Op, weight: _Weight) -> Node | None:
        """Return the node; its bias is its third input, or an array that the next node, an Add, adds."""
        out = weight.shape[0]
        if op.input(2):
            bias = self._weight(op.input(2), op)
            if bias is None:
                return None
            if bias.shape not in ((out,), (1, out)):
                shapes = f"a weight of shape {weight.shape}, out first, and a bias of {bias.shape}"
                raise self.source.damaged(f"{shown(op.name)} has {shapes}")
        else:
            bias = self._added(op, (out,) + (1,) * (len(weight.shape) - 2))
        parts = [weight] if bias is None else [weight, bias.reshaped((out,))]
        return Node(kind, tuple(self._publish(part) for part in parts), op.name)

    def _added(self, op: Op, shape: tuple[int, ...]) -> _Weight | None:
        """Return the array of this shape that is added to what an operation gives, if that is all its use."""
        takers = self._takers.get(op.outputs[0], [])
        if len(takers) != 1 or takers[0].op != "Add":
            return None
        other = next((name for name in takers[0].inputs if name != op.outputs[0]), "")
        bias = self._weight(other, takers[0], must=False)
        return bias if bias is not None and bias.shape in (shape, (1, *shape)) else None

    def _norm(self, op: Op) -> Node | None:
        weights = [self._weight(op.input(i), op) for i in range(1, 5)]
        if any(weight is None for weight in weights):
            return None
        shapes = {weight.shape for weight in weights}
        if len(shapes) != 1 or len(min(shapes)) != 1:
            raise self.source.damaged(f"{shown(op.name)} has parameters of the shapes {sorted(shapes)}")
        epsilon = self._attributes(op).get("epsilon", 1e-5)
        if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
            raise self.source.damaged(f"{shown(op.name)} has the epsilon {epsilon}")
        giver = self._giver.get(op.inputs[0])
        behind = giver.name if giver and giver.op in ("Conv", "Gemm", "MatMul") else ""
        return Node("BatchNorm", tuple(self._publish(weight) for weight in weights), op.name, epsilon, behind)

    def _publish(self, weight: _Weight) -> str:
        """Put the array among the tensors as the operation takes it; return its name there."""
        name, count = weight.name, 1
        # One that two operations take in two ways is there twice.
        while self._steps.setdefault(name, weight.steps) != weight.steps:
            count += 1
            name = f"{weight.name}#{count}"
        self.tensors[name] = weight.tensor
        return name
