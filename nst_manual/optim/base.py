"""What optimisers share: they see a function of an array, never a network.

    f(x) -> (loss, gradient)        loss a float, gradient shaped as x

`on_iteration(iteration, x)` is called after every iteration, counted from 1; it may keep x only as a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]
OnIteration = Callable[[int, np.ndarray], None]


@dataclass(frozen=True)
class Result:
    """Where an optimiser ended.

    Attributes
    ----------
    x : array
    iterations : int
    message : str
        Why it stopped before the iterations asked for; empty when it did not.
    """

    x: np.ndarray
    iterations: int
    message: str = ""


class Optimizer(Protocol):
    """The one method that all optimisers have."""

    def minimize(self, f: Function, x: np.ndarray, iterations: int, on_iteration: OnIteration) -> Result:
        """Minimise f from x."""


def nothing(iteration: int, x: np.ndarray) -> None:
    """Do nothing: the default of `on_iteration`."""
