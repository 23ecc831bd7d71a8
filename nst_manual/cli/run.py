"""`run`: style transfer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_manual.cli.config_file import ConfigFile, read_options
from nst_manual.cli.options import given, output_option, with_options
from nst_manual.config import CommandConfig, command_config

Output = output_option("The picture: .png, .jpg, .webp, .tif or .bmp.", "CONTENT-STYLE.png in this folder")


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(with_options(CommandConfig)(run))


def run(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONTENT STYLE", help="A photograph, and one or more paintings.", show_default=False
        ),
    ] = None,
    output: Output = None,
    config_file: ConfigFile = None,
    *,
    options: dict[str, Any],
) -> None:
    """Paint a photograph in the style of a painting.

    Without images, the samples that come with the program are taken.
    """
    said = {} if config_file is None else read_options(config_file, CommandConfig)
    config = command_config(said | given(options))
    content, *styles = _images(images or [])

    target = Path(output) if output is not None else fresh(content, styles[0])

    from nst_manual.run.files import run_to_files

    outcome = run_to_files(content, styles, target, config)
    if not config.quiet:
        print(target, flush=True)
    if outcome.stopped is not None:
        raise outcome.stopped


def _images(images: list[str]) -> list[str]:
    """Return content and styles, the samples where none are given."""
    from nst_manual.errors import UsageError

    if len(images) == 1:
        raise UsageError("run", "expected a photograph and a painting, got one image", "run CONTENT STYLE")
    if images:
        return images
    from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path

    return [str(sample_path(CONTENT)), str(sample_path(DEFAULT_STYLE))]


def fresh(*images: str, words: str = "") -> Path:
    """Return IMAGE-IMAGE-WORDS.png for this folder, or the first of name-2, name-3, ... that is free.

    No picture is replaced unasked. The name is one that can be printed and typed, and long ones are cut:
    there is room for 255 bytes, and pictures on the way get a number behind theirs.
    """
    room = 180 // len(images)  # bytes, of which a letter has up to four
    stems = ("".join(c if c.isprintable() else "_" for c in Path(image).stem) for image in images)
    parts = [stem.encode()[:room].decode(errors="ignore") for stem in stems]
    stem = "-".join([*parts, words[:40]] if words else parts).lstrip("-")
    candidate, number = Path(f"{stem}.png"), 2
    while os.path.lexists(candidate):
        candidate = Path(f"{stem}-{number}.png")
        number += 1
    return candidate
