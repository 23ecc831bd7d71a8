"""SciPy's L-BFGS-B (R. Byrd, P. Lu, J. Nocedal, C. Zhu, 1995), with a line search for each step.

Differs from neural-style, whose L-BFGS takes steps of length one without a search and keeps 100 corrections.

SciPy computes on the CPU: image and gradient of a function on a GPU go over the bus in each evaluation, and
the corrections stay in the memory of the CPU. Our own L-BFGS (`lbfgs.py`) stays where the image is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nst_manual.backend import beside, to_host
from nst_manual.errors import UsageError
from nst_manual.optim.base import Function, OnIteration, Resize, Result, Stop, never, nothing, stopped
from nst_manual.optim.bounds import Bounds, check_bounds, project
from nst_manual.optim.carry import bilinear

# A line search that takes more evaluations than this is stuck (SciPy's own default).
LINE_SEARCH_EVALUATIONS = 20


class ScipyLBFGS:
    """Limited-memory BFGS.

    Parameters
    ----------
    history : int
        Corrections kept: pairs of steps and gradient differences, each as large as two images in float64.
    bounds : (float, float), optional
        Of every element of x: the method's own. The start is projected.
    """

    def __init__(self, history: int = 10, bounds: Bounds | None = None) -> None:
        from scipy.optimize import Bounds as ScipyBounds
        from scipy.optimize import minimize

        self.history, self.bounds = history, check_bounds(bounds)
        self.scipy_minimize, self._scipy_bounds = minimize, ScipyBounds

    def state(self) -> dict[str, Any]:
        """Raise `UsageError`: SciPy keeps its corrections to itself."""
        raise _no_state()

    def restore(self, state: dict[str, Any]) -> None:
        """Raise `UsageError`, as `state` does."""
        raise _no_state()

    def carry_over(self, state: dict[str, Any], resize: Resize = bilinear) -> None:
        """Do nothing: SciPy takes no corrections from outside, at each size it begins anew."""

    def minimize(
        self,
        f: Function,
        x: np.ndarray,
        iterations: int,
        on_iteration: OnIteration = nothing,
        stop: Stop = never,
    ) -> Result:
        """Iterate; about 1.05 evaluations each.

        SciPy would stop when the loss changes little; that is switched off, so that the number of iterations
        is what the user asked for. When a line search fails (float32 rounding can make one fail near a
        minimum), the history is thrown away and the search goes on from where it is; if that makes no
        progress either, it ends.
        """
        shape, dtype = x.shape, x.dtype
        start = x = project(x, self.bounds)
        # SciPy's very first step has length 1, whatever the problem; spread over an image that is next to
        # nothing, and the line search evaluates half a dozen times until it is long enough. In this unit it
        # is 1 in each pixel.
        unit = math.sqrt(x.size)
        bounds = None
        if self.bounds is not None:
            bounds = self._scipy_bounds(*(np.full(x.size, bound / unit) for bound in self.bounds))
        done, latest = 0, math.nan

        def image(flat: np.ndarray) -> np.ndarray:
            # from SciPy's unit back again rounding may lead out of the bounds
            return project(beside((flat * unit).reshape(shape).astype(dtype), start), self.bounds)

        def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal latest
            latest, gradient = f(image(flat))
            return latest, to_host(gradient).ravel().astype(np.float64) * unit

        def callback(flat: np.ndarray) -> None:
            nonlocal done
            done += 1
            on_iteration(done, image(flat))
            if why := stopped(done, iterations, latest, stop):
                raise _StopError(why, image(flat))

        while done < iterations:
            before = done
            left = iterations - done
            options = {
                "maxiter": left,
                "maxfun": left * LINE_SEARCH_EVALUATIONS,
                "maxcor": self.history,
                "maxls": LINE_SEARCH_EVALUATIONS,
                "ftol": 0.0,
                "gtol": 0.0,
            }
            try:
                result = self.scipy_minimize(
                    function,
                    to_host(x).ravel().astype(np.float64) / unit,
                    jac=True,
                    method="L-BFGS-B",
                    bounds=bounds,
                    callback=callback,
                    options=options,
                )
            except _StopError as reached:
                return Result(reached.x, done, reached.why)
            x = image(result.x)
            if done == before:
                message = f"L-BFGS found no lower point ({result.message})"
                return Result(x, done, message, failed="ABNORMAL" in str(result.message))
        return Result(x, done)


class _StopError(Exception):
    """Thrown through SciPy, which would end in its own way and words."""

    def __init__(self, why: str, x: np.ndarray) -> None:
        super().__init__(why)
        self.why, self.x = why, x


def _no_state() -> UsageError:
    return UsageError("SciPy's L-BFGS", "has no state to go on from", "our own L-BFGS has")
