"""Gradient descent as the first page of every course has it."""

from __future__ import annotations

import numpy as np

from nst_manual.optim.base import Function, OnIteration, Result, nothing

# Pixel values 0..255. Ten times as much diverges from a start of noise, whose first gradient is small.
FIRST_STEP = 0.1


class GradientDescent:
    """x' = x - rate dx.

    Parameters
    ----------
    rate : float, optional
        Pixel values a unit of gradient. What is right depends on the scale of the loss and on the size of the
        image: with one too large the loss grows. Without, the rate with which the very first step moves
        pixels by FIRST_STEP (root mean square); it is kept from then on, and stands in the attribute `rate`.
    """

    def __init__(self, rate: float | None = None) -> None:
        self.rate = rate

    def minimize(
        self, f: Function, x: np.ndarray, iterations: int, on_iteration: OnIteration = nothing
    ) -> Result:
        """Take that many steps; one evaluation each."""
        for iteration in range(1, iterations + 1):
            _, gradient = f(x)
            if self.rate is None:
                size = float(np.sqrt(np.mean(gradient.astype(np.float64) ** 2)))
                self.rate = FIRST_STEP / size if size else 0.0
            x = x - self.rate * gradient
            on_iteration(iteration, x)
        return Result(x, iterations)
