"""The loss along the path of a line search.

p(t) = f(P(x + t d))             with p'(t), along the path that the bounds have bent (`bounds.py`)
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, on_gpu
from nst_manual.optim.base import Function, evaluate
from nst_manual.optim.bounds import Bounds, bent_slope, project
from nst_manual.optim.corrections import dot, products


class Path:
    """t -> (p(t), p'(t)); each point is a new array, since f and its caller may keep it.

    On a GPU all numbers come over with the loss of an evaluation: what a pair of L-BFGS is judged by, and
    p'(0) with that of t = 1, which a search asks for first, and which is made at the beginning. Where p'(0)
    is not negative, that evaluation was of x itself, and in vain.

    Parameters
    ----------
    f : callable
    x : array
        As f wants it.
    gradient, direction : array (n,)
        Of f at x, and d. On a GPU a direction that does not lead down is set to zero.
    bounds : (float, float), optional

    Attributes
    ----------
    slope : float
        p'(0) = g . d
    tried : (array (n,), float, array (n,))
        The last point, its loss and gradient.
    products : list of float or None
        s . y, s . s and y . y between x and the last point, where they are known.
    """

    def __init__(self, f: Function, x: Any, gradient: Any, direction: Any, bounds: Bounds | None) -> None:
        self.f, self.shape, self.bounds = f, x.shape, bounds
        self.start, self.gradient, self.direction = x.reshape(-1), gradient, direction
        self.slope = dot(gradient, direction)
        self.products: list[float] | None = None
        self._first: tuple[float, float] | None = None
        if on_gpu(x):
            nowhere = direction.dtype.type(0)
            direction[...] = array_module(x).where(self.slope < 0, direction, nowhere)
            self._first = self._at(1.0)

    def __call__(self, step: float) -> tuple[float, float]:
        """Return loss and slope at a step."""
        first, self._first = self._first, None
        return self._at(step) if first is None else first

    def _at(self, step: float) -> tuple[float, float]:
        """Evaluate."""
        x = self.direction * step
        x += self.start
        inside = project(x, self.bounds)

        def measures(gradient: Any) -> list[Any]:
            gradient = gradient.reshape(-1)
            slope = bent_slope(gradient, self.direction, x, inside)
            if not on_gpu(x):
                return [slope]
            return [slope, self.slope, *products(inside - self.start, gradient - self.gradient)]

        loss, gradient, (slope, *others) = evaluate(self.f, inside.reshape(self.shape), measures)
        if others:
            self.slope, *self.products = others
        self.tried = inside, loss, gradient.reshape(-1)
        return loss, slope
