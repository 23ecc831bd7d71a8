"""Maximum pooling; the formulas stand in `nst_manual.kernels.max_pool`."""

from __future__ import annotations

from typing import Any

from nst_manual.errors import UsageError
from nst_manual.kernels import max_pool
from nst_manual.kernels.window import Pair, output_shape, pair
from nst_manual.nn.module import Module


class MaxPool2d(Module):
    """Maximum over windows of images (N, H, W, C).

    Parameters
    ----------
    kernel_size, padding, dilation : int or pair of int
        Padding, with minus infinity, is at most half the kernel size.
    stride : int or pair of int, optional
        The kernel size without.
    ceil_mode : bool
        Let the last windows hang over the end of the image.
    """

    buffers = ("output", "grad_input", "winner")
    winner: Any = None
    has_buffers = True
    needs_input = needs_output = False

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = pool_padding(padding, self.kernel_size)
        self.dilation = pair(dilation, "dilation", 1)
        self.ceil_mode = ceil_mode

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, Ho, Wo, C)."""
        geometry = self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        return (x_shape[0], *output_shape(x_shape, *geometry), x_shape[3])

    def update_output(self, x: Any) -> Any:
        """Compute y, and keep the winning position of each window (a byte)."""
        self.expect_images(x)
        y = self.buffer("output", self.output_shape(x.shape), x.dtype, x)
        geometry = self.kernel_size, self.stride, self.padding, self.dilation
        _, self.winner = max_pool.forward(x, *geometry, self.ceil_mode, out=y)
        return y

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx: each dy at its window's winner."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        geometry = self.kernel_size, self.stride, self.padding, self.dilation
        return max_pool.input_gradient(dy, self.winner, x.shape, *geometry, out=dx)

    def describe(self) -> str:
        """Return the settings."""
        text = f"{self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{text}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


def pool_padding(padding: int | Pair, kernel_size: Pair) -> Pair:
    """Return the padding as a pair; raise `UsageError` where a window could lie wholly in it."""
    padding = pair(padding, "padding")
    if any(2 * p > k for p, k in zip(padding, kernel_size, strict=True)):
        raise UsageError("padding", f"expected at most half the kernel size {kernel_size}, got {padding}")
    return padding
