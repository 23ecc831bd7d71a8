"""Adagrad (J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic
optimization", JMLR 2011, the diagonal case of figure 1).

G = G + g^2                      the sum over all iterations
x = x - rate  g / (sqrt(G) + epsilon)
"""

from __future__ import annotations

import math
from typing import Any

from nst_manual.backend import array_module
from nst_manual.optim.bounds import Bounds
from nst_manual.optim.first_order import FirstOrder, checked
from nst_manual.optim.schedule import Schedule


class Adagrad(FirstOrder):
    """Steps that begin with `rate` in every pixel and shrink, where gradients stay alike as 1 / sqrt(t).

    Parameters
    ----------
    rate : float
        In pixel values 0..255. Larger than Adam's, since it only falls.
    epsilon : float
        The paper's delta.
    bounds, schedule
        As `FirstOrder`.
    """

    name, memory = "Adagrad", {"squares": 2}

    def __init__(
        self,
        rate: float = 10.0,
        epsilon: float = 1e-8,
        bounds: Bounds | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(rate, bounds, schedule)
        self.epsilon = checked(self.name, "epsilon", epsilon, math.inf, zero=True)
        self.squares: Any = None

    def _step(self, gradient: Any, rate: float) -> Any:
        self.squares = self.squares + gradient**2
        return rate * gradient / (array_module(gradient).sqrt(self.squares) + self.epsilon)
