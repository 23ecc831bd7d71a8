"""Gradient descent with momentum.

v = mu v - rate g(x)             x = x + v        the heavy ball
v = mu v - rate g(x + mu v)      x = x + v        Nesterov's

B. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Computational Mathematics
and Mathematical Physics 1964; the second in the form of I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the
importance of initialization and momentum in deep learning", ICML 2013, equations 3 and 4.

With bounds, x + mu v and x' are projected, and where x' was, v is the way that was really gone: a ball at a
wall does not go on pushing.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.optim.bounds import Bounds, project
from nst_manual.optim.first_order import FirstOrder, checked
from nst_manual.optim.schedule import Schedule


class Momentum(FirstOrder):
    """The heavy ball, or Nesterov's accelerated gradient.

    Parameters
    ----------
    rate : float, optional
        Pixel values a unit of gradient; where gradients stay alike, steps grow to rate / (1 - momentum) times
        the gradient. Without, as `FirstOrder`.
    momentum : float
        mu.
    nesterov : bool
        Take the gradient where the momentum leads: the loss is evaluated there too, not at the image.
    bounds, schedule
        As `FirstOrder`.
    """

    name, memory = "momentum", {"v": 0}

    def __init__(
        self,
        rate: float | None = None,
        momentum: float = 0.9,
        nesterov: bool = False,
        bounds: Bounds | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(rate, bounds, schedule)
        self.momentum = checked(self.name, "momentum", momentum, zero=True)
        self.nesterov = nesterov
        self.v: Any = None

    def _asked(self, x: Any) -> Any:
        return project(x + self.momentum * self.v, self.bounds) if self.nesterov else x

    def _step(self, gradient: Any, rate: float) -> Any:
        self.v = self.momentum * self.v - rate * gradient
        return -self.v

    def _move(self, x: Any, step: Any) -> Any:
        free = x - step
        if self.bounds is None:
            return free
        inside = project(free, self.bounds)
        self.v = array_module(x).where(inside == free, self.v, inside - x)
        return inside
