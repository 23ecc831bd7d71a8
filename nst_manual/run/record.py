"""What is written into a picture: the program, the inputs' names and every option that made it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from nst_manual import __version__
from nst_manual.config import RunConfig

KEY = "nst_manual"


def record(content: Any, styles: Sequence[Any], config: RunConfig) -> dict[str, str]:
    """Return the texts for `save_image`: under `KEY` a JSON object.

    It has "version", "content" and "styles" (names of files, without folders) and "options": every field of
    `nst_manual.config.RunConfig`, with the preset's value where none was given and the preset has one.
    """
    fields = dataclasses.fields(RunConfig)
    settings = config.settings
    options = {}
    for name in (field.name for field in fields):
        value = getattr(config, name)
        if value is None:
            value = getattr(settings, name, None) or None  # an empty one of a preset's says nothing
        if value is not None:
            options[name] = value
    for kind in ("content", "style"):
        pairs = config.layers_of(kind)
        options[f"{kind}_layers"] = [name if w is None else f"{name}:{w!r}" for name, w in pairs]
    if config.learning_rate is None and options["optimizer"] != "adam":
        del options["learning_rate"]  # the preset's is Adam's
    found = {
        "version": __version__,
        "content": _name(content),
        "styles": [_name(style) for style in styles],
        "options": options,
    }
    return {KEY: json.dumps(found, default=_name)}


def _name(source: Any) -> str:
    """Return the file's name, or what the picture is."""
    return os.path.basename(source) if isinstance(source, str | os.PathLike) else type(source).__name__
