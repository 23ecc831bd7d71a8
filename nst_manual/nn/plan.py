"""Which buffers of a network may share memory: a plan made before the first pass.

A pass over n modules is a row of 2 n steps: module i runs forward in step i, backward in step 2 n - 1 - i. A
buffer is needed in one or two spans of steps, from the one that writes it to the last that reads it:

    output         to the next module; to the way back too, if a loss or the module itself reads it there
    code           what is kept of each value or window, a byte, until the module's own way back
    kernels, work  the weights as the algorithm wants them, what it works in: in the steps in which it runs
    grad_input     until the module before has read it

Two buffers whose spans do not meet may lie in the same place. A large output that is cheap to make - that of
a first layer, with its three channels in - is not kept at all, but made again when the way back wants it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nst_manual.nn.fused_conv2d import FusedConv2d
from nst_manual.nn.module import Module

ALIGNMENT = 64  # bytes; a line of the cache
# Outputs above this many bytes are made again on the way back where that takes few operations.
REMAKE_BYTES = 2**27
REMAKE_CHANNELS = 4
# Prepared weights are kept from pass to pass while they and the shared memory are together at most this.
KEEP_BYTES = 200 * 2**20

Span = tuple[int, int]


@dataclass
class Buffer:
    """A buffer of a module: its type, the spans of steps in which it is needed, its place in bytes."""

    module: Module
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    spans: list[Span]
    offset: int = 0

    @property
    def bytes(self) -> int:
        """Its size, rounded up to the alignment."""
        size = math.prod(self.shape) * self.dtype.itemsize
        return -(-size // ALIGNMENT) * ALIGNMENT

    def meets(self, other: Buffer) -> bool:
        """Whether both are needed in some step."""
        return any(a <= d and c <= b for a, b in self.spans for c, d in other.spans)


@dataclass
class Plan:
    """The buffers with their places, the bytes that they share, those of weights kept besides, and by whom.

    `remade` says which modules run forward again before which step of the way back: index of the module that
    reads -> index of the module that is run.
    """

    buffers: list[Buffer]
    bytes: int = 0
    kept: int = 0
    keeps: list[Module] = field(default_factory=list)
    remade: dict[int, int] = field(default_factory=dict)


def make_plan(modules: Sequence[Module], x_shape: tuple[int, ...], dtype: Any) -> Plan:
    """Return the plan for an input of that shape.

    Parameters
    ----------
    modules : sequence of Module
        In order.
    x_shape : tuple of int
    dtype : dtype
        Of all outputs and gradients.
    """
    plan = _make_plan(modules, x_shape, dtype, keep=True)
    if plan.kept and plan.bytes + plan.kept > KEEP_BYTES:
        plan = _make_plan(modules, x_shape, dtype, keep=False)
    return plan


def _make_plan(modules: Sequence[Module], x_shape: tuple[int, ...], dtype: Any, keep: bool) -> Plan:
    """Return the plan with or without kept weights."""
    n, dtype = len(modules), np.dtype(dtype)
    real = [i for i in range(n) if not modules[i].passes_through]
    after = dict(zip(real, [*real, n][1:], strict=True))  # the next module that makes an output of its own
    before = dict(zip(real, [-1, *real][:-1], strict=True))
    plan = Plan([])
    outputs: dict[int, Buffer] = {}
    for i in real:
        module, shape = modules[i], x_shape
        x_shape = module.output_shape(shape)
        # who reads the output on the way back; of these the last to come is the first to read
        readers = [j for j in range(i + 1, min(after[i] + 1, n)) if modules[j].needs_input]
        code, running = None, []  # buffers that are needed whenever the module runs
        if isinstance(module, FusedConv2d):
            if (code := module.code_like(shape, bool(readers))) is not None:
                plan.buffers.append(Buffer(module, "code", *code, [(i, 2 * n - 1 - i)]))
            prepared, small = module.prepared_weight(shape, dtype)
            work = module.work_size(shape, dtype)
            if prepared is not None and keep and small:
                plan.kept += math.prod(prepared) * dtype.itemsize
                plan.keeps.append(module)
            elif prepared is not None and not work:
                running.append(Buffer(module, "kernels", prepared, dtype, [(i, i), (2 * n - 1 - i,) * 2]))
            if work:
                running.append(Buffer(module, "work", (work,), dtype, [(i, i), (2 * n - 1 - i,) * 2]))
            plan.buffers += running
        out = Buffer(module, "output", x_shape, dtype, [(i, min(after[i], n))])
        last = max((2 * n - 1 - j for j in readers), default=i)
        if module.needs_output and code is None:
            last = 2 * n - 1 - i
        if readers and _remake(module, out):
            first = 2 * n - 1 - readers[-1]
            plan.remade[readers[-1]] = i
            out.spans.append((first, max(first, last)))
            for buffer in running:
                buffer.spans.append((first, first))
            if before[i] in outputs:  # its own input has to be there again
                outputs[before[i]].spans.append((i, first))
        elif last > i:
            out.spans.append((i, last))
        outputs[i] = out
        reads = 2 * n - 1 - before[i] if before[i] >= 0 else 2 * n
        plan.buffers.append(Buffer(module, "grad_input", shape, dtype, [(2 * n - 1 - i, reads)]))
        plan.buffers.append(out)
    _place(plan)
    return plan


def _remake(module: Module, output: Buffer) -> bool:
    cheap = isinstance(module, FusedConv2d) and module.conv.in_channels <= REMAKE_CHANNELS
    return cheap and output.bytes > REMAKE_BYTES


def _place(plan: Plan) -> None:
    """Place the buffers: the largest first or the earliest first, whichever takes less memory in all.

    The best order would be costly to find. These two have been within a few percent of the most that is ever
    needed at once, one for small images and the other where a large output is made again.
    """
    orders = [lambda buffer: -buffer.bytes, lambda buffer: buffer.spans[0][0]]
    best = min(orders, key=lambda order: _place_in_order(sorted(plan.buffers, key=order)))
    plan.bytes = _place_in_order(sorted(plan.buffers, key=best))


def _place_in_order(buffers: list[Buffer]) -> int:
    """Give each buffer the lowest place that is free in all its steps; return the bytes in all."""
    total = 0
    for number, buffer in enumerate(buffers):
        others = (other for other in buffers[:number] if other.meets(buffer))
        offset = 0
        for begin, end in sorted((other.offset, other.offset + other.bytes) for other in others):
            if offset + buffer.bytes <= begin:
                break
            offset = max(offset, end)
        buffer.offset = offset
        total = max(total, offset + buffer.bytes)
    return total
