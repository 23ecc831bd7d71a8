"""Every option of a run, once: its default, range and help text.

`ObjectiveConfig` says which function of the image is minimised, `RunConfig` how, `CommandConfig` what is
written. None means that the preset or the network decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nst_manual.config.objective import (
    COLOUR_METHODS,
    DEFAULT_PRESET,
    LARGEST_SIZE,
    MASK_RULES,
    SIZE_RULES,
    ObjectiveConfig,
)
from nst_manual.config.run import COLOUR_SPACES, FREE, OPTIMIZERS, CommandConfig, RunConfig
from nst_manual.options import parse_all

__all__ = [
    "COLOUR_METHODS",
    "COLOUR_SPACES",
    "DEFAULT_PRESET",
    "FREE",
    "LARGEST_SIZE",
    "MASK_RULES",
    "OPTIMIZERS",
    "SIZE_RULES",
    "CommandConfig",
    "ObjectiveConfig",
    "RunConfig",
    "command_config",
    "objective_config",
    "run_config",
]


def objective_config(values: Mapping[str, Any]) -> ObjectiveConfig:
    """Return the options of an objective, checked; raise `UsageError`."""
    return ObjectiveConfig(**parse_all(ObjectiveConfig, values))


def run_config(values: Mapping[str, Any]) -> RunConfig:
    """Return the options of a run, checked; raise `UsageError`."""
    return RunConfig(**parse_all(RunConfig, values))


def command_config(values: Mapping[str, Any]) -> CommandConfig:
    """Return the options of the command line, checked; raise `UsageError`."""
    return CommandConfig(**parse_all(CommandConfig, values))
