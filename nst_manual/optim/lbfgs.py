"""L-BFGS (J. Nocedal, "Updating quasi-Newton matrices with limited storage", Mathematics of Computation 1980;
J. Nocedal, S. Wright, Numerical Optimization, 2nd edition, algorithm 7.5).

d = -H g          H from the last corrections (`corrections.py`)
x' = x + t d      t from a line search that starts at 1 (`line_search.py`)

With bounds, low <= x <= high, it is a projected quasi-Newton method (D. Bertsekas, "Projected Newton methods
for optimization problems with simple constraints", SIAM Journal on Control and Optimization 1982; with
limited memory M. Schmidt, D. Kim, S. Sra, "Projected Newton-type methods in machine learning", 2011):

d = -H g          in the variables that are free, with the H of the corrections' parts in them; 0 in those
                  that stand at a bound and would leave it, by -g or by d
x' = P(x + t d)   t from a search along that path with its bends (`weak_wolfe.py`)

Differs from Bertsekas in that a variable is held at its bound only, not within a small distance of it.

Vectors are in the type of the image and stay where it lives; what is summed over pixels is in float64. On a
GPU an iteration waits once an evaluation (`path.py`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nst_manual.backend import array_module, beside, on_gpu
from nst_manual.optim.base import (
    Function,
    OnIteration,
    Resize,
    Result,
    Stop,
    check_keys,
    check_restored,
    never,
    no_state,
    nothing,
    stopped,
)
from nst_manual.optim.bounds import Bounds, check_bounds, outward, project
from nst_manual.optim.carry import Carried, bilinear
from nst_manual.optim.corrections import Corrections, dot, multiply_by
from nst_manual.optim.line_search import strong_wolfe
from nst_manual.optim.path import Path
from nst_manual.optim.weak_wolfe import weak_wolfe

# Pixel values 0..255, root mean square: the first step to be tried where there are no corrections yet. The
# gradient alone says nothing about length: it grows with the weights of the losses. Measured at 96 and 128
# pixels, from a photograph and from noise: with 8 the loss after 25 evaluations is 8 to 28 % lower than with
# 1, as a mean over three paintings; 4 and 16 are about as good.
FIRST_STEP = 8.0

SEARCH_FAILED = "the line search failed"


class LBFGS:
    """Limited-memory BFGS.

    Parameters
    ----------
    history : int
        Corrections kept: pairs of steps and gradient differences, each as large as two images.
    bounds : (float, float), optional
        Of every element of x; no point outside is evaluated. The start is projected.
    """

    # Steps of one without a search, as neural-style takes them, are no cheaper and came less far; see
    # tools/compare_optimizers.py, which also has them.
    search = staticmethod(strong_wolfe)
    bent_search = staticmethod(weak_wolfe)  # with bounds

    def __init__(self, history: int = 10, bounds: Bounds | None = None) -> None:
        self.history, self.bounds = history, check_bounds(bounds)
        self._x: Any = None  # as the caller shaped it; all else is flat
        self._loss = math.nan
        self._gradient: Any = None
        self._direction: Any = None
        self._corrections: Corrections | None = None
        self._restored = False
        self._carried: Carried | None = None

    def minimize(
        self,
        f: Function,
        x: np.ndarray,
        iterations: int,
        on_iteration: OnIteration = nothing,
        stop: Stop = never,
    ) -> Result:
        """Iterate; about 1.1 evaluations each.

        When a line search fails (float32 rounding can make one fail near a minimum), the corrections are
        thrown away and the next one goes along the gradient; if that fails too, it ends.

        Raises
        ------
        UsageError
            A state was restored, and x is not the point at which it was taken.
        """
        x = project(x, self.bounds)
        if not iterations:
            return Result(x, 0)
        self._begin(f, x)
        for done in range(iterations):
            while not self._advance(f):
                if not self._corrections:
                    why = self._why()
                    message = f"L-BFGS found no lower point ({why})"
                    return Result(self._x, done, message, failed=why == SEARCH_FAILED)
                self._corrections.clear()
            on_iteration(done + 1, self._x)
            if message := stopped(done + 1, iterations, self._loss, stop):
                return Result(self._x, done + 1, message)
        return Result(self._x, iterations)

    def state(self) -> dict[str, Any]:
        """Return all that the next iteration depends on, copied: arrays and numbers.

        May be called after `minimize` or from `on_iteration`. A line search leaves nothing behind but the
        point it found: each one begins at step 1.

        Raises
        ------
        UsageError
            There has been no iteration.
        """
        if self._x is None:
            raise no_state("L-BFGS")
        return {
            "x": self._x.copy(),
            "loss": self._loss,
            "gradient": self._gradient.copy(),
            **self._corrections.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state: the next `minimize`, from its `x`, does what this one's would have done.

        Raises
        ------
        UsageError
            The state is another optimiser's, or holds more corrections than this one keeps.
        """
        check_keys("L-BFGS", state, ("x", "loss", "gradient", "s", "y"))
        self._take_back(state)
        self._restored, self._carried = True, None

    def carry_over(self, state: dict[str, Any], resize: Resize = bilinear) -> None:
        """Begin the next `minimize`, at another size of the image, with a state's corrections.

        Both s and y are brought to that size (`carry.py`); pairs that are left without positive curvature are
        dropped, and of more than `history` the oldest.

        Parameters
        ----------
        state : dict
            What `state` of an L-BFGS has returned.
        resize : callable
            Array (1, h, w, C), (H, W) -> array (1, H, W, C).

        Raises
        ------
        UsageError
            The state is another optimiser's. In `minimize`: the image has other channels.
        """
        self._carried = Carried("L-BFGS", state, ("x", "s", "y"), resize)
        self._restored = False

    def _take_back(self, state: dict[str, Any]) -> None:
        """Stand where a state was taken, on the device where its arrays are."""
        self._x, self._loss = state["x"].copy(), float(state["loss"])
        self._gradient = state["gradient"].copy()
        self._direction = array_module(self._x).empty_like(self._gradient)
        self._corrections = Corrections(self.history, self._gradient)
        self._corrections.restore(state)

    def _begin(self, f: Function, x: Any) -> None:
        """Evaluate the start, unless it was restored."""
        xp = array_module(x)
        if self._restored:
            self._restored = False
            check_restored("L-BFGS", x, self._x)
            if on_gpu(x) != on_gpu(self._x):  # a state from a file
                state = self.state()
                self._take_back(
                    state | {name: beside(state[name], x) for name in ("x", "gradient", "s", "y")}
                )
            return
        loss, gradient = f(x)
        self._x, self._loss = x, loss
        self._gradient = xp.array(gradient, x.dtype).reshape(-1)
        self._direction = xp.empty_like(self._gradient)
        self._corrections = Corrections(self.history, self._gradient)
        carried, self._carried = self._carried, None
        if carried is not None:
            for s, y in zip(carried.state["s"], carried.state["y"], strict=True):
                self._corrections.add(carried.at(x, s).reshape(-1), carried.at(x, y, 1).reshape(-1))

    def _advance(self, f: Function) -> bool:
        """Take one step; return False, and stay, where none is found."""
        direction = self._downhill()
        path = Path(f, self._x, self._gradient, direction, self.bounds)
        if not path.slope < 0:  # rounding, or a gradient that is zero
            return False
        search = self.search if self.bounds is None else self.bent_search
        if search(path, self._loss, path.slope) is None:
            return False
        # the last point tried is the one found; direction and old gradient are done with, and lend their room
        x, self._loss, gradient = path.tried
        array_module(x).subtract(x, self._x.reshape(-1), out=direction)
        self._x = x.reshape(self._x.shape)
        self._gradient -= gradient
        self._gradient *= -1.0
        self._corrections.add(direction, self._gradient, path.products)
        self._gradient[...] = gradient
        return True

    def _downhill(self) -> Any:
        """Return the direction -H g, in a buffer."""
        direction = self._direction
        direction[...] = self._gradient
        free = None
        if self.bounds is not None:
            free = ~outward(self._x.reshape(-1), -direction, self.bounds)
            direction *= free
        if self._corrections:
            self._corrections.multiply(direction, free)
            direction *= -1.0
        else:
            multiply_by(direction, -self.first_scale(direction))
        if self.bounds is not None:
            direction *= ~outward(self._x.reshape(-1), direction, self.bounds)
        return direction

    def _why(self) -> str:
        """Return why there is no step along the gradient."""
        if not self._gradient.any():
            return "the gradient is zero"
        if not self._downhill().any():
            return "the gradient is zero, or points out of the bounds, in every pixel"
        return SEARCH_FAILED

    @staticmethod
    def first_scale(gradient: Any) -> Any:
        """Return the factor that makes a gradient as long as the first step: a number as `dot` has it."""
        square, wanted = dot(gradient, gradient), FIRST_STEP * math.sqrt(gradient.size)
        if on_gpu(gradient):
            xp = array_module(gradient)
            return xp.where(square > 0, wanted / xp.sqrt(square), 0.0)
        length = math.sqrt(square)
        return wanted / length if length else 0.0
