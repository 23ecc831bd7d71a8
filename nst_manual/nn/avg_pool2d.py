"""Average pooling; the formulas stand in `nst_manual.kernels.avg_pool`."""

from __future__ import annotations

from typing import Any

from nst_manual.kernels import avg_pool
from nst_manual.kernels.window import Pair, output_shape, pair
from nst_manual.nn.max_pool2d import pool_padding
from nst_manual.nn.module import Module
from nst_manual.options import real


class AvgPool2d(Module):
    """Average over windows of images (N, H, W, C).

    Parameters
    ----------
    kernel_size, padding : int or pair of int
        Padding, with zeros, is at most half the kernel size.
    stride : int or pair of int, optional
        The kernel size without.
    ceil_mode : bool
        Let the last windows hang over the end of the image; what lies beyond it is not counted.
    count_include_pad : bool
        Whether the zeros of the padding count in the average.
    scale : float
        Factor of the output, above 0. An average is smaller than a maximum: a network that was trained with
        maxima needs a factor above 1 for its features to keep about their size.
    """

    has_buffers = True
    needs_input = needs_output = False

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        scale: float = 1.0,
    ) -> None:
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = pool_padding(padding, self.kernel_size)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.scale = real(0, above=True)("scale", scale)

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, Ho, Wo, C)."""
        size = output_shape(x_shape, self.kernel_size, self.stride, self.padding, (1, 1), self.ceil_mode)
        return (x_shape[0], *size, x_shape[3])

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self.expect_images(x)
        geometry = self.kernel_size, self.stride, self.padding
        y = self.buffer("output", self.output_shape(x.shape), x.dtype, x)
        avg_pool.forward(x, *geometry, self.ceil_mode, self.count_include_pad, out=y)
        if self.scale != 1:
            y *= self.scale
        return y

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx: each dy spread evenly over its window."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        if self.scale != 1:
            dy = dy * self.scale
        geometry = self.kernel_size, self.stride, self.padding
        return avg_pool.input_gradient(dy, x.shape, *geometry, self.count_include_pad, out=dx)

    def describe(self) -> str:
        """Return the settings."""
        text = f"{self.kernel_size}, stride={self.stride}, padding={self.padding}"
        text += f", ceil_mode={self.ceil_mode}, count_include_pad={self.count_include_pad}"
        return text if self.scale == 1 else f"{text}, scale={self.scale:g}"
