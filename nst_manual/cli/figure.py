"""`figure`: contact sheets of many runs, after the paper's figures, and of one option against another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst_manual import __version__
from nst_manual.cli.config_file import ConfigFile, options_for
from nst_manual.cli.options import given, with_options
from nst_manual.cli.run import fresh
from nst_manual.config import CommandConfig, RunConfig, command_config
from nst_manual.errors import UsageError
from nst_manual.figures import defaults

if TYPE_CHECKING:
    from nst_manual.figures.plan import Plan

_ALL = {field.name for field in dataclasses.fields(CommandConfig)} - {"save_every", "progress_sheet", "log"}
_CONTROLS = {field.name for field in dataclasses.fields(RunConfig) if field.metadata["group"] == "Control"}
# A figure is a preview: its pictures do not keep the photograph's own size. `grid` may compare the rules.
_SIZES = {"size_rule"}
_OF_BOTH = {"laplacian_weight", "laplacian_pool", "style_blend", "style_combine"}
NAMES = {
    "layers": _ALL - _SIZES - _CONTROLS - _OF_BOTH - {"content_layers", "content_weight", "style_layers"},
    "weights": _ALL - _SIZES - {"content_weight", "style_layers"},
    "grid": _ALL,
    "networks": _ALL - _SIZES - {"network", "weights", "preprocessing", "content_layers", "style_layers"},
}

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONTENT STYLE",
        help="A photograph and a painting; without, the samples that come with the program.",
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="The sheet: .png, .jpg, .webp, .tif or .bmp; written anew after every picture. "
        "[dim]\\[default: CONTENT-STYLE-FIGURE.png in this folder][/dim]",
        show_default=False,
        rich_help_panel="Output",
    ),
]


def _own(name: str, metavar: str, text: str, default: str) -> Any:
    """Return an option that figures have and runs do not."""
    text = f"{text} [dim]\\[default: {default}][/dim]"
    return typer.Option(name, metavar=metavar, help=text, show_default=False, rich_help_panel="Figure")


Layers = Annotated[
    str | None, _own("--layers", "LAYERS", "A row for each, from low to high.", "relu1_1 .. relu5_1 or alike")
]
StyleLayers = Annotated[
    str | None, _own("--layers", "LAYERS", "Style layers: a row more for each.", "the preset's")
]
Ratios = Annotated[
    str | None,
    _own(
        "--ratios",
        "NUMBERS",
        "A column for each: content weight / style weight.",
        ",".join(f"{ratio:g}" for ratio in defaults.RATIOS),
    ),
]
Axis = "An option and its values; with semicolons between them where they have commas."
Rows = Annotated[str | None, _own("--rows", "OPTION=V1,V2", Axis, "one row")]
Columns = Annotated[str | None, _own("--columns", "OPTION=V1,V2", "The same.", "one column")]
Networks = Annotated[
    str | None, _own("--networks", "NAMES", "With commas between.", ",".join(defaults.NETWORK_NAMES))
]
Weights = Annotated[
    list[str] | None,
    _own("--weights", "NETWORK=FILE", "A weight file; may be repeated.", "installed and bundled ones"),
]


def add(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True, help="Contact sheets: of layers, of weights, of networks, of any two options."
    )
    for command in (layers, weights, grid, networks):
        name = command.__name__
        changed = _with_defaults(getattr(defaults, name.upper()))
        group.command(name)(with_options(changed, NAMES[name])(command))
    app.add_typer(group, name="figure")


def layers(
    images: Images = None,
    output: Output = None,
    config_file: ConfigFile = None,
    names: Layers = None,
    *,
    options: dict[str, Any],
) -> None:
    """What layers hold: a row for each, with the photograph's content and the painting's style.

    Both from noise: the content of this layer alone, and the style of all layers up to it. Captions give the
    peak signal-to-noise ratio to the photograph.
    """

    def plan(content: str, styles: list[str], said: dict[str, Any]) -> Plan:
        from nst_manual.figures.layers import plan_layers

        return plan_layers(content, styles, names, **said)

    _make("layers", plan, images, output, config_file, options)


def weights(
    images: Images = None,
    output: Output = None,
    config_file: ConfigFile = None,
    ratios: Ratios = None,
    names: StyleLayers = None,
    *,
    options: dict[str, Any],
) -> None:
    """Content against style: a column for each ratio of their weights, a row for each set of style layers."""

    def plan(content: str, styles: list[str], said: dict[str, Any]) -> Plan:
        from nst_manual.figures.weights import plan_weights

        return plan_weights(content, styles, defaults.RATIOS if ratios is None else ratios, names, **said)

    _make("weights", plan, images, output, config_file, options)


def grid(
    images: Images = None,
    output: Output = None,
    config_file: ConfigFile = None,
    rows: Rows = None,
    columns: Columns = None,
    *,
    options: dict[str, Any],
) -> None:
    """One option against another: a picture for each pair of values.

    Such as --rows style-weight=10,1000 --columns init=noise,content; where values have commas,
    "style-layers=relu1_1;relu1_1,relu2_1".

    The value default leaves an option as it is where it is not given.
    """

    def plan(content: str, styles: list[str], said: dict[str, Any]) -> Plan:
        from nst_manual.figures.grid import parse_axis, plan_grid

        down = None if rows is None else parse_axis("--rows", rows)
        across = None if columns is None else parse_axis("--columns", columns)
        return plan_grid(content, styles, down, across, **said)

    _make("grid", plan, images, output, config_file, options)


def networks(
    images: Images = None,
    output: Output = None,
    config_file: ConfigFile = None,
    names: Networks = None,
    files: Weights = None,
    *,
    options: dict[str, Any],
) -> None:
    """The same images with several networks: with their weights, where there are any, and random ones."""

    def plan(content: str, styles: list[str], said: dict[str, Any]) -> Plan:
        from nst_manual.figures.networks import plan_networks

        chosen = defaults.NETWORK_NAMES if names is None else [name.strip() for name in names.split(",")]
        return plan_networks(content, styles, chosen, _pairs(files or []), **said)

    _make("networks", plan, images, output, config_file, options)


def _make(
    kind: str,
    plan: Callable[[str, list[str], dict[str, Any]], Plan],
    images: list[str] | None,
    output: str | None,
    config_file: str | None,
    options: dict[str, Any],
) -> None:
    """Plan a figure, check where it goes, paint it, and write the sheet after every picture."""
    said = options_for(config_file, CommandConfig, NAMES[kind], f"figure {kind}") | given(options)
    of_runs = {field.name for field in dataclasses.fields(RunConfig)}
    config = command_config({name: value for name, value in said.items() if name not in of_runs})
    content, *styles = _images(images or [])
    target = Path(output or fresh(content, styles[0], words=kind))

    from nst_manual.figures.paint import Step, paint_plan
    from nst_manual.images import check_output, save_image
    from nst_manual.run.manifest import KEY
    from nst_manual.run.progress import duration, make_progress

    planned = plan(content, styles, {name: value for name, value in said.items() if name in of_runs})
    check_output(target, [content, *styles, *planned.inputs], config.force)
    progress = make_progress(config.quiet)
    written = False
    texts = {KEY: json.dumps({"version": __version__, "figure": kind, "options": said}, default=str)}

    def on_picture(step: Step) -> None:
        nonlocal written
        save_image(target, step.figure.sheet, texts)
        written = True
        progress.say(f"{step.number}/{step.total}  {step.caption}  {duration(step.seconds)}")

    figure = paint_plan(planned, on_picture)
    if written and not config.quiet:
        print(target, flush=True)
    if figure.stopped is not None:
        raise figure.stopped


def _with_defaults(changed: Mapping[str, Any]) -> type:
    """Return the options of the command line with other defaults, for `--help` to show."""
    fields = {field.name: field for field in dataclasses.fields(CommandConfig)}
    replaced = [
        (
            name,
            fields[name].type,
            dataclasses.field(default=value, metadata={**fields[name].metadata, "shown": None}),
        )
        for name, value in changed.items()
    ]
    return dataclasses.make_dataclass("FigureConfig", replaced, bases=(CommandConfig,), frozen=True)


def _images(images: list[str]) -> list[str]:
    """Return content and styles, the samples where none are given."""
    if len(images) == 1:
        raise UsageError("figure", "expected a photograph and a painting, got one image", "CONTENT STYLE")
    if images:
        return images
    from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path

    return [str(sample_path(CONTENT)), str(sample_path(DEFAULT_STYLE))]


def _pairs(items: list[str]) -> dict[str, str]:
    """Return network -> file of "NETWORK=FILE"."""
    found = dict(item.split("=", 1) if "=" in item else (item, "") for item in items)
    for name, path in found.items():
        if not path:
            raise UsageError("--weights", f"expected NETWORK=FILE, got {name!r}")
    return found
