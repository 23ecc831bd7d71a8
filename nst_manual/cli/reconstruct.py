"""`invert` and `texture`: an image from the content of one layer alone, or from the style of some.

The two halves of style transfer by themselves: A. Mahendran, A. Vedaldi, "Understanding deep image
representations by inverting them" (CVPR 2015); L. Gatys, A. Ecker, M. Bethge, "Texture synthesis using
convolutional neural networks" (NIPS 2015).
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_manual.cli.options import given, with_options
from nst_manual.cli.run import fresh
from nst_manual.config import CommandConfig, command_config

# What neither has a use for, or decides itself.
_NOT_INVERT = {"content_layers", "content_weight"}
_OF_CONTENT = {"content_layers", "content_weight", "laplacian_weight", "laplacian_pool", "keep_colours"}
_OF_STYLE = {
    "style_layers",
    "style_weight",
    "style_size",
    "style_blend",
    "style_scales",
    "style_combine",
    "style_masks",
    "mask_rule",
    "style_representation",
    "match_colours",
    "colours_of",
}
_ALL = {field.name for field in dataclasses.fields(CommandConfig)}

Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="The picture: .png, .jpg, .webp, .tif or .bmp.",
        show_default="IMAGE-LAYER.png or IMAGE-texture.png in this folder",
        rich_help_panel="Output",
    ),
]


def add(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("invert")(with_options(CommandConfig, _ALL - _OF_STYLE - _NOT_INVERT)(invert))
    app.command("texture")(with_options(CommandConfig, _ALL - _OF_CONTENT)(texture))


def invert(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.")],
    layer: Annotated[str, typer.Option(metavar="LAYER", help="Whose features are kept.")] = "relu4_2",
    output: Output = None,
    *,
    options: dict[str, Any],
) -> None:
    """Make an image, from noise, that has the features of a picture at one layer.

    Prints the peak signal-to-noise ratio to the picture: the lower the layer, the more of it is left.
    """
    wanted = {"content_layers": layer, "content_weight": 1.0, "style_weight": 0.0}
    outcome, config = _make(image, _from_noise(options) | wanted, output, layer.replace("/", "-"))
    if not config.quiet:
        from nst_manual.images import read_image, scale_to, to_uint8

        picture = scale_to(read_image(image, "picture"), config.size)
        print(f"PSNR {psnr(to_uint8(outcome.pixels), picture):.2f} dB", flush=True)


def texture(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.")],
    output: Output = None,
    *,
    options: dict[str, Any],
) -> None:
    """Make an image, from noise, that has the style of a picture and none of its content."""
    _make(image, _from_noise(options) | {"content_weight": 0.0}, output, "texture")


def _from_noise(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, and a start from noise unless they say otherwise."""
    return {"init": "noise", "noise_std": 30.0} | given(options)


def _make(image: str, options: dict[str, Any], output: str | None, words: str) -> Any:
    """Run, write the picture, and return what came of it and the configuration."""
    from nst_manual.run.files import run_to_files

    config = command_config(options)
    target = Path(output) if output is not None else fresh(Path(f"{Path(image).stem}-{words}.png"))
    outcome = run_to_files(image, [image], target, config)
    if not config.quiet:
        print(target, flush=True)
    if outcome.stopped is not None:
        raise outcome.stopped
    return outcome, config


def psnr(pixels: Any, picture: Any) -> float:
    """Return the peak signal-to-noise ratio of two pictures of 0..255, in dB."""
    error = float(((pixels.astype(float) - picture) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
