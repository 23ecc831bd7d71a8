"""Go on where a checkpoint was written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nst_manual import __version__
from nst_manual.images.naming import shown
from nst_manual.run.checkpoint import Checkpoint, DamagedError, previous_of, read_checkpoint
from nst_manual.run.command import restored
from nst_manual.run.files import run_to_files
from nst_manual.run.inputs import given_files
from nst_manual.run.job import Outcome


def resume(
    path: str, options: Mapping[str, Any], target: str | None = None, images: Sequence[str] = ()
) -> tuple[Path, Outcome]:
    """Go on with a run, to the bit as if it had not been interrupted; return where the picture is.

    Parameters
    ----------
    path : path
        The checkpoint; where it is damaged, the one before it is taken, with a warning.
    options : mapping
        Given anew: those of `nst_manual.config.FREE` may be others, and there may be more iterations
        of a run at one size.
    target : path, optional
        For the picture; without, where the run would have written it.
    images : sequence of path
        Where photograph and paintings are now, if they have been moved.

    Raises
    ------
    DamagedError
        Neither the checkpoint nor the one before it can be read.
    NstError
        As `restored` and `run_to_files`.
    """
    checkpoint = load(path)
    if checkpoint.command.get("version") != __version__:
        text = f"checkpoint {shown(path)}: written by version {checkpoint.command.get('version')}"
        warnings.warn(f"{text}, this is {__version__}; the picture may differ in its bits", stacklevel=2)
    command = restored(checkpoint.command, Path(path).parent, given_files(images), dict(options))
    config = replace(command.config, checkpoint=os.fspath(path))
    place = command.target if target is None else Path(target)
    return place, run_to_files(command.content, command.styles, place, config, checkpoint)


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Return the checkpoint, or the one before it where that is damaged, with a warning.

    The damaged file is put aside, not lost: the next checkpoint must not take the place of the good one.

    Raises
    ------
    DamagedError
        Neither can be read.
    """
    try:
        return read_checkpoint(path)
    except DamagedError as error:
        try:
            before = read_checkpoint(previous_of(path))
        except DamagedError:
            raise error from None
        aside = ""
        if os.path.exists(path):
            damaged = Path(path).with_suffix(".damaged" + Path(path).suffix)
            os.replace(path, damaged)
            aside = f", and is {shown(damaged)} now"
        done = before.before["iterations"] + before.snapshot.iterations
        taken = f"the one before it is taken, after iteration {done}"
        warnings.warn(f"checkpoint {shown(path)}: {error.cause}{aside}; {taken}", stacklevel=2)
        return before
