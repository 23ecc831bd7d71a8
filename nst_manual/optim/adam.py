"""Adam (D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1).

m = b1 m + (1 - b1) g            v = b2 v + (1 - b2) g^2
x = x - rate  m / (1 - b1^t)  /  (sqrt(v / (1 - b2^t)) + epsilon)
"""

from __future__ import annotations

import math
from typing import Any

from nst_manual.backend import array_module, elementwise, on_gpu
from nst_manual.optim.bounds import Bounds
from nst_manual.optim.first_order import FirstOrder, checked
from nst_manual.optim.schedule import Schedule

# The same on a GPU in one kernel, which reads g, m and v once; the expressions below are ten.
_STEP = (
    "T g, T b1, T rest1, T b2, T rest2, T correction1, T correction2, T rate, T epsilon",
    "T m, T v, T step",
    """
    m = b1 * m + rest1 * g;
    v = b2 * v + rest2 * (g * g);
    step = rate * (m / correction1) / (sqrt(v / correction2) + epsilon);
    """,
    "adam",
)


class Adam(FirstOrder):
    """Steps of about `rate` in every pixel, whatever the scale of the loss.

    Parameters
    ----------
    rate : float
        In pixel values 0..255.
    betas : (float, float)
        Decay of the averages of gradient and squared gradient.
    epsilon : float
    bounds, schedule
        As `FirstOrder`.
    """

    name, memory = "Adam", {"m": 1, "v": 2}

    def __init__(
        self,
        rate: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        bounds: Bounds | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(rate, bounds, schedule)
        self.betas = tuple(checked(self.name, "beta", beta, zero=True) for beta in betas)
        self.epsilon = checked(self.name, "epsilon", epsilon, math.inf, zero=True)
        self.m: Any = None
        self.v: Any = None

    def _step(self, gradient: Any, rate: float) -> Any:
        (b1, b2), t, g = self.betas, self._done, gradient
        if on_gpu(g):
            step = array_module(g).empty_like(g)
            scalars = b1, 1 - b1, b2, 1 - b2, 1 - b1**t, 1 - b2**t, rate, self.epsilon
            elementwise(*_STEP)(g, *scalars, self.m, self.v, step)
            return step
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        root = array_module(g).sqrt(self.v / (1 - b2**t))
        return rate * (self.m / (1 - b1**t)) / (root + self.epsilon)
