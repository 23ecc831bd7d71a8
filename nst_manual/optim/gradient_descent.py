"""Gradient descent as the first page of every course has it."""

from __future__ import annotations

import numpy as np

from nst_manual.optim.base import Function, OnIteration, Result, nothing


class GradientDescent:
    """x' = x - rate dx.

    Parameters
    ----------
    rate : float
        Pixels a unit of gradient. What is right depends on the scale of the loss: with one too large the loss grows.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def minimize(
        self, f: Function, x: np.ndarray, iterations: int, on_iteration: OnIteration = nothing
    ) -> Result:
        """Take that many steps; one evaluation each."""
        for iteration in range(1, iterations + 1):
            _, gradient = f(x)
            x = x - self.rate * gradient
            on_iteration(iteration, x)
        return Result(x, iterations)
