"""Gradient descent as the first page of every course has it; with a search for the rate, if wanted.

x' = P(x - rate g)               P onto the bounds, if there are any

Backtracking: the rate is halved until the step earns a share of what the slope promises,

f(x') <= f(x) + C1 g . (x' - x)

(L. Armijo, "Minimization of functions having Lipschitz continuous first partial derivatives", Pacific Journal
of Mathematics 1966; along the projected path D. Bertsekas, "On the Goldstein-Levitin-Polyak gradient
projection method", IEEE Transactions on Automatic Control 1976, equation 13).
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, beside, on_gpu
from nst_manual.errors import UsageError
from nst_manual.optim.base import (
    Function,
    OnIteration,
    Resize,
    Result,
    Stop,
    check_keys,
    check_restored,
    evaluate,
    never,
    no_state,
    nothing,
    stopped,
)
from nst_manual.optim.bounds import Bounds, project
from nst_manual.optim.carry import Carried, bilinear
from nst_manual.optim.corrections import dot
from nst_manual.optim.first_order import FirstOrder, first_rate
from nst_manual.optim.schedule import Schedule

C1 = 1e-4

# The first rate of a search moves pixels so far (root mean square): one too long costs an evaluation or
# three, one too short a dozen iterations.
FIRST_STEP = 8.0

# A rate that is good at once is tried at so many times itself next.
GROWTH = 2.0

# 2^-40 of a step is below the rounding of float32, from wherever one starts.
MOST_EVALUATIONS = 40


class GradientDescent(FirstOrder):
    """x' = x - rate dx.

    Parameters
    ----------
    rate : float, optional
        Pixel values a unit of gradient. What is right depends on the scale of the loss and on the size of the
        image: with one too large the loss grows. Without, as `FirstOrder`.
        With backtracking: the first to be tried; without, that with which pixels move by FIRST_STEP.
    bounds, schedule
        As `FirstOrder`.
    backtracking : bool
        Search for the rate in each iteration: the loss never grows.

    Raises
    ------
    UsageError
        A schedule, where the rate is searched for.
    """

    name = "gradient descent"

    def __init__(
        self,
        rate: float | None = None,
        bounds: Bounds | None = None,
        schedule: Schedule | None = None,
        backtracking: bool = False,
    ) -> None:
        super().__init__(rate, bounds, schedule)
        if backtracking and schedule is not None:
            raise UsageError(self.name, "backtracking finds the rate, a schedule would have no effect")
        self.backtracking = backtracking
        self._loss = 0.0
        self._gradient: Any = None
        self._trial = 0.0  # the rate that the next search begins with

    def minimize(
        self,
        f: Function,
        x: Any,
        iterations: int,
        on_iteration: OnIteration = nothing,
        stop: Stop = never,
    ) -> Result:
        """Take that many steps; one evaluation each, with backtracking about 1.5.

        Raises
        ------
        UsageError
            A state was restored, and x is not the point at which it was taken.
        """
        if not (self.backtracking and iterations):
            return super().minimize(f, x, iterations, on_iteration, stop)
        x = project(x, self.bounds)
        if self._restored:
            self._restored = False
            check_restored(self.name, x, self._x)
            self._x, self._gradient = beside(self._x, x), beside(self._gradient, x)
        else:
            self._keep(x, *f(x))
            self._trial = self._first_trial(x)
        for iteration in range(1, iterations + 1):
            if not self._descend(f):
                message = "gradient descent found no lower point"
                movable = project(self._x - self._gradient, self.bounds) != self._x
                return Result(self._x, iteration - 1, message, failed=bool(movable.any()))
            on_iteration(iteration, self._x)
            if message := stopped(iteration, iterations, self._loss, stop):
                return Result(self._x, iteration, message)
        return Result(self._x, iterations)

    def state(self) -> dict[str, Any]:
        """Return what `FirstOrder.state` does; with backtracking also the last loss and gradient."""
        if not self.backtracking:
            return super().state()
        if self._x is None:
            raise no_state(self.name)
        x, gradient = self._x.copy(), self._gradient.copy()
        return {"x": x, "rate": self._trial, "loss": self._loss, "gradient": gradient}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; raises as `FirstOrder.restore` does."""
        if not self.backtracking:
            super().restore(state)
            return
        check_keys(f"{self.name} with backtracking", state, ("x", "rate", "loss", "gradient"))
        self._x, self._gradient = state["x"].copy(), state["gradient"].copy()
        self._loss, self._trial = float(state["loss"]), float(state["rate"])
        self._restored, self._carried = True, None

    def carry_over(self, state: dict[str, Any], resize: Resize = bilinear) -> None:
        """Begin as `FirstOrder.carry_over` has it; with backtracking by trying the rate found last."""
        if not self.backtracking:
            super().carry_over(state, resize)
            return
        name = f"{self.name} with backtracking"
        self._carried = Carried(name, state, ("x", "rate", "loss", "gradient"), resize)
        self._restored = False

    def _step(self, gradient: Any, rate: float) -> Any:
        return rate * gradient

    def _first_trial(self, x: Any) -> float:
        """Return the rate that the first search begins with."""
        carried, self._carried = self._carried, None
        if carried is not None:
            return float(carried.state["rate"]) / carried.gradient_scale(x)
        return first_rate(self._gradient, FIRST_STEP) if self.rate is None else self.rate

    def _keep(self, x: Any, loss: float, gradient: Any) -> None:
        """Keep where we are; the gradient may be a buffer of f's."""
        self._x, self._loss = x, loss
        self._gradient = array_module(x).array(gradient, x.dtype)

    def _descend(self, f: Function) -> bool:
        """Take one step; return False, and stay, where none is found."""
        trial = self._trial
        for tried in range(MOST_EVALUATIONS):
            x = project(self._x - trial * self._gradient, self.bounds)
            slope = dot(self._gradient.reshape(-1), (x - self._x).reshape(-1))
            if on_gpu(x):  # where a wait costs more than an evaluation in vain, at the very end
                loss, gradient, (slope,) = evaluate(f, x, lambda gradient, slope=slope: [slope])
            if not slope < 0:  # a gradient of zero, or one that points out of the bounds, or rounding
                return False
            if not on_gpu(x):
                loss, gradient = f(x)
            if loss <= self._loss + C1 * slope:
                self._keep(x, loss, gradient)
                self._trial = trial if tried else trial * GROWTH
                return True
            trial /= 2
        return False
