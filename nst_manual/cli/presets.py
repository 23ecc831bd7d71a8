"""`presets`: the published settings, and one in terms of another."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from nst_manual.options import image_size


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command("presets")(presets)


def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One of them.", show_default="all")
    ] = None,
    other: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="OTHER",
            help="Print the options with which OTHER minimises the same function as NAME.",
            show_default=False,
        ),
    ] = None,
    network: Annotated[str, typer.Option(metavar="NETWORK", help="With --as: of the layers.")] = "vgg19",
    size: Annotated[
        str,
        typer.Option(metavar="HxW", help="With --as: of the picture, on which the content's weight depends."),
    ] = "512x512",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the presets: losses, weights, pooling, start, optimiser, and where they come from."""
    from nst_manual.errors import UsageError
    from nst_manual.presets import PRESETS, get_preset

    if other is not None:
        from nst_manual.objective.equivalent import as_arguments, equivalent

        if name is None:
            raise UsageError("--as", "expected a preset to express, as in `presets paper --as gatys`")
        options = equivalent(name, other, image_size(size), network)
        print(json.dumps(options) if as_json else as_arguments(options))
        return
    found = [get_preset(name)] if name is not None else list(PRESETS.values())
    if as_json:
        print(json.dumps({preset.name: dataclasses.asdict(preset) for preset in found}))
        return
    from nst_manual.cli.console import stdout

    console = stdout()
    for preset in found:
        console.print(f"[bold]{preset.name}[/bold]  {preset.source}", soft_wrap=True, highlight=False)
        shared = " / number of layers" if preset.shared_style_weight else ""
        for heading, text in (
            (
                "content",
                f"{preset.content_weight:g} x {preset.content_form} at {', '.join(preset.content_layers)}",
            ),
            (
                "style",
                f"{preset.style_weight:g}{shared} x {preset.style_representation} ({preset.style_form}) at "
                f"{', '.join(preset.style_layers)}",
            ),
            ("variation", f"{preset.tv_weight:g} x {preset.tv_form}" if preset.tv_weight else "none"),
            ("network", f"pooling {preset.pooling}, pixels x {preset.pixel_scale:.6g}"),
            ("start", f"{preset.init}, optimiser {preset.optimizer}"),
            ("published", preset.published),
        ):
            console.print(f"  {heading:10s} {text}", soft_wrap=True, highlight=False, markup=False)
