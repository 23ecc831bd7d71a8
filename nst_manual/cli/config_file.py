"""Options from a TOML file, for `--config`: keys are the options' names, with dashes or underscores.

    # night.toml
    size = 512
    style-layers = ["relu1_1", "relu3_1:0.5"]
    optimizer = "adam"

What is given on the command line replaces what the file says.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_manual.errors import UsageError, unknown_name
from nst_manual.options import flag

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        help="Options from a file, such as size = 192; those of the command line replace them.",
        show_default=False,
    ),
]


def options_for(path: str | None, cls: type, names: Collection[str], command: str) -> dict[str, Any]:
    """Return the options of a file, if any; raise `UsageError` for one that the command does not have."""
    found = {} if path is None else read_options(path, cls)
    for name in found:
        if name not in names:
            raise UsageError(f"--config {path}", f"{flag(name)} has no meaning for {command}")
    return found


def read_options(path: str, cls: type) -> dict[str, Any]:
    """Return the options that a file gives, by the names of the fields of `cls`; values are checked later.

    Raises
    ------
    UsageError
        The file cannot be read, is not TOML, or has a key that is no option, or one twice.
    """
    what = f"--config {path}"
    try:
        with Path(path).open("rb") as file:
            found = tomllib.load(file)
        str(found)  # a whole number may be too long to be shown in a message
    except OSError as error:
        raise UsageError(what, f"cannot be read, {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(what, f"is not TOML, {' '.join(str(error).split())}") from error
    names = [field.name for field in dataclasses.fields(cls)]
    options: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if name not in names:
            raise unknown_name(f"option in {path}", key, names)
        if name in options:
            raise UsageError(what, f"names {key} twice")
        options[name] = value
    return options
