"""Average over a whole image; the formulas stand in `nst_manual.kernels.global_avg_pool`."""

from __future__ import annotations

from typing import Any

from nst_manual.kernels import global_avg_pool
from nst_manual.nn.module import Module


class GlobalAvgPool2d(Module):
    """Average of each channel over all positions: images (N, H, W, C) of any size to (N, 1, 1, C)."""

    has_buffers = True
    needs_input = needs_output = False

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, 1, 1, C)."""
        return (x_shape[0], 1, 1, x_shape[3])

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self.expect_images(x)
        if not x.shape[1] * x.shape[2]:
            raise self.shape_error("input", f"expected at least one position, got shape {x.shape}")
        y = self.buffer("output", self.output_shape(x.shape), x.dtype, x)
        return global_avg_pool.forward(x, out=y)

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx: each dy spread evenly over its channel."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        return global_avg_pool.input_gradient(dy, x.shape, out=dx)
