"""The memory of modules and kernels, by the network's own plan; all numbers are bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nst_manual.kernels.conv import get_algorithm
from nst_manual.kernels.conv_winograd import Winograd
from nst_manual.kernels.gram import BACKWARD_POSITIONS
from nst_manual.kernels.winograd_transforms import band_size
from nst_manual.losses.base import LossModule
from nst_manual.nn.avg_pool2d import AvgPool2d
from nst_manual.nn.concat import Concat
from nst_manual.nn.container import Container
from nst_manual.nn.conv2d import Conv2d
from nst_manual.nn.fuse import Fused
from nst_manual.nn.fused_conv2d import FusedConv2d
from nst_manual.nn.l2_pool2d import L2Pool2d
from nst_manual.nn.local_response_norm import LocalResponseNorm
from nst_manual.nn.max_pool2d import MaxPool2d
from nst_manual.nn.module import Module
from nst_manual.nn.plan import make_plan
from nst_manual.nn.sequential import Sequential

Shape = tuple[int, ...]

# Of a thread, whatever the network: rows of the first convolution, of masks, of features less their targets.
SMALL_SCRATCH = 4 * 2**20


def planned(network: Sequential, shape: Shape, dtype: Any) -> int:
    """Return what a network's modules hold once it has run forward and back, and the most that one allocates
    while it runs.
    """
    held, passing = _both_ways(network, shape, np.dtype(dtype))
    return held + passing


def _both_ways(network: Module, shape: Shape, dtype: np.dtype) -> tuple[int, int]:
    held, passing = 0, 0
    modules = network.modules if isinstance(network, Sequential) else [network]
    if isinstance(network, Fused):
        plan = make_plan(modules, shape, dtype)
        held += plan.bytes + plan.kept
    for module, x_shape, y_shape in steps(modules, shape):
        if not isinstance(network, Fused):
            held += _buffers(module, x_shape, y_shape, dtype)
        held += _own(module, x_shape, y_shape, dtype)
        passing = max(passing, max(_transient(module, x_shape, dtype)))
        for branch in _branches(module):
            inner, inner_passing = _both_ways(branch, x_shape, dtype)
            held += inner
            # its share of dy is copied
            passing = max(passing, inner_passing + _size(y_shape, dtype))
    return held, passing


def pages_forward(network: Sequential, shape: Shape, dtype: Any) -> int:
    """Return what a network's modules hold and allocate in a pass forward alone.

    The plan is made for both ways; memory that only the way back writes to is never taken from the system.
    """
    held, passing = _forward(network, shape, np.dtype(dtype))
    return held + passing


def _forward(network: Module, shape: Shape, dtype: np.dtype) -> tuple[int, int]:
    held, passing = 0, 0
    modules = network.modules if isinstance(network, Sequential) else [network]
    if isinstance(network, Fused):
        plan = make_plan(modules, shape, dtype)
        written = [buffer for buffer in plan.buffers if buffer.spans[0][0] < len(modules)]
        held += _union((buffer.offset, buffer.offset + buffer.bytes) for buffer in written) + plan.kept
    for module, x_shape, y_shape in steps(modules, shape):
        if not isinstance(network, Fused):
            held += _size(y_shape, dtype) if not module.passes_through else 0
        held += _own(module, x_shape, y_shape, dtype)
        passing = max(passing, _transient(module, x_shape, dtype)[0])
        for branch in _branches(module):
            inner, inner_passing = _forward(branch, x_shape, dtype)
            held += inner
            passing = max(passing, inner_passing)
    return held, passing


def scratch(network: Module, shape: Shape, dtype: Any) -> int:
    """Return what one thread keeps to work in (`nst_manual.backend.scratch`)."""
    dtype = np.dtype(dtype)
    names: dict[str, int] = {}
    for module, x_shape in _all(network, shape):
        found: dict[str, int] = {}
        if (conv := _conv(module)) is not None:
            found = _winograd_scratch(conv, x_shape, dtype)
        elif isinstance(module, LossModule):
            found = {"gram": min(BACKWARD_POSITIONS, math.prod(x_shape[1:3])) * x_shape[3] * dtype.itemsize}
        for name, size in found.items():
            names[name] = max(names.get(name, 0), size)
    return SMALL_SCRATCH + sum(names.values())


def _winograd_scratch(conv: Conv2d, x_shape: Shape, dtype: np.dtype) -> dict[str, int]:
    """Return what a thread keeps by name, of Winograd's algorithm alone: the others need little."""
    problem = conv.problem(x_shape, dtype)
    algorithm = get_algorithm(conv.algorithm_for(x_shape, dtype))
    if not isinstance(algorithm, Winograd):
        return {}
    t, item = algorithm.tile, np.dtype(problem.dtype).itemsize
    channels = conv.in_channels, conv.out_channels
    found = {"1": 0, "2": 0, "rows": 0, "pooled": 0, "kernels": 0}
    for size in (problem.size, x_shape[1:3]):  # forward and back
        across = algorithm.tiles(size[1])
        if algorithm.work_size(size, problem.w_shape, conv.groups, item):
            rows = max(1, algorithm.piece_band_tiles // across)
            found["kernels"] = algorithm.components * math.prod(problem.w_shape[2:]) * item
        else:
            bands = algorithm.band_rows(size, (t + 2) ** 2 * max(channels) * item)
            rows = max(last - first for first, last in bands)
        numbers = band_size(t, rows, across, *channels) * item
        pixels = (t * rows + 2) * (t * across + 2) * max(channels) * item
        pooled = t * t * rows * across * conv.out_channels * item
        for name, size_ in {"1": numbers, "2": numbers, "rows": pixels, "pooled": pooled}.items():
            found[name] = max(found[name], size_)
    return found


def steps(modules: list[Module], shape: Shape) -> Iterator[tuple[Module, Shape, Shape]]:
    """Yield (module, shape of its input, shape of its output)."""
    for module in modules:
        y_shape = module.output_shape(shape)
        yield module, shape, y_shape
        shape = y_shape


def _all(network: Module, shape: Shape) -> Iterator[tuple[Module, Shape]]:
    """Yield every module that is no container, with the shape of its input."""
    for module, x_shape, _ in steps(network.modules if isinstance(network, Sequential) else [network], shape):
        if isinstance(module, Container):
            for branch in _branches(module):
                yield from _all(branch, x_shape)
        else:
            yield module, x_shape


def _branches(module: Module) -> list[Module]:
    return module.branches if isinstance(module, Concat) else []


def _conv(module: Module) -> Conv2d | None:
    """Return the convolution that a module is or holds."""
    if isinstance(module, FusedConv2d):
        return module.conv
    return module if isinstance(module, Conv2d) else None


def _size(shape: Shape, dtype: np.dtype) -> int:
    return math.prod(shape) * dtype.itemsize


def _buffers(module: Module, x_shape: Shape, y_shape: Shape, dtype: np.dtype) -> int:
    """Return the output and the gradient of a module without a plan; a loss has the latter alone."""
    x = _size(x_shape, dtype)
    return x if module.passes_through else x + _size(y_shape, dtype)


def _own(module: Module, x_shape: Shape, y_shape: Shape, dtype: np.dtype) -> int:
    """Return what a module keeps that no plan knows."""
    if isinstance(module, LocalResponseNorm):
        return _size(x_shape, dtype)
    if isinstance(module, MaxPool2d):
        return math.prod(y_shape)
    return 0


def _transient(module: Module, x_shape: Shape, dtype: np.dtype) -> tuple[int, int]:
    """Return what a module allocates for a moment, forward and back."""
    x, y = (_size(shape, dtype) for shape in (x_shape, module.output_shape(x_shape)))
    if isinstance(module, LocalResponseNorm):
        return 2 * x, 4 * x
    if isinstance(module, MaxPool2d):
        return y, 2 * y
    if isinstance(module, AvgPool2d | L2Pool2d):
        return y, y
    if (conv := _conv(module)) is None:
        return 0, 0
    algorithm = get_algorithm(conv.algorithm_for(x_shape, dtype))
    if hasattr(algorithm, "forward_rows"):
        return 0, 0
    whole = _size(conv.output_shape(x_shape), dtype) if module is not conv else 0
    padded = _size((1, x_shape[1] + 2 * conv.padding[0], x_shape[2] + 2 * conv.padding[1], x_shape[3]), dtype)
    forward = whole + (padded if any(conv.padding) else 0)
    return forward, whole + padded + (x if module is not conv else 0)


def _union(intervals: Iterator[tuple[int, int]]) -> int:
    """Return how much some intervals cover."""
    covered, reached = 0, 0
    for begin, end in sorted(intervals):
        covered += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return covered
