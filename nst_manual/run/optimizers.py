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
from nst_manual.optim.schedule import Schedule
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


def make_optimizer(config: RunConfig, before: int = 0, total: int = 0) -> Optimizer:
    """Return the optimiser that a configuration asks for.

    Parameters
    ----------
    config : RunConfig
    before, total : int
        Of a run in several scales, the iterations at those before this one, and in all: a schedule counts
        through. An optimiser whose state is carried over counts by itself.

    Raises
    ------
    UsageError
        An option that the optimiser does not have; a schedule that makes no sense.
    """
    name = config.chosen("optimizer")
    if name == "lbfgs-scipy" and config.carries:
        raise UsageError("--scale-state", "cannot be carried by lbfgs-scipy, which keeps it to itself")
    if name in SECOND_ORDER:
        _refuse(config, name, "schedule", "learning_rate", "backtracking")
        optimizer = SECOND_ORDER[name](config.history, bounds=_bounds(config, PIXELS))
    else:
        rate = config.chosen("learning_rate") if name == "adam" else config.learning_rate
        # without bounds unless asked: at a wall, a rate that is too large would not be seen to diverge
        options = {"bounds": _bounds(config, None)} | ({} if rate is None else {"rate": rate})
        if name == "adam":
            options["betas"] = config.settings.betas
        if config.schedule is not None:
            options["schedule"] = _counting(parse_schedule(config.schedule), before, total)
        if name == "gradient-descent":
            options["backtracking"] = config.backtracking
        else:
            _refuse(config, name, "backtracking")
        optimizer = FIRST_ORDER[name](**options)
    averaging = config.chosen("averaging")
    return Averaged(optimizer, averaging) if averaging else optimizer


def _bounds(config: RunConfig, default: tuple[float, float] | None) -> tuple[float, ...] | None:
    """Return the bounds that are given; else the preset's, else the optimiser's default."""
    if config.bounds is not None:
        return config.bounds or None
    preset = config.settings
    return preset.bounds if preset.bounds and preset.optimizer == config.chosen("optimizer") else default


def _counting(schedule: Schedule, before: int, total: int) -> Schedule:
    """Return a schedule of one scale as the part that it is of the whole run's."""
    if not total:
        return schedule
    return lambda iteration, iterations: schedule(before + iteration, total)


def _refuse(config: RunConfig, optimizer: str, *names: str) -> None:
    """Raise `UsageError` for an option that was given and has no effect."""
    for name in names:
        if getattr(config, name):
            raise UsageError(flag(name), f"has no meaning for {optimizer}", "choose another --optimizer")
