"""Convolution of images; the formulas stand in `nst_manual.kernels.conv_direct`."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.errors import UsageError
from nst_manual.kernels.conv import DEFAULT, get_algorithm
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
        One of `nst_manual.kernels.conv.ALGORITHMS`.
    parameters : (weight, bias), optional
        Weight (kh, kw, in_channels / groups, out_channels) and bias (out_channels,), taken as they are; drawn
        without.
    rng : seed or numpy.random.Generator, optional
        For the draw.
    dtype : str
        Of drawn parameters.
    """

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
        algorithm: str = DEFAULT,
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
        get_algorithm(algorithm)
        self.weight_shape = (*self.kernel_size, in_channels // groups, out_channels)
        self.set_parameters(self.weight_shape, out_channels, bias, parameters, rng, dtype)

    @property
    def geometry(self) -> tuple[Pair, Pair, Pair, int]:
        """Stride, padding, dilation and groups, as kernels take them."""
        return self.stride, self.padding, self.dilation, self.groups

    def update_output(self, x: Any) -> Any:
        """Compute y = x * w + b."""
        self.expect_images(x, self.in_channels)
        self.check_parameters(self.weight_shape, self.out_channels)
        size = output_shape(x.shape, self.kernel_size, *self.geometry[:3])
        y = self.buffer(
            "output", (x.shape[0], *size, self.out_channels), np.result_type(x.dtype, self.weight.dtype), x
        )
        return get_algorithm(self.algorithm).forward(x, self.weight, self.bias, *self.geometry, out=y)

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx from dy and the weight alone."""
        dx = self.buffer("grad_input", x.shape, np.result_type(dy.dtype, self.weight.dtype), dy)
        return get_algorithm(self.algorithm).input_gradient(dy, self.weight, x.shape, *self.geometry, out=dx)

    def acc_grad_parameters(self, x: Any, dy: Any) -> None:
        """Add dw and db to their sums."""
        self.add_gradients(
            *get_algorithm(self.algorithm).parameter_gradients(x, dy, self.weight_shape, *self.geometry)
        )

    def describe(self) -> str:
        """Return the settings, those that differ from the defaults alone."""
        text = f"{self.in_channels}, {self.out_channels}, {self.kernel_size}"
        for name, default in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            value = getattr(self, name)
            text += "" if value == default else f", {name}={value}"
        return text + ("" if self.bias is not None else ", bias=False")
