"""Softmax and log-softmax over channels; the formulas stand in `nst_manual.kernels.softmax`."""

from __future__ import annotations

from typing import Any

from nst_manual.kernels import softmax
from nst_manual.nn.module import Module


class Softmax(Module):
    """Probabilities over the last axis of x (..., C)."""

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        return softmax.softmax(x, out=self.buffer("output", x.shape, x.dtype, x))

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx from the output."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        return softmax.softmax_input_gradient(self.output, dy, out=dx)


class LogSoftmax(Module):
    """Logarithms of the probabilities over the last axis of x (..., C)."""

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        return softmax.log_softmax(x, out=self.buffer("output", x.shape, x.dtype, x))

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx from the output."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        return softmax.log_softmax_input_gradient(self.output, dy, out=dx)
