"""Exercise: gradient descent on an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal
from nst_manual.optim import GradientDescent

NAME = "gradient-descent"
TITLE = "Gradient descent: an image goes downhill"
TEMPLATE = '''
def gradient_descent(f, x, steps, rate):
    """Minimise a function of an image by gradient descent.

        (loss, dx) = f(x)
        x' = x - rate dx            that many times

    Parameters
    ----------
    f : function
        f(x) -> (loss, dx): a float, and an array shaped as x. In style transfer one call is a pass forward
        and one backward through the network: call it once a step. It may write its next dx into the same
        array.
    x : array (1, H, W, C)
        The image to start from; left as it is.
    steps : int
    rate : float
        Learning rate.

    Returns
    -------
    losses : list of float
        The loss at the beginning of each step: as many as there are steps.
    x : array (1, H, W, C)
        The image after the last step.

    Example
    -------
    f(x) = (x^2 / 2, x) for one pixel, x = 8, two steps, rate 0.5:  8 -> 4 -> 2, the losses are 32 and 8.
    """
    raise NotImplementedError
'''
HINTS = (
    "A loop of three lines: ask f, keep the loss, make the next x.",
    "x = x - rate * dx makes a new array; x -= rate * dx writes to the one that the caller has given.",
)


class _Function:
    """A smooth function of an image whose gradient is written into one array again and again."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        self.centre = normal(seed, *shape)
        self.curvature = 1 + np.random.default_rng(seed + 1).random(shape)
        self.gradient = np.empty(shape)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        d = x - self.centre
        self.gradient[...] = self.curvature * d + np.sin(d)
        return float(np.sum(self.curvature * d**2 / 2 - np.cos(d))), self.gradient


def cases() -> list[Case]:
    """Return the calls to be checked."""
    return [
        _case((1, 4, 6, 3), 1, 7, 0.1, ""),
        _case((1, 5, 3, 3), 2, 1, 0.5, "one step"),
        _case((1, 3, 4, 1), 3, 5, 0.9, "a rate so large that the loss grows at times"),
        _case((1, 2, 3, 3), 4, 0, 0.1, "no step"),
    ]


def _case(shape: tuple[int, ...], seed: int, steps: int, rate: float, note: str) -> Case:
    f, x = _Function(shape, seed), normal(seed + 10, *shape)
    losses: list[float] = []

    def kept(image: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = f(image)
        losses.append(loss)
        return loss, gradient

    end = GradientDescent(rate).minimize(kept, x, steps).x
    after = [*losses[1:], f(end)[0]] if steps else []
    up, up_losses = _variant(f, x, steps, lambda x, dx: x + rate * dx)
    unit, _ = _variant(f, x, steps, lambda x, dx: x - rate * dx / np.linalg.norm(dx))
    sign, _ = _variant(f, x, steps, lambda x, dx: x - rate * np.sign(dx))
    plain, _ = _variant(f, x, steps, lambda x, dx: x - dx)
    start, _ = _variant(f, x, steps, lambda now, dx: x - rate * dx)
    wrong: dict[str, Any] = {
        "it goes uphill, x + rate dx: the gradient points to where the loss grows": up,
        "the gradient is divided by its norm: it is to be used as it is": unit,
        "only the sign of the gradient is used": sign,
        "the learning rate is not used": plain,
        "each step starts from the first x: it is to start from the last one": start,
    }
    if steps:
        wrong["it is x as it was before: the new x is not kept"] = x
        wrong["the last step is missing"] = GradientDescent(rate).minimize(f, x, steps - 1).x
        wrong["there is one step too many"] = GradientDescent(rate).minimize(f, x, steps + 1).x
    of_losses = {
        "these are the losses after each step, they are to be those before": after,
        "these are the losses on a way uphill: x - rate dx goes down": up_losses,
    }
    counts = {
        (steps + 1,): "the loss after the last step is in it, or there is one step too many",
        (steps - 1,): "one is missing: each step begins with a call of f",
    }
    return Case(
        "gradient_descent",
        {"f": f, "x": x, "steps": steps, "rate": rate},
        (Expected(losses, "losses", of_losses, shapes=counts), Expected(end, "x", wrong)),
        note,
    )


def _variant(
    f: _Function, x: np.ndarray, steps: int, step: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, list[float]]:
    """Return where other steps lead, and the losses on the way."""
    losses = []
    for _ in range(steps):
        loss, gradient = f(x)
        losses.append(loss)
        x = step(x, gradient)
    return x, losses
