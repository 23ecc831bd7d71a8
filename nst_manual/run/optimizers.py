"""From the options of a run to its optimiser."""

from __future__ import annotations

from collections.abc import Callable

from nst_manual.config import RunConfig
from nst_manual.errors import UsageError
from nst_manual.optim import (
    LBFGS,
    Adagrad,
    Adam,
    Averaged,
    GradientDescent,
    Momentum,
    Optimizer,
    RMSProp,
    ScipyLBFGS,
    parse_schedule,
)
from nst_manual.options import flag

# Of the first-order methods: name -> (rate or None, further arguments by name) -> optimiser.
FIRST_ORDER: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam,
    "adagrad": Adagrad,
    "rmsprop": RMSProp,
    "momentum": Momentum,
    "nesterov": lambda **options: Momentum(**options, nesterov=True),
    "gradient-descent": GradientDescent,
}
# What a picture can hold. Held during the optimisation, nothing is lost when the picture is saved.
PIXELS = (0.0, 255.0)
SECOND_ORDER: dict[str, Callable[..., Optimizer]] = {"lbfgs": LBFGS, "lbfgs-scipy": ScipyLBFGS}


def make_optimizer(config: RunConfig) -> Optimizer:
    """Return the optimiser that a configuration asks for.

    Raises
    ------
    UsageError
        An option that the optimiser does not have; a schedule that makes no sense.
    """
    name = config.chosen("optimizer")
    if name in SECOND_ORDER:
        _refuse(config, name, "schedule", "learning_rate", "backtracking")
        bounds = PIXELS if config.bounds is None else config.bounds or None
        optimizer = SECOND_ORDER[name](config.history, bounds=bounds)
    else:
        rate = config.chosen("learning_rate") if name == "adam" else config.learning_rate
        # without bounds unless asked: at a wall, a rate that is too large would not be seen to diverge
        options = {"bounds": config.bounds or None} | ({} if rate is None else {"rate": rate})
        if config.schedule is not None:
            options["schedule"] = parse_schedule(config.schedule)
        if name == "gradient-descent":
            options["backtracking"] = config.backtracking
        else:
            _refuse(config, name, "backtracking")
        optimizer = FIRST_ORDER[name](**options)
    return Averaged(optimizer, config.averaging) if config.averaging else optimizer


def _refuse(config: RunConfig, optimizer: str, *names: str) -> None:
    """Raise `UsageError` for an option that was given and has no effect."""
    for name in names:
        if getattr(config, name):
            raise UsageError(flag(name), f"has no meaning for {optimizer}", "choose another --optimizer")
