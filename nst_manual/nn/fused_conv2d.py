"""Convolution, ReLU and 2x2 pooling as one module; `nst_manual.kernels.fused` has the formulas."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import array_module
from nst_manual.errors import UsageError
from nst_manual.kernels import fused
from nst_manual.kernels.conv import (
    forward_rows,
    get_algorithm,
    input_gradient_rows,
    prepared_shape,
    work_size,
)
from nst_manual.kernels.rows import ArraySink, ArraySource, Sink, Source
from nst_manual.nn.avg_pool2d import AvgPool2d
from nst_manual.nn.conv2d import Conv2d
from nst_manual.nn.max_pool2d import MaxPool2d
from nst_manual.nn.module import Module
from nst_manual.nn.relu import ReLU


class FusedConv2d(Module):
    """What `Conv2d`, `ReLU` and a 2x2 pooling do one after the other; only the last output is made.

    Bias, ReLU and pooling are done on a band of rows while it is in the cache. For the way back a byte is
    kept of each value (ReLU) or each window (max-pool).

    Where the algorithm prepares the weight, and the network has planned no memory for that, the prepared form
    is kept from pass to pass. What it was made of must not change then, so the weight becomes read-only, and
    with it the arrays that it is a view of; to change the values, put another array in its place. Views that
    the caller took before are out of reach, as are arrays of the GPU: whoever writes to those calls
    `clear_state`.

    Parameters
    ----------
    conv : Conv2d
        Its parameters are used where they are, not copied.
    relu : ReLU, optional
    pool : MaxPool2d or AvgPool2d, optional
        Of windows that `can_pool` knows.
    """

    buffers = ("output", "grad_input", "code", "kernels", "prepared")
    code: Any = None
    kernels: Any = None
    prepared: tuple[Any, Any, Any] | None = None  # the weight prepared, its type, and the weight itself
    has_buffers = True
    needs_input = False

    def __init__(self, conv: Conv2d, relu: ReLU | None = None, pool: Module | None = None) -> None:
        if pool is not None and not can_pool(pool):
            raise UsageError("pool", f"expected 2x2 windows of stride 2 without padding, got {pool!r}")
        self.conv, self.relu, self.pool = conv, relu, pool
        self.name = (pool or relu or conv).name

    @property
    def parts(self) -> list[Module]:
        """The modules that this one stands for."""
        return [module for module in (self.conv, self.relu, self.pool) if module is not None]

    @property
    def needs_output(self) -> bool:  # type: ignore[override]
        """Whether the way back reads the output, unless it has a code."""
        return self.relu is not None and self.pool is None

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape behind the last part."""
        for part in self.parts:
            x_shape = part.output_shape(x_shape)
        return x_shape

    def code_like(self, x_shape: tuple[int, ...], output_stays: bool) -> tuple[tuple, np.dtype] | None:
        """Return shape and type of what is kept for the way back, a byte each, or None.

        Parameters
        ----------
        x_shape : tuple of int
        output_stays : bool
            Whether the output will still be there on the way back, so that the ReLU needs no mask.
        """
        if isinstance(self.pool, MaxPool2d):
            return self.output_shape(x_shape), np.dtype("uint8")
        if self.relu is None or (self.needs_output and output_stays):
            return None
        return self.conv.output_shape(x_shape), np.dtype(bool)

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        dtype = self.conv.choose(x)
        y = self.buffer("output", self.output_shape(x.shape), dtype, x)
        # a network that has no place for a mask has one for the output until then
        like = self.code_like(x.shape, output_stays="code" not in (self.planned or {}))
        self.code = None if like is None else self.buffer("code", *like, x)
        sink = self._sink(y, self.code, self.conv.output_shape(x.shape)[2])
        weight, work = self._weight(dtype), self._work(dtype)
        forward_rows(self.conv.chosen, ArraySource(x), weight, sink, self.conv.geometry, work)
        return y

    def prepared_weight(self, x_shape: tuple[int, ...], dtype: Any) -> tuple[tuple[int, ...] | None, bool]:
        """Return the shape of what the algorithm makes of the weight (None: nothing), and whether to keep it.

        That pays where the image is so small that making it is a good part of the work.
        """
        problem, name = self.conv.problem(x_shape, dtype), self.conv.algorithm_for(x_shape, dtype)
        shape = prepared_shape(name, problem)
        return shape, shape is not None and get_algorithm(name).worth_keeping(problem.size)

    def work_size(self, x_shape: tuple[int, ...], dtype: Any) -> int:
        """Return how many numbers the algorithm wants to work in."""
        return work_size(self.conv.algorithm_for(x_shape, dtype), self.conv.problem(x_shape, dtype))

    def _work(self, dtype: Any) -> Any:
        """Return what the network lends the algorithm to work in, or None."""
        work = (self.planned or {}).get("work")
        return work if work is not None and work.dtype == dtype else None

    def _weight(self, dtype: Any) -> Any:
        """Return the weight as the algorithm wants it: itself, prepared for this pass, or prepared and kept.

        What was made writeable again since may have been written, and is prepared anew.
        """
        weight, algorithm = self.conv.weight, get_algorithm(self.conv.chosen)
        planned = self.planned or {}
        if not hasattr(algorithm, "prepare") or not planned.keys() & {"kernels", "keep"}:
            self.prepared = None
            return weight
        shape = algorithm.prepared_shape(weight.shape)
        if "kernels" in planned:
            self.prepared = None
            return algorithm.prepare(weight, self.buffer("kernels", shape, dtype, weight))
        fits = self.prepared is not None and self.prepared[1] == dtype and self.prepared[2] is weight
        if not fits or (isinstance(weight, np.ndarray) and weight.flags.writeable):
            freeze(weight)
            empty = array_module(weight).empty(shape, dtype)
            self.prepared = algorithm.prepare(weight, empty), dtype, weight
        return self.prepared[0]

    def _sink(self, y: Any, code: Any, width: int) -> Sink:
        bias, rectified = self.conv.bias, self.relu is not None
        if isinstance(self.pool, MaxPool2d):
            return fused.MaxPoolSink(y, code, bias, width, rectified)
        if self.pool is not None:
            return fused.AvgPoolSink(y, code, bias, width, rectified)
        return fused.ReLUSink(y, bias, code) if rectified else ArraySink(y, bias)

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx; of x, the shape is enough."""
        conv = self.conv
        dx = self.buffer("grad_input", x.shape, np.result_type(dy.dtype, conv.weight.dtype), dy)
        source, weight = self._source(dy, conv.output_shape(x.shape)), self._weight(dx.dtype)
        work = self._work(dx.dtype)
        input_gradient_rows(conv.chosen, source, weight, ArraySink(dx), x.shape, conv.geometry, work)
        return dx

    def _source(self, dy: Any, shape: tuple[int, ...]) -> Source:
        if isinstance(self.pool, MaxPool2d):
            return fused.MaxUnpoolSource(dy, self.code, shape)
        if self.pool is not None:
            return fused.AvgUnpoolSource(dy, None if self.relu is None else self.code, shape)
        if self.relu is None:
            return ArraySource(dy)
        return fused.ReLUSource(dy, self.code, self.output)

    def acc_grad_parameters(self, x: Any, dy: Any) -> None:
        """Raise: what is fused is not trained."""
        raise UsageError("training", "a fused network has frozen weights; train the plain one")

    def parameters(self) -> list[tuple[str, Any, Any]]:
        """Return those of the convolution."""
        return self.conv.parameters()

    def clear_state(self) -> None:
        """Free the buffers."""
        super().clear_state()
        for part in self.parts:
            part.clear_state()

    def describe(self) -> str:
        """Return the settings of the parts, and the algorithm once it is chosen."""
        parts = " + ".join(f"{part.name} {part!r}" for part in self.parts)
        return f"{parts}; {self.conv.chosen}" if self.conv.chosen else parts


def can_pool(module: Module) -> bool:
    """Whether a module is a pooling that can be fused: 2x2, stride 2, no padding, floor mode, no factor."""
    if not isinstance(module, MaxPool2d | AvgPool2d) or getattr(module, "scale", 1) != 1:
        return False
    geometry = module.kernel_size, module.stride, module.padding, getattr(module, "dilation", (1, 1))
    return geometry == ((2, 2), (2, 2), (0, 0), (1, 1)) and not module.ceil_mode


def freeze(array: Any) -> None:
    """Make an array read-only, and those that it is a view of: through them, its values could change."""
    while isinstance(array, np.ndarray):
        array.flags.writeable = False
        array = array.base
