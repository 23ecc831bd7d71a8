"""Adam (D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1).

m = b1 m + (1 - b1) g            v = b2 v + (1 - b2) g^2
x = x - rate  m / (1 - b1^t)  /  (sqrt(v / (1 - b2^t)) + epsilon)
"""

from __future__ import annotations

import numpy as np

from nst_manual.optim.base import Function, OnIteration, Result, nothing


class Adam:
    """Steps of about `rate` in every pixel, whatever the scale of the loss.

    Parameters
    ----------
    rate : float
        In pixel values 0..255.
    betas : (float, float)
        Decay of the averages of gradient and squared gradient.
    epsilon : float
    """

    def __init__(
        self, rate: float = 1.0, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
    ) -> None:
        self.rate, self.betas, self.epsilon = rate, betas, epsilon

    def minimize(
        self, f: Function, x: np.ndarray, iterations: int, on_iteration: OnIteration = nothing
    ) -> Result:
        """Take that many steps; one evaluation each."""
        b1, b2 = self.betas
        m, v = np.zeros_like(x), np.zeros_like(x)
        for t in range(1, iterations + 1):
            _, g = f(x)
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g**2
            x = x - self.rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + self.epsilon)
            on_iteration(t, x)
        return Result(x, iterations)
