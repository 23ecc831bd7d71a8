"""What is said of a picture in it, or beside it: all that made it, so that it can be made again.

Under `KEY`, a JSON object:

    version, content, styles     of this program; names of files, without folders
    options                      every option of `RunConfig`, the preset's value where none was given
    given                        those that were given: with the same presets, they make the picture again
    files                        what was read, with lengths and sums (`inputs.py`)
    network                      name, weight file, its sum
    versions, processor, threads
    loss, losses, saved_loss, first_loss, iterations, evaluations, seconds
    place, stopped               scale and its iterations at the end; why, where it was before the last one
    pixels                       SHA-256 of the picture's 8-bit values, and its height and width

A PNG file has it as a text. JPEG, WebP and TIFF have it in their description, and like BMP, which has no
place for it, in a file beside them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nst_manual import __version__
from nst_manual.backend import open_device
from nst_manual.config import RunConfig
from nst_manual.errors import ImageError, OutputError
from nst_manual.images import read_metadata
from nst_manual.images.naming import shown
from nst_manual.machine import cpu_model, versions
from nst_manual.run.inputs import FILE_OPTIONS
from nst_manual.threads import available_cpus

KEY = "nst_manual"
LIBRARIES = ("numpy", "scipy", "pillow", "h5py")
_LARGEST = 4 << 20  # bytes of a file beside a picture; ours have a few thousand


def beside(path: str | os.PathLike[str]) -> Path | None:
    """Return where the manifest of a picture stands beside it, out.jpg.json; None for PNG, which holds it."""
    path = Path(path)
    return None if path.suffix.lower() == ".png" else path.with_name(path.name + ".json")


def check_beside(path: Path, force: bool) -> None:
    """Raise `OutputError` where a file that is none of ours stands where the manifest would."""
    there = beside(path)
    if there is None or force or not os.path.exists(there):  # which takes an error for a no
        return
    try:
        parse_manifest(_read(there), str(there))
    except (ImageError, OSError) as error:
        raise OutputError(
            shown(there), "exists, and is no manifest of a picture", "--force replaces it, --no-manifest none"
        ) from error


def introduction(content: Any, styles: Sequence[Any], config: RunConfig) -> dict[str, Any]:
    """Return what is known before the run: names, options."""
    found = {
        "version": __version__,
        "content": _name(content),
        "styles": [_name(style) for style in styles],
        "options": _without_folders(effective(config)),
        "given": _without_folders(given_of_runs(config)),
    }
    return json.loads(json.dumps(found, default=_name))


def given_of_runs(config: RunConfig) -> dict[str, Any]:
    """Return the options of a run, not those of files and messages, that are not their defaults."""
    names = {field.name for field in dataclasses.fields(RunConfig)}
    return {name: value for name, value in given_options(config).items() if name in names}


def _without_folders(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with the names of files alone: `files` says where they were."""
    found = dict(options)
    for name in FILE_OPTIONS:
        if (value := found.get(name)) is not None:
            found[name] = [_name(path) for path in value] if isinstance(value, tuple) else _name(value)
    return found


def surroundings(config: RunConfig) -> dict[str, Any]:
    """Return what the bits of a picture may depend on beside its inputs."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:  # a plain copy of the tree, on a machine for GPUs
        libraries = []
    else:
        libraries = threadpool_info()
    blas = [
        " ".join(str(library.get(key)) for key in ("internal_api", "version", "architecture"))
        for library in libraries
        if library.get("user_api") == "blas"
    ]
    return {
        "versions": {"nst_manual": __version__} | versions(*LIBRARIES) | {"blas": sorted(set(blas))},
        "processor": cpu_model(),
        "threads": config.threads or available_cpus(),
        "device": open_device(config.device)[1],
    }


def about_pixels(pixels: np.ndarray) -> dict[str, Any]:
    """Return what tells a picture (H, W, 3) of uint8 from every other."""
    return {
        "sha256": hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest(),
        "size": [*pixels.shape[:2]],
    }


def effective(config: RunConfig) -> dict[str, Any]:
    """Return every option of a run, with the preset's value where none was given and the preset has one."""
    settings, options = config.settings, {}
    for name in (field.name for field in dataclasses.fields(RunConfig)):
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
    return options


