"""What the first-order optimisers share: one evaluation and one step an iteration.

x' = P(x - step)        step from the gradient and from what is remembered; P onto the bounds (`bounds.py`)

For steps that are scaled element by element (Adagrad, RMSProp, Adam) P is also the projection in the metric
of the scaling, which the theory of Adagrad asks for: onto a box all diagonal metrics project alike.

The rate of an iteration is the optimiser's times a factor (`schedule.py`).

On a GPU an iteration waits for its loss alone: whether squares are finite comes over with the next one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from nst_manual.backend import array_module, beside, numbers, on_gpu
from nst_manual.errors import UsageError, not_finite
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
from nst_manual.optim.bounds import Bounds, check_bounds, project
from nst_manual.optim.carry import Carried, bilinear
from nst_manual.optim.schedule import Schedule, constant

# Pixel values 0..255. Ten times as much diverges from a start of noise, whose first gradient is small.
FIRST_STEP = 0.1


class FirstOrder:
    """The loop; a subclass has `_step` and names the arrays that it remembers.

    Parameters
    ----------
    rate : float, optional
        Without, that with which the very first step moves pixels by FIRST_STEP (root mean square); it is kept
        from then on, and stands in the attribute `rate`.
    bounds : (float, float), optional
        Of every element of x; the start is projected too.
    schedule : callable, optional
        (iteration, iterations of the whole run) -> factor on the rate; see `schedule.py`.

    Raises
    ------
    UsageError
        A rate that is not above 0, or bounds that are none.
    """

    name = ""
    # attributes: arrays shaped as x, zero at the beginning -> in which power of the gradient's unit they are
    memory: Mapping[str, int] = MappingProxyType({})

    def __init__(
        self, rate: float | None, bounds: Bounds | None = None, schedule: Schedule | None = None
    ) -> None:
        # Python floats, as everywhere here: a float64 of NumPy would make float64 of a float32 image
        self.rate = None if rate is None else checked(self.name, "rate", rate, math.inf)
        self.bounds, self.schedule = check_bounds(bounds), schedule or constant
        self._x: Any = None
        self._done = 0
        self._given = self.rate is not None
        self._restored = False
        self._carried: Carried | None = None

    def minimize(
        self,
        f: Function,
        x: Any,
        iterations: int,
        on_iteration: OnIteration = nothing,
        stop: Stop = never,
    ) -> Result:
        """Take that many steps; one evaluation each.

        Raises
        ------
        UsageError
            A state was restored, and x is not the point at which it was taken.
        DivergedError
            The method needs squares of a gradient for which its type is too small. On a GPU one evaluation
            later.
        """
        x = project(x, self.bounds)
        if not iterations:
            return Result(x, 0)
        self._begin(x)
        result = self._iterate(f, x, iterations, on_iteration, stop)
        if on_gpu(x):
            self._check_squares(x, numbers(self._squares()))
        return result

    def _iterate(self, f: Function, x: Any, iterations: int, on_iteration: OnIteration, stop: Stop) -> Result:
        """Take the steps; on a GPU the squares of the last one have not been checked then."""
        whole, later = self._done + iterations, on_gpu(x)
        for iteration in range(1, iterations + 1):
            loss, gradient, finite = evaluate(
                f, self._asked(x), lambda gradient: self._squares() if later else ()
            )
            if later:
                self._check_squares(x, finite)
            gradient = array_module(x).asarray(gradient, x.dtype)
            self._done += 1
            rate = self._rate(gradient) * float(self.schedule(self._done, whole))
            with np.errstate(over="ignore"):
                step = self._step(gradient, rate)
            if not later:
                self._check_squares(x, numbers(self._squares()))
            x = self._x = self._move(x, step)
            on_iteration(iteration, x)
            if message := stopped(iteration, iterations, loss, stop):
                return Result(x, iteration, message)
        return Result(x, iterations)

    def state(self) -> dict[str, Any]:
        """Return all that the next iteration depends on, copied: arrays and numbers.

        May be called after `minimize` or from `on_iteration`. A schedule takes the length of the whole run
        from the iterations done and those asked for then.

        Raises
        ------
        UsageError
            There has been no iteration.
        """
        if self._x is None:
            raise no_state(self.name)
        arrays = {name: getattr(self, name).copy() for name in self.memory}
        return {"x": self._x.copy(), "iteration": self._done, "rate": self.rate, **arrays}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state: the next `minimize`, from its `x`, does what this one's would have done.

        Raises
        ------
        UsageError
            The state is another optimiser's.
        """
        check_keys(self.name, state, ("x", "iteration", "rate", *self.memory))
        self._x, self._done, self.rate = state["x"].copy(), int(state["iteration"]), float(state["rate"])
        for name in self.memory:
            setattr(self, name, state[name].copy())
        self._restored, self._carried = True, None

    def carry_over(self, state: dict[str, Any], resize: Resize = bilinear) -> None:
        """Begin the next `minimize`, at another size of the image, with what a state remembers.

        Averages, sums and velocities are brought to that size (`carry.py`). Iterations are counted on, for
        Adam's correction and for the schedule: several sizes are one run, and "step:0.5@100" means its
        hundredth iteration. (A cosine needs its length, as in any run that is made in parts.) A rate that was
        found from the first gradient means as much as before; one that was given stays as it is.

        Parameters
        ----------
        state : dict
            What `state` of an optimiser of the same kind has returned.
        resize : callable
            Array (1, h, w, C), (H, W) -> array (1, H, W, C).

        Raises
        ------
        UsageError
            The state is another optimiser's. In `minimize`: the image has other channels.
        """
        self._carried = Carried(self.name, state, ("x", "iteration", "rate", *self.memory), resize)
        self._restored = False

    def _begin(self, x: Any) -> None:
        """Forget the last run, unless it was restored or carried over."""
        if self._restored:
            self._restored = False
            check_restored(self.name, x, self._x)
            for name in ("_x", *self.memory):
                setattr(self, name, beside(getattr(self, name), x))
            return
        carried, self._carried = self._carried, None
        self._x, self._done = None, 0
        if carried is None:
            for name in self.memory:
                setattr(self, name, array_module(x).zeros_like(x))
            return
        for name, power in self.memory.items():
            setattr(self, name, carried.at(x, carried.state[name], power))
        self._done = int(carried.state["iteration"])
        if not self._given:
            self.rate = float(carried.state["rate"]) / carried.gradient_scale(x)

    def _rate(self, gradient: Any) -> float:
        if self.rate is None:
            self.rate = first_rate(gradient, FIRST_STEP)
        return self.rate

    def _squares(self) -> list[Any]:
        """Return for each array of squares whether all of it is finite, as an array () of bool."""
        arrays = (getattr(self, name) for name, power in self.memory.items() if power == 2)
        return [array_module(array).isfinite(array).all() for array in arrays]

    def _check_squares(self, x: Any, finite: list[float]) -> None:
        """Raise `DivergedError` where squares of the gradient do not fit their type: no step would follow."""
        if not all(finite):
            raise not_finite("gradient", f"has squares that are too large for {x.dtype}")

    def _asked(self, x: Any) -> Any:
        """Return where the gradient is wanted."""
        return x

    def _step(self, gradient: Any, rate: float) -> Any:
        """Return what is subtracted from x, a new array; renew what is remembered."""
        raise NotImplementedError

    def _move(self, x: Any, step: Any) -> Any:
        """Return x', a new array."""
        return project(x - step, self.bounds)


def first_rate(gradient: Any, length: float) -> float:
    """Return the rate at which a step along the gradient has that length, root mean square."""
    xp = array_module(gradient)
    size = numbers([xp.sqrt(xp.mean(gradient.astype(xp.float64) ** 2))])[0]
    return length / size if size else 0.0


def checked(name: str, what: str, value: Any, below: float = 1.0, zero: bool = False) -> float:
    """Return a number between 0 and `below` as a Python float; 0 itself only where allowed.

    Raises
    ------
    UsageError
        It is none, or not in that range.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (0 <= number < below and (number or zero)):
        least = "of 0 or more" if zero else "above 0"
        most = "" if below == math.inf else f" and below {below:g}"
        raise UsageError(name, f"expected as {what} a number {least}{most}, got {value!r}")
    return number
