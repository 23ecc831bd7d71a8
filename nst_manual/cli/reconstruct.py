"""`invert` and `texture`: an image from the content of one layer alone, or from the style of some.

The two halves of style transfer by themselves: A. Mahendran, A. Vedaldi, "Understanding deep image
representations by inverting them" (CVPR 2015); L. Gatys, A. Ecker, M. Bethge, "Texture synthesis using
convolutional neural networks" (NIPS 2015).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_manual.cli.config_file import ConfigFile, options_for
from nst_manual.cli.options import given, with_options
from nst_manual.cli.run import fresh
from nst_manual.config import CommandConfig, command_config
from nst_manual.figures.psnr import psnr

# Of control, what an inversion and a texture have a use for.
_CONTROLS = {
    field.name for field in dataclasses.fields(CommandConfig) if field.metadata["group"] == "Control"
}
_OF_TEXTURE = {"painting_masks", "mask_rule"}
# The sum that the other one minimises; and what the command decides itself.
_OF_CONTENT = {
    "content_layers",
    "content_weight",
    "laplacian_weight",
    "laplacian_pool",
    "normalize_gradients",
}
_OF_STYLE = {"style_layers", "style_weight", "style_representation"}
_OF_STYLE |= {"style_size", "style_blend", "style_scales", "style_combine"}
_SEVERAL = {"style_blend", "style_combine"}
_ALL = {field.name for field in dataclasses.fields(CommandConfig)}
_INVERT = _ALL - _CONTROLS - _OF_STYLE - {"content_layers", "content_weight"}
_TEXTURE = _ALL - (_CONTROLS - _OF_TEXTURE) - _OF_CONTENT - _SEVERAL

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
    app.command("invert")(with_options(CommandConfig, _INVERT)(invert))
    app.command("texture")(with_options(CommandConfig, _TEXTURE)(texture))


def invert(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.")],
    layer: Annotated[str, typer.Option(metavar="LAYER", help="Whose features are kept.")] = "relu4_2",
    output: Output = None,
    config_file: ConfigFile = None,
    *,
    options: dict[str, Any],
) -> None:
    """Make an image, from noise, that has the features of a picture at one layer.

    Prints the peak signal-to-noise ratio to the picture: the lower the layer, the more of it is left.
    """
    wanted = {"content_layers": layer, "content_weight": 1.0, "style_weight": 0.0}
    said = _from_noise(options, config_file, "invert", _INVERT) | wanted
    outcome, config = _make(image, said, output, layer.replace("/", "-"))
    if not config.quiet:
        from nst_manual.images import read_image, resize, to_uint8

        picture = resize(read_image(image, "picture"), outcome.pixels.shape[:2])
        print(f"PSNR {psnr(to_uint8(outcome.pixels), picture):.2f} dB", flush=True)


def texture(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.")],
    output: Output = None,
    config_file: ConfigFile = None,
    *,
    options: dict[str, Any],
) -> None:
    """Make an image, from noise, that has the style of a picture and none of its content."""
    said = _from_noise(options, config_file, "texture", _TEXTURE)
    _make(image, said | {"content_weight": 0.0}, output, "texture")


def _from_noise(
    options: dict[str, Any], config_file: str | None, command: str, names: Collection[str]
) -> dict[str, Any]:
    """Return the options that were given, and a start from noise unless they say otherwise."""
    said = options_for(config_file, CommandConfig, names, command)
    return {"init": "noise", "noise_std": 30.0} | said | given(options)


def _make(image: str, options: dict[str, Any], output: str | None, words: str) -> Any:
    """Run, write the picture, and return what came of it and the configuration."""
    from nst_manual.run.files import run_to_files

    config = command_config(options)
    target = Path(output) if output is not None else fresh(image, words=words)
    outcome = run_to_files(image, [image], target, config)
    if not config.quiet:
        print(target, flush=True)
    if outcome.stopped is not None:
        raise outcome.stopped
    return outcome, config
