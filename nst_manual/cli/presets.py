"""`presets`: the published settings, and one in terms of another."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from nst_manual.options import image_size
from nst_manual.presets import Layer, Preset


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
                f"{preset.content_weight:g} x {preset.content_form} at {_layers(preset.content_layers)}",
            ),
            (
                "style",
                f"{preset.style_weight:g}{shared} x {preset.style_representation} ({preset.style_form}) at "
                f"{_layers(preset.style_layers)}",
            ),
            ("variation", f"{preset.tv_weight:g} x {preset.tv_form}" if preset.tv_weight else "none"),
            ("network", _network(preset)),
            ("run", _run(preset)),
            ("published", preset.published),
        ):
            console.print(f"  {heading:10s} {text}", soft_wrap=True, highlight=False, markup=False)


def _layers(layers: tuple[Layer, ...]) -> str:
    """Return names, with weights where they have some."""
    return ", ".join(layer if isinstance(layer, str) else f"{layer[0]}:{layer[1]:.4g}" for layer in layers)


def _network(preset: Preset) -> str:
    """Return what is changed of the network and its input."""
    words = [f"pooling {preset.pooling}"]
    if preset.padding != "zeros":
        words.append(f"first padding {preset.padding}")
    if preset.input_unit:
        words.append(f"losses for an input in units of {preset.input_unit:.4g} pixel values")
    else:
        words.append(f"pixels x {preset.pixel_scale:.6g}")
    return ", ".join(words)


def _run(preset: Preset) -> str:
    """Return start, optimiser, and iterations where the preset has its own."""
    words = [f"from {preset.init}", preset.optimizer]
    if preset.optimizer == "adam":
        words.append(f"rate {preset.learning_rate:g}, betas {preset.betas[0]:g} {preset.betas[1]:g}")
    if preset.averaging:
        words.append(f"averaging {preset.averaging:g}")
    if preset.bounds:
        words.append(f"bounds {preset.bounds[0]:g} {preset.bounds[1]:g}")
    counts = ", ".join(map(str, preset.scale_iterations)) or str(preset.iterations)
    words.append(f"{counts} iterations, first scale at most {preset.coarsest} pixels")
    return ", ".join(words)
