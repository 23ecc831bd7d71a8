"""Rectified linear unit; the formulas stand in `nst_manual.kernels.relu`."""

from __future__ import annotations

from typing import Any

from nst_manual.kernels import relu
from nst_manual.nn.module import Module


class ReLU(Module):
    """max(0, x), of any shape; the derivative at 0 is 0."""

    has_buffers = True
    needs_output = False

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        return relu.forward(x, out=self.buffer("output", x.shape, x.dtype, x))

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx: dy where x is positive."""
        return relu.input_gradient(x, dy, out=self.buffer("grad_input", x.shape, dy.dtype, dy))
