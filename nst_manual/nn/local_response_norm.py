"""Local response normalisation; the formulas stand in `nst_manual.kernels.lrn`."""

from __future__ import annotations

from typing import Any

from nst_manual.errors import UsageError
from nst_manual.kernels import lrn
from nst_manual.nn.module import Module


class LocalResponseNorm(Module):
    """Each channel of images (N, H, W, C), divided by a power of what its neighbours do at the same pixel.

    Parameters
    ----------
    size : int
        Channels of a window.
    alpha, beta, k : float
        As in PyTorch: alpha is divided by size.
    """

    buffers = (*Module.buffers, "scale")
    scale: Any = None
    has_buffers = True

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise UsageError("size", f"expected a whole number of at least 1, got {size!r}")
        self.size, self.alpha, self.beta, self.k = size, float(alpha), float(beta), float(k)

    def update_output(self, x: Any) -> Any:
        """Compute y; keep s."""
        self.expect_images(x)
        y = self.buffer("output", x.shape, x.dtype, x)
        y, self.scale = lrn.forward(x, self.size, self.alpha, self.beta, self.k, out=y)
        return y

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        return lrn.input_gradient(x, self.scale, dy, self.size, self.alpha, self.beta, out=dx)

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}"
