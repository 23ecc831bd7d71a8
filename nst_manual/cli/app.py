"""The commands, gathered. Each file imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

from typing import Annotated

import typer

from nst_manual.cli import (
    bench,
    compare,
    describe,
    exercise,
    figure,
    gradcheck,
    plan,
    presets,
    reconstruct,
    rerun,
    resume,
    run,
    weights,
)


def make_app() -> typer.Typer:
    """Return the program."""
    app = typer.Typer(
        name="nst-manual",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_about)
    run.add(app)
    reconstruct.add(app)
    resume.add(app)
    rerun.add(app)
    plan.add(app)
    figure.add(app)
    describe.add(app)
    bench.add(app)
    compare.add(app)
    gradcheck.add(app)
    presets.add(app)
    weights.add(app)
    exercise.add(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from nst_manual import __version__

        print(__version__)
        raise typer.Exit


def _about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Neural style transfer by hand: a photograph in the style of a painting, and no autodiff anywhere."""
