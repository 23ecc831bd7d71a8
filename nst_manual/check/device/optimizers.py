"""Optimisers: the same way on the GPU as in NumPy, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nst_manual.backend import array_module, beside, numbers, to_device
from nst_manual.check.device.case import Check, difference, generator
from nst_manual.optim import LBFGS, Adagrad, Adam, Averaged, GradientDescent, Momentum, RMSProp, ScipyLBFGS

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "LBFGS": LBFGS,
    "LBFGS, short history": lambda: LBFGS(3),
    "LBFGS, bounds": lambda: LBFGS(bounds=(0.0, 1.0)),
    "ScipyLBFGS": ScipyLBFGS,
    "Adam": Adam,
    "Adam, bounds": lambda: Adam(rate=0.1, bounds=(0.0, 1.0)),
    "Adam, averaged": lambda: Averaged(Adam(rate=0.1), 0.9),
    "Adagrad": Adagrad,
    "RMSProp": RMSProp,
    "Momentum": Momentum,
    "Momentum, Nesterov": lambda: Momentum(nesterov=True),
    "GradientDescent": GradientDescent,
    "GradientDescent, backtracking": lambda: GradientDescent(backtracking=True),
}
ITERATIONS = 8
# An iteration hands on the rounding of the one before, enlarged by no more than the condition of the function
# (CONDITION), and adds some of its own. What quotients of L-BFGS add is as much again.
CONDITION = 10.0
EXACT = 1e-15 * 100 * CONDITION * ITERATIONS


def checks() -> Iterator[Check]:
    """Yield the checks."""
    for name, make in OPTIMIZERS.items():
        yield Check("optimisers", name, lambda m=make: optimizer_error(m))
        if "averaged" not in name and "Scipy" not in name:
            yield Check("optimisers", f"{name}, going on from a state", lambda m=make: resumed_error(m))


class Function:
    """f(x) = sum of c (x - p)^2 / 2 + (x - p)^4 / 4, with p in 0.2..1.4 and c in 1..CONDITION."""

    def __init__(self) -> None:
        rng = generator("optimisers")
        shape = (1, 5, 7, 3)
        self.p, self.c = rng.uniform(0.2, 1.4, shape), rng.uniform(1, CONDITION, shape)
        self.start = rng.uniform(0, 1, shape)

    def __call__(self, x: Any) -> tuple[float, Any]:
        """Return loss and gradient."""
        p, c = beside(self.p, x), beside(self.c, x)
        moved = x - p
        loss = (c * moved**2 / 2 + moved**4 / 4).sum(dtype=array_module(x).float64)
        return numbers([loss])[0], c * moved + moved**3


def optimizer_error(make: Callable[[], Any]) -> tuple[float, float]:
    """Return error and bound of the point after some iterations."""
    f, ends = Function(), []
    for place in (np.array, to_device):
        ends.append(make().minimize(f, place(f.start), ITERATIONS).x)
    return difference(*reversed(ends)), EXACT


def resumed_error(make: Callable[[], Any]) -> tuple[float, float]:
    """Return error and bound of a way that is interrupted, its state taken up by another optimiser."""
    f = Function()
    whole = make().minimize(f, np.array(f.start), ITERATIONS).x
    first, second = make(), make()
    first.minimize(f, to_device(f.start), ITERATIONS // 2)
    state = first.state()
    second.restore(state)
    there = second.minimize(f, to_device(state["x"]), ITERATIONS - ITERATIONS // 2).x
    return difference(there, whole), EXACT
