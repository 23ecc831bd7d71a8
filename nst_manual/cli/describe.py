"""`describe`: the table of a network's layers."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nst_manual.options import image_size


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command("describe")(describe)


def describe(
    network: Annotated[
        str,
        typer.Argument(
            help="vgg11, vgg13, vgg16, vgg16c, vgg19, alexnet, alexnet-caffe, googlenet, googlenet-caffe or "
            "squeezenet."
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Image size in pixels.", show_default="the network's own, 224x224"),
    ] = None,
    upto: Annotated[
        str | None,
        typer.Option(metavar="LAYER", help="Leave out what follows this layer.", show_default=False),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="What runs a layer on cpu or cuda, which need not be here.")
    ] = "cpu",
    tf32: Annotated[bool, typer.Option("--tf32", help="With --device cuda: what runs it in TF32.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print a network's layers: shapes, parameters, costs, receptive fields, places for losses.

    At another size than the network was made for, fully connected layers that fit that size alone are left
    out.
    """
    from nst_manual.errors import UsageError
    from nst_manual.nets import get_network
    from nst_manual.nets.geometry import layers
    from nst_manual.nn import runs_as

    if device not in ("cpu", "cuda"):
        raise UsageError("--device", f"expected cpu or cuda, got {device!r}")
    if tf32 and device == "cpu":
        raise UsageError("--tf32", "has a meaning only with --device cuda")
    found = get_network(network)
    if upto is not None:
        found = found.upto(upto)
    pixels = image_size(size) if size else None
    if found.fixed_size and pixels not in (None, (found.input_size, found.input_size)):
        found = found.without_top()
    described = layers(found, pixels)
    runs = runs_as(found, (1, *described[0].input_shape), device=device, tf32=tf32)
    places = set(found.without_top().names)  # losses stand in front of the classifier
    rows = [
        _row(layer) | {"losses": layer.name in places, "runs_as": runs.get(layer.name, "")}
        for layer in described
    ]
    pixels = pixels or (found.input_size, found.input_size)
    totals = {key: sum(row[key] for row in rows) for key in ("parameters", "multiply_adds", "bytes")}
    if as_json:
        print(json.dumps({"network": found.name, "size": list(pixels), "layers": rows, "total": totals}))
    else:
        _print_table(found.name, pixels, rows, totals)


def _row(layer) -> dict:  # noqa: ANN001 - nets.geometry.Layer, imported late
    """Return what is shown of a layer."""
    return {
        "name": layer.name,
        "kind": type(layer.row).__name__,
        "output_shape": list(layer.output_shape),
        "parameters": layer.parameters,
        "multiply_adds": layer.multiply_adds,
        "bytes": layer.bytes,
        "receptive_field": layer.receptive_field,
        "step": layer.step,
    }


def _print_table(name: str, pixels: tuple[int, int], rows: list[dict], totals: dict[str, int]) -> None:
    from rich.table import Table

    from nst_manual.cli.console import stdout

    table = Table(title=f"{name} at {pixels[0]} x {pixels[1]} pixels (height x width)", title_justify="left")
    table.add_column("layer")
    table.add_column("kind")
    for heading in ("output (H, W, C)", "parameters", "multiply-adds", "bytes", "sees"):
        table.add_column(heading, justify="right")
    table.add_column("losses")
    table.add_column("runs as")
    for row in rows:
        table.add_row(
            row["name"],
            row["kind"],
            " x ".join(str(side) for side in row["output_shape"]),
            _count(row["parameters"]),
            _count(row["multiply_adds"]),
            _bytes(row["bytes"]),
            f"{row['receptive_field']} px" if row["receptive_field"] else "all",
            "content, style" if row["losses"] else "",
            row["runs_as"],
        )
    table.add_section()
    counts = [_count(totals["parameters"]), _count(totals["multiply_adds"]), _bytes(totals["bytes"])]
    table.add_row("total", "", "", *counts, "", "", "")
    console = stdout()
    console.print(table)
    console.print(
        "Bytes are of the outputs in float32. Multiply-adds are for one pass forward; "
        "backward to the image costs the same. A layer that runs in another runs alone behind a loss.",
        soft_wrap=True,
    )


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _bytes(number: int) -> str:
    return f"{number / 2**20:.1f} MB" if number >= 2**20 else f"{number / 2**10:.1f} kB"
