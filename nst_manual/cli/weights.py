"""`weights`: what is bundled, installed and known; download; check a file; convert it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nst_manual.nets.preprocessing import PREPROCESSINGS

FORMATS = "HDF5, .pth, .safetensors, .npz, .caffemodel, .onnx, .mat"


def add(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Weight files: list them, get them, check or convert one.")
    group.command("list")(list_all)
    group.command("get")(get)
    group.command("check")(check)
    group.command("convert")(convert)
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
            row["name"],
            row["network"] or "",
            row["status"],
            size,
            row["path"] or row["url"],
            row["licence"] or "",
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
    from nst_manual.errors import Interrupted
    from nst_manual.run.signals import stop_request
    from nst_manual.store import known_file

    for name in names:
        known_file(name)  # raises before anything is fetched
    try:
        with stop_request(at_once=True):
            for name in names:
                print(_fetch(name))
    except Interrupted as stopped:
        stopped.hint = "the same command goes on from there"
        raise


def _fetch(name: str) -> Path:
    """Download a file under a progress bar."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from nst_manual.cli.console import stderr
    from nst_manual.store import get_weights

    with Progress(
        TextColumn(name), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=stderr()
    ) as bar:
        task = bar.add_task(name, total=None)
        return get_weights(name, lambda done, total: bar.update(task, completed=done, total=total))


def check(
    path: Annotated[Path, typer.Argument(help=f"A weight file: {FORMATS}.")],
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


def convert(
    path: Annotated[Path, typer.Argument(help=f"A weight file: {FORMATS}.")],
    to: Annotated[
        Path | None,
        typer.Argument(
            metavar="[TO]", help="The new file, .h5.", show_default="NETWORK.h5 among the installed files"
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose layers to take.", show_default="that of the file"),
    ] = None,
    dtype: Annotated[
        str, typer.Option(metavar="TYPE", help="float32, float16 (half the size) or float64.")
    ] = "float32",
    preprocessing: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"What the weights expect of their input: {', '.join(PREPROCESSINGS)}.",
            show_default="what is known of the file",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a weight file of any format as HDF5 with checksums, which loads without a warning.

    Without TO it becomes the file that is taken for its network.
    """
    from nst_manual.cli.console import stdout
    from nst_manual.store import convert_weights

    found = convert_weights(path, to, network, dtype, preprocessing, replace=force)
    console = stdout()
    layers = f"{found['layers']} layers, {'with' if found['top'] else 'without'} the classifier"
    console.print(f"{found['network']}: {layers}; input {found['input']}", soft_wrap=True, markup=False)
    console.print(f"{found['path']}, {found['size'] / 1e6:.1f} MB", soft_wrap=True, markup=False)


def _print_check(found: dict) -> None:
    from rich.table import Table

    from nst_manual.cli.console import stdout

    console = stdout()
    layers = Table()
    for heading in ("layer", "weight, as stored", "bias", "type"):
        layers.add_column(heading)
    for name, layer in found["layers"].items():
        shapes = (" x ".join(str(side) for side in layer[part] or ()) for part in ("weight", "bias"))
        layers.add_row(name, *shapes, layer["dtype"])
    console.print(layers)
    known = f"known, {found['known']}" if found["known"] else "unknown"
    for line in (
        f"file       {found['path']}",
        f"format     {found['format']}",
        f"network    {found['network'] or 'unknown'}",
        f"SHA-256    {found['sha256']} ({known})",
        f"input      {found['input']}",
        *(f"warning    {warning}" for warning in found["warnings"]),
    ):
        console.print(line, soft_wrap=True, markup=False)
