"""Functions with known minima, of arrays shaped as images, and a record of what optimisers ask of them."""

import numpy as np

SHAPE = (1, 2, 2, 3)


class Recorded:
    """A function that keeps the points at which it was asked, and what it answered."""

    def __init__(self, function):
        self.function, self.points, self.losses = function, [], []

    def __call__(self, x):
        """Answer, and keep a copy."""
        loss, gradient = self.function(x)
        self.points.append(x.copy())
        self.losses.append(loss)
        return loss, gradient


def quadratic(x):
    """Sum a x^2 / 2 with a from 1 to 12: the minimum is 0, at 0."""
    a = np.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)
    return float((a * x**2).sum() / 2), a * x


def rosenbrock(x):
    """Sum 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 over the elements in order: the minimum is 0, all are 1."""
    flat = x.ravel()
    here, following = flat[:-1], flat[1:]
    valley = following - here**2
    gradient = np.zeros_like(flat)
    gradient[:-1] = -400 * here * valley - 2 * (1 - here)
    gradient[1:] += 200 * valley
    return float((100 * valley**2 + (1 - here) ** 2).sum()), gradient.reshape(x.shape)


def wide(x):
    """Sum a cosh x with a from 1 to 12: smooth, convex, and no quadratic; the minimum is 78, at 0."""
    a = np.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)
    return float((a * np.cosh(x)).sum()), a * np.sinh(x)


def start(dtype=float, seed=0):
    """Return a point away from all minima."""
    return np.random.default_rng(seed).uniform(-1, 1, SHAPE).astype(dtype)
