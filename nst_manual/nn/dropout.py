"""Dropout (N. Srivastava et al., JMLR 15, 2014), in the inverted form that leaves inference alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import beside
from nst_manual.errors import UsageError
from nst_manual.nn.module import Module


class Dropout(Module):
    """Identity; when training, zeroes each value with probability p and divides the others by 1 - p.

    Parameters
    ----------
    p : float
        0 <= p <= 1.
    rng : seed or numpy.random.Generator, optional
    """

    buffers = ("output", "grad_input", "mask")
    mask: Any = None

    def __init__(self, p: float = 0.5, *, rng: Any = None) -> None:
        if not 0 <= p <= 1:
            raise UsageError("p", f"expected a probability from 0 to 1, got {p}")
        self.p = p
        self.rng = np.random.default_rng(rng)

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self.mask = None
        if self.training:
            kept = self.rng.random(x.shape) >= self.p
            scale = 1 / (1 - self.p) if self.p < 1 else 0
            self.mask = beside(np.asarray(kept * scale, dtype=x.real.dtype), x)
        self.output = x if self.mask is None else x * self.mask
        return self.output

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx with the mask of the last forward."""
        self.grad_input = dy if self.mask is None else dy * self.mask
        return self.grad_input

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.p}"
