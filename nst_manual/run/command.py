"""What a run is, as a checkpoint keeps it: pictures, output, options - and back to a configuration.

Paths are kept whole, from the root: a checkpoint is for the machine that it was made on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_manual import __version__
from nst_manual.config import FREE, CommandConfig, command_config
from nst_manual.errors import UsageError
from nst_manual.options import flag
from nst_manual.run.inputs import found_again, named_files, styles_of, with_files
from nst_manual.run.manifest import effective, given_options
from nst_manual.run.scales import configurations

_OUTPUTS = ("log", "progress_sheet")
_OF_ONE_CALL = ("checkpoint", "force", "quiet", "debug")


def command_of(
    content: str, styles: Sequence[str], target: Path, config: CommandConfig, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the run as JSON holds it; `about` has "network" and "files" of the manifest."""
    paths = named_files(content, styles, config)
    options = given_options(config)
    for name in _OUTPUTS:
        if name in options:
            options[name] = os.path.abspath(options[name])
    found = {
        "version": __version__,
        "target": os.path.abspath(target),
        "options": {name: value for name, value in options.items() if name not in _OF_ONE_CALL},
        "files": [file | {"path": os.path.abspath(paths[file["option"]])} for file in about["files"]],
        "network": about["network"],
    }
    return json.loads(json.dumps(found))


@dataclass(frozen=True)
class Command:
    """A run, with the paths of files that are there.

    Attributes
    ----------
    content : str
    styles : list of str
    target : Path
    config : CommandConfig
    """

    content: str
    styles: list[str]
    target: Path
    config: CommandConfig


def restored(
    command: Mapping[str, Any], folder: Path, given: Mapping[str, str], options: Mapping[str, Any]
) -> Command:
    """Return the run that a checkpoint is of.

    Parameters
    ----------
    command : dict
        What `command_of` has returned.
    folder : Path
        Of the checkpoint.
    given : mapping of str to str
        Option -> where that file is now.
    options : mapping
        Options given anew, as text or as themselves.

    Raises
    ------
    UsageError
        An option that would change the picture has another value than the checkpoint's.
    ImageError, WeightsError
        A file is gone or has been changed.
    """
    files = found_again(command["files"], folder, given)
    was = with_files(command["options"], files)
    if not was.get("network"):
        was["network"] = command["network"]["name"]  # the default may be another one by now
    config = command_config(was | {name: value for name, value in options.items() if name in FREE})
    changed = {name: value for name, value in options.items() if name not in FREE}
    other = command_config(was | changed)
    before, after = effective(config), effective(other)
    names = [
        name
        for name in changed
        if getattr(other, name) != getattr(config, name)
        and (name not in before or before[name] != after.get(name))  # what the preset says may be said again
    ]
    if names == ["iterations"] and _extends(config, other):
        config, names = command_config(was | dict(options)), []
    if names:
        pairs = "; ".join(
            f"the checkpoint has {_shown(config, name)}, got {_shown(other, name)}" for name in names
        )
        hint = "another run is `nst-manual run`, which can start from this one's picture with --init PICTURE"
        raise UsageError(", ".join(map(flag, names)), pairs, hint)
    return Command(files["content"], styles_of(files), Path(command["target"]), config)


def _extends(config: CommandConfig, other: CommandConfig) -> bool:
    """Whether a run may simply take more iterations: at one size, with steps that do not depend on them."""
    before, after = configurations(config), configurations(other)
    longer = len(before) == len(after) == 1 and after[0].iterations >= before[0].iterations
    return longer and "cosine" not in (config.schedule or "")


def _shown(config: CommandConfig, name: str) -> str:
    value = effective(config).get(name, getattr(config, name))
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
