"""`exercise`: a course, in which the reader writes the kernels and has them checked."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the commands."""
    text = "A course: write the kernels of neural style transfer in NumPy, and have them checked."
    group = typer.Typer(no_args_is_help=True, help=text)
    for name, command in (("list", list_all), ("start", start), ("check", check), ("hint", hint)):
        group.command(name)(command)
    app.add_typer(group, name="exercise")


def list_all(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the exercises, in the order of the course."""
    from nst_manual.check.exercises.course import COMMAND, titles

    found = titles()
    if as_json:
        rows = [{"name": name, "title": title} for name, title in found.items()]
        print(json.dumps({"exercises": rows}))
        return
    from rich.table import Table

    from nst_manual.cli.console import stdout

    table = Table()
    table.add_column("", justify="right")
    table.add_column("name")
    table.add_column("what it teaches")
    for number, (name, title) in enumerate(found.items(), 1):
        table.add_row(str(number), name, title)
    console = stdout()
    console.print(table)
    first = next(iter(found))
    for line in ("Begin with the first:", f"  {COMMAND} start {first}", f"  {COMMAND} check {first}.py"):
        console.print(line)


def start(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of `exercise list`.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="The file to write.", show_default="NAME.py"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file, should there be one.")] = False,
) -> None:
    """Write the file that an exercise begins with: signatures, formulas, shapes, and empty bodies."""
    from nst_manual.atomic import write_atomic
    from nst_manual.check.exercises.course import COMMAND, load, template
    from nst_manual.errors import UsageError

    load(name)
    path = output or Path(f"{name}.py")
    if path.is_dir():
        path /= f"{name}.py"
    if path.exists() and not force:
        raise UsageError(str(path), "exists already, and may hold your work", "--force overwrites it")
    write_atomic(path, template(name, str(path)).encode("utf-8"))
    print(f"{path} is there. Write the functions in it, then run:")
    print(f"  {COMMAND} check {shlex.quote(str(path))}")


def check(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file with your functions.")],
    exercise: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which exercise it is. [dim]\\[default: what the file says][/dim]",
            show_default=False,
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            help="End an endless loop after this time. [dim]\\[default: 20][/dim]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run your functions beside the right ones, and say what is wrong and where; exit code 1 if anything is.

    The file runs in a process of its own. What it prints comes first; with --json, on stderr.
    """
    from nst_manual.check.exercises.course import TIME_LIMIT
    from nst_manual.check.exercises.runner import check_file
    from nst_manual.options import real

    seconds = TIME_LIMIT if time_limit is None else real(0, above=True)("--time-limit", time_limit)
    report = check_file(path, exercise, time_limit=seconds, stdout=2 if as_json else None)
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        _print(report)
    if not report.passed:
        raise typer.Exit(1)


def hint(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of `exercise list`.")],
    number: Annotated[
        str, typer.Argument(metavar="[NUMBER]", help="How many hints; each says more than the one before.")
    ] = "1",
) -> None:
    """Print a hint, or the first few."""
    from nst_manual.check.exercises.course import COMMAND, load
    from nst_manual.cli.console import stdout
    from nst_manual.options import whole

    hints = load(name).HINTS
    count = whole(1, len(hints))("NUMBER", number)
    console = stdout()
    for index, text in enumerate(hints[:count], 1):
        console.print(f"{index}. {text}", markup=False)
    if count < len(hints):
        console.print(f"There are {len(hints)}; the next one: {COMMAND} hint {name} {count + 1}", style="dim")


def _print(report) -> None:  # noqa: ANN001 - check.exercises.report.Report, imported late
    """Print a report, as wide as the terminal and no wider than is easy to read."""
    from rich.text import Text

    from nst_manual.cli.console import stdout

    console = stdout()
    styles = {"ok": "green", "WRONG": "bold red", "TODO": "yellow"}
    for line in report.lines(min(console.width, 100)):
        text = Text(line)
        for word, style in styles.items():
            if line.startswith(f"{word} "):
                text.stylize(style, 0, len(word))
        console.print(text, soft_wrap=True)
