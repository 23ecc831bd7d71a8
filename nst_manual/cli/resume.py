"""`resume`: go on with a run that was interrupted."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from nst_manual.cli.options import Moved, given, output_option, with_options
from nst_manual.config import CommandConfig

Output = output_option("The picture.", "where the run would have written it")


def add(app: typer.Typer) -> None:
    """Add the command."""
    names = {field.name for field in dataclasses.fields(CommandConfig)} - {"checkpoint"}  # it is the argument
    app.command("resume")(with_options(CommandConfig, names)(resume))


def resume(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="What --checkpoint has written.")],
    images: Moved = None,
    output: Output = None,
    *,
    options: dict[str, Any],
) -> None:
    """Go on with an interrupted run: the picture becomes what it would have become, to the bit.

    Options of output, threads and memory may be given anew; others must be what they were, but that a run at
    one size may be given more --iterations.
    """
    from nst_manual.run.resume import resume as go_on

    said = given(options)
    target, outcome = go_on(checkpoint, said, output, images or ())
    if not said.get("quiet"):
        print(target, flush=True)
    if outcome.stopped is not None:
        raise outcome.stopped
