"""SciPy's L-BFGS-B (R. Byrd, P. Lu, J. Nocedal, C. Zhu, 1995), with a line search for each step.

Differs from neural-style, whose L-BFGS takes steps of length one without a search and keeps 100 corrections.
"""

from __future__ import annotations

import math

import numpy as np

from nst_manual.optim.base import Function, OnIteration, Result, nothing

# A line search that takes more evaluations than this is stuck (SciPy's own default).
LINE_SEARCH_EVALUATIONS = 20


class ScipyLBFGS:
    """Limited-memory BFGS.

    Parameters
    ----------
    history : int
        Corrections kept: pairs of steps and gradient differences, each as large as two images in float64.
    """

    def __init__(self, history: int = 10) -> None:
        from scipy.optimize import minimize

        self.history, self.scipy_minimize = history, minimize

    def minimize(
        self, f: Function, x: np.ndarray, iterations: int, on_iteration: OnIteration = nothing
    ) -> Result:
        """Iterate; about 1.05 evaluations each.

        SciPy would stop when the loss changes little; that is switched off, so that the number of iterations
        is what the user asked for. When a line search fails (float32 rounding can make one fail near a
        minimum), the history is thrown away and the search goes on from where it is; if that makes no
        progress either, it ends.
        """
        shape, dtype = x.shape, x.dtype
        # SciPy's very first step has length 1, whatever the problem; spread over an image that is next to
        # nothing, and the line search evaluates half a dozen times until it is long enough. In this unit it
        # is 1 in each pixel.
        unit = math.sqrt(x.size)
        done = 0

        def image(flat: np.ndarray) -> np.ndarray:
            return (flat * unit).reshape(shape).astype(dtype)

        def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = f(image(flat))
            return loss, gradient.ravel().astype(np.float64) * unit

        def callback(flat: np.ndarray) -> None:
            nonlocal done
            done += 1
            on_iteration(done, image(flat))

        message = ""
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
            result = self.scipy_minimize(
                function,
                x.ravel().astype(np.float64) / unit,
                jac=True,
                method="L-BFGS-B",
                callback=callback,
                options=options,
            )
            x = image(result.x)
            if done == before:
                message = f"L-BFGS found no lower point after {done} iterations ({result.message})"
                break
        return Result(x, done, message)
