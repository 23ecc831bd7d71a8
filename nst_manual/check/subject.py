"""What is checked, as functions: forward with a loss, backward, whatever the object that has them."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from nst_manual.check.derivatives import (
    COMPLEX_STEP,
    central_gradient,
    central_slope,
    complex_gradient,
    complex_slope,
    step_size,
)
from nst_manual.errors import UsageError


class Subject:
    """An object with `forward(x)` and `backward(x, dy)`, seen from outside.

    Parameters
    ----------
    module : object
        `forward(x)` returns y, `backward(x, dy)` returns dx. One that is also or only a loss has the number
        in `loss` after `forward`; backward then adds its gradient.
    x : array
        Where it is checked.
    seed : int
        Of the upstream gradient.

    Attributes
    ----------
    x : array
        A float64 copy, or a float32 one where the module computes in float32 alone.
    y, dy : array
        The output there, and a random upstream gradient of its shape.
    """

    def __init__(self, module: Any, x: Any, seed: int = 0) -> None:
        for method in ("forward", "backward"):
            if not callable(getattr(module, method, None)):
                raise UsageError(
                    "gradcheck",
                    f"{type(module).__name__} has no method {method}",
                    "it takes an object with forward(x) and backward(x, dy)",
                )
        self.module = module
        self.x = np.array(x, dtype=np.float64)
        if not self.x.size:
            raise UsageError("gradcheck", f"x is empty, its shape is {self.x.shape}")
        if not np.isfinite(self.x).all():
            raise UsageError("gradcheck", "x has values that are NaN or infinite")
        y = self.forward(self.x)
        if not isinstance(y, np.ndarray):
            raise UsageError("gradcheck", f"forward returned {type(y).__name__}, expected an array")
        if y.dtype.kind not in "fc":
            raise UsageError("gradcheck", f"forward returned {y.dtype}, expected real numbers")
        self.y = y
        # not the numbers that x may have been drawn from with the same seed
        self.rng = np.random.default_rng([977, seed])
        self.dy = self.rng.standard_normal(y.shape)

    @property
    def narrow(self) -> bool:
        """Whether forward answers in float32 though it was given float64."""
        return self.y.dtype.itemsize < 8

    def forward(self, x: np.ndarray) -> Any:
        """Return the output for a copy of x."""
        return self.module.forward(x.copy())

    def loss(self) -> Any:
        """Return the module's loss after a forward, 0 for one that has none."""
        loss = getattr(self.module, "loss", 0.0)
        loss = loss() if callable(loss) else loss
        return 0.0 if loss is None else loss

    def value(self, x: np.ndarray, dy: np.ndarray | None = None) -> Any:
        """Return sum(forward(x) * dy) + loss: the number of which backward returns the gradient."""
        y = self.forward(x)
        return np.sum(y * (self.dy if dy is None else dy)) + self.loss()

    def backward(self, x: np.ndarray | None = None, dy: np.ndarray | None = None) -> Any:
        """Return dx for copies of x and dy, forward having run just before with the same array."""
        x = (self.x if x is None else x).copy()
        self.module.forward(x)
        return self.module.backward(x, (self.dy if dy is None else dy).copy())

    def gradient(self, dy: np.ndarray | None = None) -> np.ndarray:
        """Return the gradient of `value` at x, by complex step where that works, else by differences."""

        def value(x: np.ndarray) -> Any:
            return self.value(x, dy)

        if self.takes_complex:
            return complex_gradient(value, self.x)
        return central_gradient(value, self.x, step_size(self.x, self.y.dtype.name))

    @functools.cached_property
    def takes_complex(self) -> bool:
        """Whether forward carries a small imaginary part through: what a complex step needs.

        It must come back complex with the same real part, and its slope must be that of a central difference:
        a function may take complex numbers and do something else with them, as `abs` does.
        """
        direction = np.random.default_rng([977, 1]).standard_normal(self.x.shape)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)  # an imaginary part thrown away
                y = self.forward(self.x + 1j * COMPLEX_STEP * direction)
                if not (isinstance(y, np.ndarray) and y.shape == self.y.shape):
                    return False
                imaginary = y.dtype.kind == "c" or isinstance(self.loss(), complex)
                if not imaginary or not np.allclose(y.real, self.y, rtol=1e-5):
                    return False
                slope = complex_slope(self.value, self.x, direction)
        except Exception:  # noqa: BLE001 - whatever the module raises for numbers that it was not written for
            return False
        if not np.isfinite(slope):
            return False
        # the steps after the first are for a value whose noise hides so small a difference
        scale = float(np.abs(self.x).max()) or 1.0
        return any(
            self._agrees(slope, direction, h) for h in (1e-6, 1e-5 * scale, 1e-4 * scale, 1e-3 * scale)
        )

    def _agrees(self, slope: float, direction: np.ndarray, h: float) -> bool:
        """Whether a slope is that of a central difference, roughly."""
        estimate = central_slope(self.value, self.x, direction, h)
        size = np.linalg.norm(self.dy) * np.linalg.norm(direction) + abs(estimate)
        return bool(abs(slope - estimate) <= 1e-3 * size)
