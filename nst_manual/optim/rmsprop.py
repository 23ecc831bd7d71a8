"""RMSProp (T. Tieleman, G. Hinton, Lecture 6.5 of "Neural networks for machine learning", Coursera 2012).

v = decay v + (1 - decay) g^2
x = x - rate  g / (sqrt(v) + epsilon)

Differs from the lecture in epsilon, which every implementation has: without, a pixel whose gradient has
always been zero divides by zero. v begins at zero and nothing corrects for it: the first step is
1 / sqrt(1 - decay) times as long as the rate.
"""

from __future__ import annotations

import math
from typing import Any

from nst_manual.backend import array_module
from nst_manual.optim.bounds import Bounds
from nst_manual.optim.first_order import FirstOrder, checked
from nst_manual.optim.schedule import Schedule


class RMSProp(FirstOrder):
    """Steps of about `rate` in every pixel, by the gradients of the last 1 / (1 - decay) iterations.

    Parameters
    ----------
    rate : float
        In pixel values 0..255.
    decay : float
    epsilon : float
    bounds, schedule
        As `FirstOrder`.
    """

    name, memory = "RMSProp", {"v": 2}

    def __init__(
        self,
        rate: float = 1.0,
        decay: float = 0.9,
        epsilon: float = 1e-8,
        bounds: Bounds | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(rate, bounds, schedule)
        self.decay = checked(self.name, "decay", decay, zero=True)
        self.epsilon = checked(self.name, "epsilon", epsilon, math.inf, zero=True)
        self.v: Any = None

    def _step(self, gradient: Any, rate: float) -> Any:
        self.v = self.decay * self.v + (1 - self.decay) * gradient**2
        return rate * gradient / (array_module(gradient).sqrt(self.v) + self.epsilon)
