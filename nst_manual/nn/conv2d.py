"""Convolution of images; the formulas stand in `nst_manual.kernels.conv_direct`."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import on_gpu
from nst_manual.errors import UsageError
from nst_manual.kernels.conv import AUTO, Problem, choose, get_algorithm
from nst_manual.kernels.window import Pair, output_shape, pair
from nst_manual.nn.parameters import WithParameters
from nst_manual.options import whole


class Conv2d(WithParameters):
    """Convolution (cross-correlation) of images (N, H, W, in_channels) to (N, Ho, Wo, out_channels).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or pair of int
        As in PyTorch; a pair is (height, width). Padding is with zeros.
    groups : int
        Both channel counts are multiples of it.
    bias : bool
    algorithm : str
        One of `nst_manual.kernels.conv.ALGORITHMS`, or "auto": chosen for each input by `kernels.conv.RULES`.
    parameters : (weight, bias), optional
        Weight (kh, kw, in_channels / groups, out_channels) and bias (out_channels,), taken as they are; drawn
        without.
    rng : seed or numpy.random.Generator, optional
        For the draw.
    dtype : str
        Of drawn parameters.

    Attributes
    ----------
    chosen : str
        The algorithm that the last `forward` ran; "" before.
    device : str or None
        Where it is to be computed, "cpu" or "cuda"; None: where the weight lives.
    tf32 : bool
        Whether products on a GPU may round float32 factors to TF32.
    """

    has_buffers = True
    needs_input = needs_output = False  # but for training
    chosen = ""
    device: str | None = None
    tf32 = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        algorithm: str = AUTO,
        parameters: tuple[Any, Any] | None = None,
        rng: Any = None,
        dtype: str = "float32",
    ) -> None:
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
            whole(1)(name, value)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise UsageError("groups", f"{groups} does not divide {in_channels} and {out_channels} channels")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = pair(stride, "stride", 1)
        self.padding = pair(padding, "padding")
        self.dilation = pair(dilation, "dilation", 1)
        self.algorithm = algorithm
        if algorithm != AUTO and not self.supported_by(algorithm):
            raise UsageError("algorithm", f"{algorithm} cannot compute {self.describe_geometry()}")
        self.weight_shape = (*self.kernel_size, in_channels // groups, out_channels)
        self.set_parameters(self.weight_shape, out_channels, bias, parameters, rng, dtype)

    @property
    def geometry(self) -> tuple[Pair, Pair, Pair, int]:
        """Stride, padding, dilation and groups, as kernels take them."""
        return self.stride, self.padding, self.dilation, self.groups

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, Ho, Wo, out_channels)."""
        size = output_shape(x_shape, self.kernel_size, *self.geometry[:3])
        return (x_shape[0], *size, self.out_channels)

    def supported_by(self, algorithm: str) -> bool:
        """Whether an algorithm of that name can compute it."""
        return get_algorithm(algorithm).supports(self.kernel_size, *self.geometry)

    def algorithm_for(self, x_shape: tuple[int, ...], dtype: Any) -> str:
        """Return the algorithm that an input of that shape would be computed with."""
        return choose(self.problem(x_shape, dtype), self.algorithm)

    def problem(self, x_shape: tuple[int, ...], dtype: Any) -> Problem:
        """Return what is to be computed for an input of that shape and type."""
        dtype = np.result_type(dtype, self.weight.dtype).name
        device = self.device or ("cuda" if on_gpu(self.weight) else "cpu")
        return Problem(x_shape, self.weight_shape, *self.geometry, dtype, device, tf32=self.tf32)

    def choose(self, x: Any) -> np.dtype:
        """Check an input, choose the algorithm for it, and return the type of the output."""
        self.expect_images(x, self.in_channels)
        self.check_parameters(self.weight_shape, self.out_channels)
        self.chosen = self.algorithm_for(x.shape, x.dtype)
        return np.result_type(x.dtype, self.weight.dtype)

    def update_output(self, x: Any) -> Any:
        """Compute y = x * w + b."""
        dtype = self.choose(x)
        y = self.buffer("output", self.output_shape(x.shape), dtype, x)
        return get_algorithm(self.chosen).forward(x, self.weight, self.bias, *self.geometry, out=y)

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx from dy and the weight alone."""
        dx = self.buffer("grad_input", x.shape, np.result_type(dy.dtype, self.weight.dtype), dy)
        return get_algorithm(self.chosen).input_gradient(dy, self.weight, x.shape, *self.geometry, out=dx)

    def acc_grad_parameters(self, x: Any, dy: Any) -> None:
        """Add dw and db to their sums."""
        self.add_gradients(
            *get_algorithm(self.chosen).parameter_gradients(x, dy, self.weight_shape, *self.geometry)
        )

    def describe(self) -> str:
        """Return the settings, those that differ from the defaults alone."""
        text = f"{self.in_channels}, {self.out_channels}, {self.describe_geometry()}"
        text += "" if self.bias is not None else ", bias=False"
        return text if self.algorithm == AUTO else f"{text}, algorithm={self.algorithm}"

    def describe_geometry(self) -> str:
        """Return kernel size and geometry, where it differs from the defaults."""
        text = str(self.kernel_size)
        for name, default in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            value = getattr(self, name)
            text += "" if value == default else f", {name}={value}"
        return text
