"""Optimisers behind one interface: `minimize(f, x, iterations, on_iteration, stop)` with f(x) -> (loss,
gradient).
"""

from __future__ import annotations

from nst_manual.optim.adagrad import Adagrad
from nst_manual.optim.adam import Adam
from nst_manual.optim.averaged import Averaged
from nst_manual.optim.base import Function, OnIteration, Optimizer, Result, Stop
from nst_manual.optim.bounds import Bounds
from nst_manual.optim.gradient_descent import GradientDescent
from nst_manual.optim.lbfgs import LBFGS
from nst_manual.optim.momentum import Momentum
from nst_manual.optim.progress import NoProgress
from nst_manual.optim.rmsprop import RMSProp
from nst_manual.optim.schedule import Schedule, parse_schedule
from nst_manual.optim.scipy_lbfgs import ScipyLBFGS

__all__ = [
    "Adagrad",
    "Adam",
    "Averaged",
    "Bounds",
    "Function",
    "GradientDescent",
    "LBFGS",
    "Momentum",
    "NoProgress",
    "OnIteration",
    "Optimizer",
    "RMSProp",
    "Result",
    "Schedule",
    "ScipyLBFGS",
    "Stop",
    "parse_schedule",
]
