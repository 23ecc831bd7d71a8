"""Optimisers behind one interface: `minimize(f, x, iterations, on_iteration)` with f(x) -> (loss,
gradient).
"""

from __future__ import annotations

from nst_manual.optim.adam import Adam
from nst_manual.optim.base import Function, OnIteration, Optimizer, Result
from nst_manual.optim.gradient_descent import GradientDescent
from nst_manual.optim.lbfgs import LBFGS
from nst_manual.optim.scipy_lbfgs import ScipyLBFGS

__all__ = [
    "Adam",
    "Function",
    "GradientDescent",
    "LBFGS",
    "OnIteration",
    "Optimizer",
    "Result",
    "ScipyLBFGS",
]
