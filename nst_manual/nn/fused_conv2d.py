"""Convolution, ReLU and 2x2 pooling as one module; `nst_manual.kernels.fused` has the formulas."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import array_module
from nst_manual.errors import UsageError
from nst_manual.kernels import fused
from nst_manual.kernels.conv import forward_rows, get_algorithm, input_gradient_rows, prepared_shape
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

    Parameters
    ----------
    conv : Conv2d
        Its parameters are used where they are, not copied.
    relu : ReLU, optional
    pool : MaxPool2d or AvgPool2d, optional
        Of windows that `can_pool` knows.

    Attributes
    ----------
    keeps_output : bool
        The output will still be there on the way back, so that the ReLU needs no mask; the network says so.
    keeps_weight : bool
        The weight as the algorithm prepares it is kept from pass to pass; the network says so.
    """

    buffers = ("output", "grad_input", "code", "prepared")
    code: Any = None
    prepared: tuple[Any, Any, Any] | None = None  # the weight prepared, its type, and the weight itself
    has_buffers = True
    needs_input = False
    keeps_output = True
    keeps_weight = False

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
        """Whether the way back reads the output."""
        return self.relu is not None and self.pool is None and self.keeps_output

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape behind the last part."""
        for part in self.parts:
            x_shape = part.output_shape(x_shape)
        return x_shape

    def code_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return the shape of what is kept for the way back, a byte each, or None."""
        if isinstance(self.pool, MaxPool2d):
            return self.output_shape(x_shape)
        if self.relu is None or self.needs_output:
            return None
        return self.conv.output_shape(x_shape)

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        dtype = self.conv.choose(x)
        y = self.buffer("output", self.output_shape(x.shape), dtype, x)
        shape = self.code_shape(x.shape)
        kind = "uint8" if isinstance(self.pool, MaxPool2d) else "bool"
        code = None if shape is None else self.buffer("code", shape, kind, x)
        sink = self._sink(y, code, self.conv.output_shape(x.shape)[2])
        forward_rows(self.conv.chosen, ArraySource(x), self._weight(dtype), sink, self.conv.geometry)
        return y

    def prepared_weight(self, x_shape: tuple[int, ...], dtype: Any) -> tuple[tuple[int, ...] | None, bool]:
        """Return the shape of what the algorithm makes of the weight (None: nothing), and whether to keep it.

        That pays where the image is so small that making it is a good part of the work.
        """
        problem, name = self.conv.problem(x_shape, dtype), self.conv.algorithm_for(x_shape, dtype)
        shape = prepared_shape(name, problem)
        return shape, shape is not None and get_algorithm(name).worth_keeping(problem.size)

    def _weight(self, dtype: Any) -> Any:
        """Return the weight as the algorithm wants it: itself, prepared for this pass, or prepared and kept.

        What has been prepared from a weight must not outlive its values: the array is made read-only, and
        another array in its place is prepared anew.
        """
        weight, kernels = self.conv.weight, (self.planned or {}).get("kernels")
        algorithm = get_algorithm(self.conv.chosen)
        if kernels is not None:
            return algorithm.prepare(weight, kernels)
        if not self.keeps_weight:
            self.prepared = None
            return weight
        if self.prepared is None or self.prepared[1] != dtype or self.prepared[2] is not weight:
            if isinstance(weight, np.ndarray):
                weight.flags.writeable = False
            empty = array_module(weight).empty(algorithm.prepared_shape(weight.shape), dtype)
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
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        source = self._source(dy, self.conv.output_shape(x.shape))
        conv = self.conv
        weight = self._weight(dx.dtype)
        input_gradient_rows(conv.chosen, source, weight, ArraySink(dx), x.shape, conv.geometry)
        return dx

    def _source(self, dy: Any, shape: tuple[int, ...]) -> Source:
        if isinstance(self.pool, MaxPool2d):
            return fused.MaxUnpoolSource(dy, self.code, shape)
        if self.pool is not None:
            return fused.AvgUnpoolSource(dy, None if self.relu is None else self.code, shape)
        if self.relu is None:
            return ArraySource(dy)
        return fused.ReLUSource(dy, y=self.output) if self.needs_output else fused.ReLUSource(dy, self.code)

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
    """Whether a module is a pooling that can be fused: 2x2, stride 2, no padding, floor mode."""
    if not isinstance(module, MaxPool2d | AvgPool2d):
        return False
    geometry = module.kernel_size, module.stride, module.padding, getattr(module, "dilation", (1, 1))
    return geometry == ((2, 2), (2, 2), (0, 0), (1, 1)) and not module.ceil_mode
