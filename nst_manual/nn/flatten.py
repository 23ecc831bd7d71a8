"""Images to vectors, between features and classifier."""

from __future__ import annotations

import math
from typing import Any

from nst_manual.nn.module import Module


class Flatten(Module):
    """(N, H, W, C) to (N, H W C), in that order, which is also Keras's; a view, nothing is copied."""

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, H W C)."""
        return x_shape[0], math.prod(x_shape[1:])

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self.output = x.reshape(x.shape[0], -1)
        return self.output

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx."""
        self.grad_input = dy.reshape(x.shape)
        return self.grad_input
