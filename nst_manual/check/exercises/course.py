"""The exercises in order, and the files that they start with."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

from nst_manual.errors import UsageError, unknown_name

NAMES = (
    "conv-forward",
    "conv-backward",
    "relu",
    "max-pool-backward",
    "content-gradient",
    "gram",
    "style-gradient",
    "total-variation",
    "loss-module",
    "gradient-descent",
    "lbfgs-direction",
)
# Seconds that all cases of a file may take: loops in Python over the small arrays need less than one.
TIME_LIMIT = 20.0
COMMAND = "python -m nst_manual exercise"
HEADER = '''"""{title}.

Write the body of each function in place of `raise NotImplementedError`, then check it:

    {command} check {file}
"""

import numpy as np

EXERCISE = "{name}"


'''
MARKER = re.compile(rb"""^EXERCISE\s*=\s*(["'])(.*?)\1""", re.MULTILINE)


def load(name: str) -> ModuleType:
    """Return the module of an exercise; raise `UsageError` where there is none of that name."""
    if name not in NAMES:
        raise unknown_name("exercise", name, NAMES)
    return importlib.import_module(f"{__package__}.{name.replace('-', '_')}")


def titles() -> dict[str, str]:
    """Return name -> title of all exercises, in order."""
    return {name: load(name).TITLE for name in NAMES}


def template(name: str, file: str | None = None) -> str:
    """Return the text of the file that an exercise starts with.

    Parameters
    ----------
    name : str
    file : str, optional
        What the file will be called, for the command in its first lines.
    """
    exercise = load(name)
    if not file or not re.fullmatch(r"[\w./ -]+", file):  # a backslash would mean something in a docstring
        file = f"{name}.py"
    header = HEADER.format(title=exercise.TITLE, name=name, command=COMMAND, file=file)
    return header + exercise.TEMPLATE.strip("\n") + "\n"


def exercise_of(path: str | Path) -> str:
    """Return the name of the exercise that a file is about, without running it.

    Raises
    ------
    UsageError
        There is no such file, or it does not say which exercise it is.
    """
    path = Path(path)
    try:
        source = path.read_bytes()
    except OSError as error:
        hint = f"{COMMAND} start NAME writes a file to begin with"
        raise UsageError(str(path), f"cannot be read, {error.strerror or error}", hint) from None
    found = MARKER.search(source)
    if found:
        name = found[2].decode("utf-8", "replace")
        if name not in NAMES:
            raise unknown_name(f"{path}, EXERCISE", name, NAMES)
        return name
    stem = path.stem.replace("_", "-")
    if stem in NAMES:
        return stem
    raise UsageError(str(path), 'has no line EXERCISE = "NAME"', "say which with --exercise NAME")
