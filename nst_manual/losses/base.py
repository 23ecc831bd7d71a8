"""What every loss module is: an identity that looks at what passes."""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, in_rows, on_gpu
from nst_manual.kernels.cuda import pointwise, sums
from nst_manual.nn.module import Module

# neural-style's, beside the L1 norm of a gradient: where all of it is 0, it stays 0.
SMALLEST_NORM = 1e-8


class LossModule(Module):
    """Returns its input unchanged, keeps `loss`, and adds the gradient of that very number to the dy that
    passes.

    Parameters
    ----------
    weight : float
        Factor of the loss and of its gradient.

    Attributes
    ----------
    normalized : bool
        Add weight g / (|g|_1 + 1e-8) for the gradient g of the loss without its weight, as neural-style's
        option does (its `normalize_gradients`). That is the gradient of no loss.
    in_place : bool
        Add to the very array that holds dy, and return it; else to a copy. A fused network sets it.
    """

    passes_through = True
    needs_output = False
    reported = True  # whether it has a loss of its own; half of a pair has none
    in_place = False
    normalized = False
    buffers = (*Module.buffers, "own_gradient")
    own_gradient: Any = None

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def update_output(self, x: Any) -> Any:
        """Compute `loss`; return x itself."""
        self.loss = self.measure(x)
        self.output = x
        return x

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dy + dloss/dx."""
        dx = dy
        if not self.in_place:
            dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
            dx[...] = dy
        if self.normalized:
            self._add_normalized(x, dx)
        else:
            self.add_gradient(x, dx)
        self.grad_input = dx
        return dx

    def _add_normalized(self, x: Any, dx: Any) -> None:
        """Add the gradient over its L1 norm, times the weight."""
        own = self.buffer("own_gradient", x.shape, dx.dtype, dx)
        own[...] = 0
        self.add_gradient(x, own)
        if on_gpu(own):
            factor = self.weight / (sums.absolute(own) + self.weight * SMALLEST_NORM)
            pointwise.add_multiple(own, factor, out=dx)
            return
        norm = float(abs(own).sum(dtype="float64"))  # weight |g|_1
        own *= own.dtype.type(self.weight / (norm + self.weight * SMALLEST_NORM))
        dx += own

    def measure(self, x: Any) -> Any:
        """Return the loss of x: a number as `total` makes it."""
        raise NotImplementedError(f"{type(self).__name__} has no measure(x)")

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add dloss/dx to dx, for the x of the last `measure`."""
        raise NotImplementedError(f"{type(self).__name__} has no add_gradient(x, dx)")

    def describe(self) -> str:
        """Return the settings."""
        return f"weight={self.weight:g}"


def total(x: Any) -> Any:
    """Return the sum of an array, added up in double precision whatever the array's own.

    A Python number; on a GPU an array of no dimensions there, so that nothing waits for it: arithmetic goes
    on with either, and `nst_manual.backend.numbers` brings all over in the end.
    """
    xp = array_module(x)
    if on_gpu(x):
        return in_rows(x).sum(axis=1, dtype=xp.float64).sum()
    if x.dtype.kind == "c":
        return complex(x.sum(dtype=xp.complex128))
    return float(x.sum(dtype=xp.float64))
