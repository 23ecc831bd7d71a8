"""What optimisers share: they see a function of an array, never a network.

    f(x) -> (loss, gradient)        loss a float, gradient shaped as x, and where x lives

What an optimiser wants to know of an evaluation (slopes, norms) it asks for with it, by `evaluate`: on a GPU
all numbers come over in one transfer then, and an iteration waits once an evaluation.

`on_iteration(iteration, x)` is called after every iteration, counted from 1; it may keep x only as a copy.
`stop(iteration, loss)` is asked after it, with the last loss that the iteration evaluated; it says why to end
there, or "" to go on. See `progress.NoProgress`.

An optimiser with a `state` goes on from it as if it had never stopped, to the bit: `restore(state)`, then
`minimize` from state["x"]. A state is arrays and numbers, such as a file holds. It serves one run; without it
each run begins anew.

At another size of the image an optimiser can begin with what is left of a state there: `carry_over(state)`,
then `minimize` from any image. See `carry.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nst_manual.backend import beside, numbers
from nst_manual.errors import UsageError

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]
OnIteration = Callable[[int, np.ndarray], None]
Stop = Callable[[int, float], str]
Resize = Callable[[Any, tuple[int, int]], Any]  # (1, h, w, C), (H, W) -> (1, H, W, C)
Measures = Callable[[Any], Sequence[Any]]  # gradient -> floats, or arrays of one element


@dataclass(frozen=True)
class Result:
    """Where an optimiser ended.

    Attributes
    ----------
    x : array
    iterations : int
    message : str
        Why it stopped before the iterations asked for; empty when it did not.
    failed : bool
        Whether that is a line search that found nothing, although the gradient says that there is.
    """

    x: np.ndarray
    iterations: int
    message: str = ""
    failed: bool = False


class Optimizer(Protocol):
    """The methods that all optimisers have."""

    def minimize(
        self, f: Function, x: np.ndarray, iterations: int, on_iteration: OnIteration, stop: Stop
    ) -> Result:
        """Minimise f from x."""

    def state(self) -> dict[str, Any]:
        """Return all that the next iteration depends on, copied."""

    def restore(self, state: dict[str, Any]) -> None:
        """Let the next `minimize`, from the state's x, go on from there."""

    def carry_over(self, state: dict[str, Any], resize: Resize) -> None:
        """Let the next `minimize`, from an image of any size, begin with the state's memory."""


def evaluate(f: Function, x: Any, measures: Measures) -> tuple[float, Any, list[float]]:
    """Return loss and gradient at x, and the numbers that `measures` makes of the gradient.

    A function that has a method `measured(x, measures)`, with the same result, may bring all of them over
    from a GPU together.
    """
    if hasattr(f, "measured"):
        return f.measured(x, measures)
    loss, gradient = f(x)
    return loss, gradient, numbers(measures(gradient))


def nothing(iteration: int, x: np.ndarray) -> None:
    """Do nothing: the default of `on_iteration`."""


def never(iteration: int, loss: float) -> str:
    """Go on: the default of `stop`."""
    return ""


def stopped(iteration: int, iterations: int, loss: float, stop: Stop) -> str:
    """Ask `stop`, and return the message with which to end; the last iteration ends without one."""
    why = stop(iteration, loss)
    return why if iteration < iterations else ""


def check_restored(name: str, x: Any, restored: Any) -> None:
    """Raise `UsageError` where a run begins elsewhere than at the point of the restored state."""
    alike = x.shape == restored.shape and x.dtype == restored.dtype
    if not alike or not bool((x == beside(restored, x)).all()):
        raise UsageError(name, "expected to go on from the point of the restored state")


def check_keys(name: str, state: dict[str, Any], keys: Iterable[str]) -> None:
    """Raise `UsageError` for a state that another kind of optimiser made."""
    if missing := [key for key in keys if key not in state]:
        raise UsageError(name, f"the state is another optimiser's, it has no {', '.join(missing)}")


def no_state(name: str) -> UsageError:
    """Return the error for a state that is asked for too early."""
    return UsageError(name, "there is no state before the first iteration")
