"""Pooling by the root of the sum of squares; the formulas stand in `nst_manual.kernels.l2_pool`."""

from __future__ import annotations

from typing import Any

from nst_manual.kernels import l2_pool
from nst_manual.kernels.window import Pair, output_shape, pair
from nst_manual.nn.max_pool2d import pool_padding
from nst_manual.nn.module import Module
from nst_manual.options import real


class L2Pool2d(Module):
    """Root of the sum of squares over windows of images (N, H, W, C): PyTorch's `LPPool2d` of norm 2.

    Parameters
    ----------
    kernel_size, padding : int or pair of int
        Padding, with zeros, is at most half the kernel size. PyTorch's has none.
    stride : int or pair of int, optional
        The kernel size without.
    ceil_mode : bool
        Let the last windows hang over the end of the image; their sums are scaled up to whole windows.
    scale : float
        Factor of the output, above 0. The root of a sum of squares is no smaller than the maximum: a network
        that was trained with maxima needs a factor below 1 for its features to keep about their size.
    """

    has_buffers = True  # and the way back reads both x and y

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        scale: float = 1.0,
    ) -> None:
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = pool_padding(padding, self.kernel_size)
        self.ceil_mode, self.scale = ceil_mode, real(0, above=True)("scale", scale)

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, Ho, Wo, C)."""
        size = output_shape(x_shape, self.kernel_size, self.stride, self.padding, (1, 1), self.ceil_mode)
        return (x_shape[0], *size, x_shape[3])

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self.expect_images(x)
        y = self.buffer("output", self.output_shape(x.shape), x.dtype, x)
        l2_pool.forward(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, out=y)
        if self.scale != 1:
            y *= self.scale
        return y

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx: each dy by the shares that the pixels of its window have in the root."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        if self.scale != 1:
            dy = dy * self.scale**2  # once for itself, once for the y that the kernel divides by
        geometry = self.kernel_size, self.stride, self.padding
        return l2_pool.input_gradient(x, self.output, dy, *geometry, out=dx)

    def describe(self) -> str:
        """Return the settings."""
        text = f"{self.kernel_size}, stride={self.stride}, padding={self.padding}, ceil_mode={self.ceil_mode}"
        return text if self.scale == 1 else f"{text}, scale={self.scale:g}"
