"""Iterate averaging around any optimiser.

A = decay A + (1 - decay) x             the average, A / (1 - decay^t) corrected for its beginning at zero

The optimiser goes its way unchanged; what is shown and returned is the average (B. Polyak, A. Juditsky,
"Acceleration of stochastic approximation by averaging", SIAM Journal on Control and Optimization 1992, with
exponential weights; K. Crowson's style-transfer-pytorch takes 0.99). The noise of steps that are too long
averages out. The two formulas are kept as one, whose value needs no correction:

a = a + (1 - decay) / (1 - decay^t) (x - a)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nst_manual.backend import beside
from nst_manual.optim.base import (
    Function,
    OnIteration,
    Optimizer,
    Resize,
    Result,
    Stop,
    check_keys,
    never,
    no_state,
    nothing,
)
from nst_manual.optim.bounds import Bounds, project
from nst_manual.optim.carry import bilinear
from nst_manual.optim.first_order import checked


class Averaged:
    """An optimiser whose result is the average of its iterates.

    Parameters
    ----------
    optimizer : Optimizer
    decay : float
        The last 1 / (1 - decay) iterates count.

    Notes
    -----
    The losses that `f` gives and `stop` gets are those of the optimiser's own points, not of the average.
    """

    name = "averaging"

    def __init__(self, optimizer: Optimizer, decay: float = 0.99) -> None:
        self.optimizer, self.decay = optimizer, checked(self.name, "decay", decay, zero=True)
        self._average: Any = None
        self._count = 0
        self._restored = False

    @property
    def bounds(self) -> Bounds | None:
        """The optimiser's."""
        return self.optimizer.bounds

    def minimize(
        self,
        f: Function,
        x: Any,
        iterations: int,
        on_iteration: OnIteration = nothing,
        stop: Stop = never,
    ) -> Result:
        """Iterate as the optimiser does; raises what it raises."""
        if not iterations:
            return self.optimizer.minimize(f, x, 0)
        if self._restored:
            self._average = beside(self._average, x)
        else:
            self._average, self._count = None, 0
        self._restored = False

        def average(iteration: int, x: Any) -> None:
            self._include(x)
            on_iteration(iteration, self._average)

        result = self.optimizer.minimize(f, x, iterations, average, stop)
        shown = result.x if self._average is None else self._average
        return replace(result, x=shown)

    def state(self) -> dict[str, Any]:
        """Return the optimiser's state, whose `x` is where to go on, with the average and its length.

        Raises
        ------
        UsageError
            There has been no iteration, or the optimiser has no state.
        """
        if self._average is None:
            raise no_state(self.name)
        return {**self.optimizer.state(), "average": self._average.copy(), "averaged": self._count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state: the next `minimize`, from its `x`, does what this one's would have done.

        Raises
        ------
        UsageError
            The state has no average, or the optimiser refuses it.
        """
        check_keys(self.name, state, ("average", "averaged"))
        self.optimizer.restore(_own(state))
        self._average, self._count = state["average"].copy(), int(state["averaged"])
        self._restored = True

    def carry_over(self, state: dict[str, Any], resize: Resize = bilinear) -> None:
        """Begin the next `minimize`, at another size, with the optimiser's memory; the average begins anew.

        It is made of points: those of the smaller image, enlarged, would only blur it. So a state without an
        average does as well.

        Raises
        ------
        UsageError
            The optimiser refuses the state.
        """
        self.optimizer.carry_over(_own(state), resize)
        self._restored = False

    def _include(self, x: Any) -> None:
        """Let the average take in one more point; a new array, since the last one may be in use."""
        self._count += 1
        if self._count == 1:
            self._average = x.copy()
            return
        weight = (1 - self.decay) / (1 - self.decay**self._count)
        self._average = project(self._average + weight * (x - self._average), self.bounds)


def _own(state: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a state that is the optimiser's."""
    return {name: state[name] for name in state if name not in ("average", "averaged")}
