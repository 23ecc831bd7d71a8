"""`rerun`: make a picture again from what it says of itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_manual.cli.options import given, with_options
from nst_manual.cli.run import fresh
from nst_manual.config import FREE, CommandConfig


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rerun")(with_options(CommandConfig, FREE)(rerun))


def rerun(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="One that `nst-manual run` has made.")],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONTENT STYLE...]",
            help="Photograph and paintings, if they are elsewhere now.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The new picture. [dim]\\[default: PICTURE-again.png in this folder][/dim]",
            show_default=False,
            rich_help_panel="Output",
        ),
    ] = None,
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
