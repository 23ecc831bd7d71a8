"""`rerun`: make a picture again from what it says of itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_manual.cli.options import Moved, given, output_option, with_options
from nst_manual.cli.run import fresh
from nst_manual.config import FREE, CommandConfig

Output = output_option("The new picture.", "PICTURE-again.png in this folder")


def add(app: typer.Typer) -> None:
    """Add the command."""
    # the device too, since a picture may have been made on a GPU that is not here
    app.command("rerun")(with_options(CommandConfig, {*FREE, "device"})(rerun))


def rerun(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="One that `nst-manual run` has made.")],
    images: Moved = None,
    output: Output = None,
    *,
    options: dict[str, Any],
) -> None:
    """Make a picture again, with the options and the files that are written in it.

    On the same machine with the same versions it is the same in every bit; otherwise what differs is said.
    """
    from nst_manual.run.rerun import rerun as again

    said = given(options)
    target = Path(output) if output is not None else fresh(picture, words="again")
    made = again(picture, target, said, images or ())
    if not said.get("quiet"):
        for remark in made.remarks:
            print(remark, file=sys.stderr)
        print(target, flush=True)
    if made.outcome.stopped is not None:
        raise made.outcome.stopped
