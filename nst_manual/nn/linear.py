"""Fully connected layer; the formulas stand in `nst_manual.kernels.linear`."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import beside
from nst_manual.kernels import linear
from nst_manual.nn.constants import constants_beside
from nst_manual.nn.parameters import WithParameters
from nst_manual.options import whole


class Linear(WithParameters):
    """y = x w + b for x (N, in_features), w (in_features, out_features), b (out_features,).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    parameters : (weight, bias), optional
        Taken as they are; drawn without (see `Conv2d`).
    rng, dtype
        Of the draw.
    """

    buffers = (*WithParameters.buffers, "brought")
    brought: Any = None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        parameters: tuple[Any, Any] | None = None,
        rng: Any = None,
        dtype: str = "float32",
    ) -> None:
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            whole(1)(name, value)
        self.in_features, self.out_features = in_features, out_features
        self.set_parameters((in_features, out_features), out_features, bias, parameters, rng, dtype)

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, out_features)."""
        return x_shape[0], self.out_features

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise self.shape_error("input", f"expected (N, {self.in_features}), got shape {x.shape}")
        self.check_parameters((self.in_features, self.out_features), self.out_features)
        y = self.buffer(
            "output", (x.shape[0], self.out_features), np.result_type(x.dtype, self.weight.dtype), x
        )
        return linear.forward(x, *constants_beside(self, x, self.weight, self.bias), out=y)

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx."""
        dx = self.buffer("grad_input", x.shape, np.result_type(dy.dtype, self.weight.dtype), dy)
        weight, _ = constants_beside(self, dy, self.weight, self.bias)
        return linear.input_gradient(dy, weight, out=dx)

    def acc_grad_parameters(self, x: Any, dy: Any) -> None:
        """Add dw and db to their sums."""
        dw, db = linear.parameter_gradients(x, dy)
        self.add_gradients(beside(dw, self.weight), beside(db, self.weight))

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")
