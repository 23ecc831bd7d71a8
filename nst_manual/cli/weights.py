"""`weights`: what is bundled, installed and known; download; check a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Weight files: list them, get them, check one.")
    group.command("list")(list_all)
    group.command("get")(get)
    group.command("check")(check)
    app.add_typer(group, name="weights")


def list_all(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the weight files that are bundled, installed, or known with an address."""
    from nst_manual.store import cache_folder, list_weights

    rows = list_weights()
    if as_json:
        print(json.dumps({"folder": str(cache_folder()), "weights": rows}))
        return
    from rich.table import Table

    from nst_manual.cli.console import stdout

    table = Table()
    for heading in ("name", "network", "status", "size", "path or address", "licence"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        size = f"{row['size'] / 1e6:.0f} MB" if row["size"] else ""
        table.add_row(
            row["name"], row["network"], row["status"], size, row["path"] or row["url"], row["licence"] or ""
        )
    console = stdout()
    console.print(table)
    console.print(f"Installed files are in {cache_folder()}", soft_wrap=True)


def get(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Of `nst-manual weights list`, such as vgg19.")
    ],
) -> None:
    """Download weights into the user's cache; a download that was cut goes on where it stopped."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from nst_manual.cli.console import stderr
    from nst_manual.store import get_weights, known_file

    for name in names:
        known_file(name)  # raises before anything is fetched
    for name in names:
        with Progress(
            TextColumn(name), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=stderr()
        ) as bar:
            task = bar.add_task(name, total=None)
            path = get_weights(
                name, lambda done, total, task=task, bar=bar: bar.update(task, completed=done, total=total)
            )
        print(path)


def check(
    path: Annotated[Path, typer.Argument(help="A weight file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read all of a weight file and say what is in it; exit code 4 if it is damaged."""
    from nst_manual.errors import WeightsError
    from nst_manual.store import check_weights

    found = check_weights(path)
    if as_json:
        print(json.dumps(found))
    else:
        _print_check(found)
    if not found["finite"]:
        raise WeightsError(str(path), f"values that are not finite in {', '.join(found['not_finite'])}")


def _print_check(found: dict) -> None:
    from rich.table import Table

    from nst_manual.cli.console import stdout

    console = stdout()
    layers = Table()
    for heading in ("layer", "weight (kh, kw, in, out)", "bias", "type"):
        layers.add_column(heading)
    for name, layer in found["layers"].items():
        shapes = (" x ".join(str(side) for side in layer[part]) for part in ("weight", "bias"))
        layers.add_row(name, *shapes, layer["dtype"])
    console.print(layers)
    known = f"known, {found['known']}" if found["known"] else "unknown"
    pixels = found["preprocessing"]
    for line in (
        f"file       {found['path']}",
        f"format     {found['format']}",
        f"network    {found['network'] or 'unknown'}",
        f"SHA-256    {found['sha256']} ({known})",
        f"pixels     {pixels['order']}, scale {pixels['scale']:g}, mean {tuple(pixels['mean'])}, "
        f"std {tuple(pixels['std'])}",
        *(f"warning    {warning}" for warning in found["warnings"]),
    ):
        console.print(line, soft_wrap=True, markup=False)
