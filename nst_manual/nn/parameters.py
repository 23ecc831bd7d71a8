"""Weight and bias, and the sums of their gradients: what Conv2d and Linear share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nst_manual.backend import array_module
from nst_manual.nn.module import Module


class WithParameters(Module):
    """A module with `weight` and `bias` (or None); once trained, with `grad_weight` and `grad_bias`."""

    weight: Any
    bias: Any = None
    grad_weight: Any = None
    grad_bias: Any = None

    def parameters(self) -> list[tuple[str, Any, Any]]:
        """Return (name, values, gradient sum or None) of weight and bias."""
        found = [("weight", self.weight, self.grad_weight)]
        if self.bias is not None:
            found.append(("bias", self.bias, self.grad_bias))
        return found

    def zero_grad_parameters(self) -> None:
        """Set the gradient sums to zero."""
        xp = array_module(self.weight)
        self.grad_weight = xp.zeros_like(self.weight)
        self.grad_bias = None if self.bias is None else xp.zeros_like(self.bias)

    def add_gradients(self, dw: Any, db: Any) -> None:
        """Add to the gradient sums."""
        self.grad_weight = dw if self.grad_weight is None else self.grad_weight + dw
        if self.bias is not None:
            self.grad_bias = db if self.grad_bias is None else self.grad_bias + db

    def set_parameters(
        self, shape: tuple[int, ...], out: int, bias: bool, given: Any, rng: Any, dtype: str
    ) -> None:
        """Take the parameters `given` as (weight, bias), or draw the weight and set the bias to zero.

        The draw is He's (K. He et al., "Delving deep into rectifiers", 2015, eq. 10): normal with the
        standard deviation sqrt(2 / fan-in), which keeps the variance through layers of ReLU.
        """
        if given is None:
            rng = np.random.default_rng(rng)
            weight = rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[:-1]))
            given = weight.astype(dtype), np.zeros(out, dtype)
        self.weight, self.bias = given[0], given[1] if bias else None
        self.check_parameters(shape, out)

    def check_parameters(self, shape: tuple[int, ...], out: int) -> None:
        """Raise `ShapeError` unless weight and bias have the shapes that the module's settings ask for."""
        if tuple(self.weight.shape) != shape:
            raise self.shape_error("weight", f"expected shape {shape}, got {tuple(self.weight.shape)}")
        if self.bias is not None and tuple(self.bias.shape) != (out,):
            raise self.shape_error("bias", f"expected shape {(out,)}, got {tuple(self.bias.shape)}")
