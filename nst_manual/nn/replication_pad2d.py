"""A border of repeated pixels; the formulas stand in `nst_manual.kernels.replication_pad`."""

from __future__ import annotations

from typing import Any

from nst_manual.kernels import replication_pad
from nst_manual.kernels.window import Pair, pair
from nst_manual.nn.module import Module


class ReplicationPad2d(Module):
    """Images (N, H, W, C) with a border that repeats their outermost pixels: (N, H + 2 p, W + 2 q, C).

    Before a convolution that pads nothing itself, its border is no dark frame, as one of zeros is where the
    mean has been subtracted.

    Parameters
    ----------
    padding : int or pair of int
        Rows above and below, columns left and right. Differs from PyTorch's, of which four numbers are left,
        right, top and bottom; one number is the same in both.
    """

    has_buffers = True
    needs_input = needs_output = False

    def __init__(self, padding: int | Pair) -> None:
        self.padding = pair(padding, "padding")

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, H + 2 p, W + 2 q, C)."""
        n, height, width, c = x_shape
        return (n, height + 2 * self.padding[0], width + 2 * self.padding[1], c)

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self.expect_images(x)
        if not x.shape[1] * x.shape[2]:
            raise self.shape_error("input", f"expected at least one pixel, got shape {x.shape}")
        y = self.buffer("output", self.output_shape(x.shape), x.dtype, x)
        return replication_pad.forward(x, self.padding, out=y)

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx: each dy at the pixel that it is the gradient of a copy of."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        return replication_pad.input_gradient(dy, self.padding, out=dx)

    def describe(self) -> str:
        """Return the settings."""
        return str(self.padding)