def given_options(config: Any) -> dict[str, Any]:
    """Return the options of a configuration that are not their defaults."""
    pairs = ((field, getattr(config, field.name)) for field in dataclasses.fields(config))
    return {field.name: value for field, value in pairs if not _is(value, field.default)}


def _is(value: Any, default: Any) -> bool:
    """Whether a value is the default; arrays, which compare element by element, are none."""
    return value is default or (isinstance(value, str | int | float | tuple) and value == default)


@dataclass(frozen=True)
class Manifest:
    """What a picture says of how it was made; see the top of this file.

    Attributes
    ----------
    given : dict
        Options for `run_config`, which checks them.
    files : list of dict
    network : dict
        "name", "weights", "sha256", each text; the last two may be None.
    place : (int, int) or None
        Where the run was stopped; None where it was not.
    enlarged : bool
        Whether a picture of a coarse scale was enlarged.
    pixels : dict
        "sha256", "size".
    surroundings : dict
        "versions", "processor", "threads", "device".
    """

    given: dict[str, Any]
    files: list[dict[str, Any]]
    network: dict[str, Any]
    place: tuple[int, int] | None
    enlarged: bool
    pixels: dict[str, Any]
    surroundings: dict[str, Any]


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Return the manifest of a picture: the one in it, else the one beside it.

    Raises
    ------
    ImageError
        The picture cannot be read, or has no manifest, or one that is damaged.
    """
    text, name = read_metadata(path).get(KEY), f"picture {shown(path)}"
    there = beside(path)
    if text is None and there is not None and there.is_file():
        try:
            text, name = _read(there), shown(there)
        except OSError as error:
            raise ImageError(shown(there), f"cannot be read, {error.strerror or error}") from error
    if text is None:
        cause = "says nothing about how it was made"
        raise ImageError(name, cause, "pictures of `nst-manual run` do, unless --no-manifest was given")
    return parse_manifest(text, name)


def parse_manifest(text: str, name: str = "manifest") -> Manifest:
    """Return what a text says; it may come from anyone, so all that is used of it is checked.

    Raises
    ------
    ImageError
        It is damaged, or of another program or version.
    """
    try:
        found = _dict(json.loads(text))
        if "figure" in found:
            raise ImageError(name, "is a sheet of several pictures, each of which would be made by a run")
        manifest = Manifest(
            given=_dict(found["given"]),
            files=[_file(record) for record in _list(found["files"])],
            network={key: _text(value, key != "name") for key, value in _dict(found["network"]).items()},
            place=None if not found["stopped"] else _pair(found["place"]),
            enlarged=found.get("enlarged", True) is True,
            pixels={"sha256": _text(found["pixels"]["sha256"]), "size": [*_pair(found["pixels"]["size"])]},
            surroundings={key: found[key] for key in ("versions", "processor", "threads")}
            | {"device": found.get("device", "CPU")},
        )
        if {"name", "weights", "sha256"} != set(manifest.network) or len(manifest.files) > 1000:
            raise ValueError("its network or files are not described as they should be")
        return manifest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        cause = f"its manifest is damaged, or of another version, {type(error).__name__} {said}"
        raise ImageError(name, cause) from error


def _file(record: Any) -> dict[str, Any]:
    kept = {key: _text(record[key]) for key in ("option", "name", "path", "sha256")}
    if "\0" in kept["path"] + kept["name"]:
        raise ValueError("a path has a zero byte")
    if not isinstance(record["bytes"], int):
        raise TypeError("a length is no number")
    return kept | {"bytes": record["bytes"]}


def _dict(value: Any) -> dict:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def _list(value: Any) -> list:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return value


def _text(value: Any, optional: bool = False) -> Any:
    if not (isinstance(value, str) or (optional and value is None)):
        raise TypeError(f"expected a text, got {type(value).__name__}")
    return value


def _pair(value: Any) -> tuple[int, int]:
    first, second = value
    if not (type(first) is type(second) is int and first >= 0 and second >= 0):
        raise TypeError("expected two whole numbers")
    return first, second


def _read(path: Path) -> str:
    """Return the text of a file, of which not more is read than a manifest could have."""
    with path.open("rb") as file:
        return file.read(_LARGEST).decode("utf-8", "replace")


def _name(source: Any) -> str:
    """Return the file's name, or what the picture is."""
    return os.path.basename(source) if isinstance(source, str | os.PathLike) else type(source).__name__
