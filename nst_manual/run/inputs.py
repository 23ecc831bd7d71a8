"""The files that a run reads, known by their sums: to say later what was read, and to find it again.

    {"option": "content", "name": "photo.jpg", "path": "../photo.jpg", "bytes": 123, "sha256": "..."}

`path` is relative to the folder of what it is written into. A file is looked for there, in the current
folder, in that folder, among the samples; it is the one if its sum agrees.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_manual.config import RunConfig
from nst_manual.errors import ImageError, NstError, WeightsError
from nst_manual.images import START_KINDS
from nst_manual.images.naming import shown
from nst_manual.samples import CONTENT, sample_path
from nst_manual.store.checksum import digests

# fields of the configuration that name a file, or several
FILE_OPTIONS = ("init", "style_masks", "painting_masks", "content_mask", "untouched", "colours_of", "weights")


def named_files(content: Any, styles: Sequence[Any], config: RunConfig) -> dict[str, str]:
    """Return option -> path as given, of each file that a run reads; several of an option are numbered."""
    found = {"content": content}
    found |= {f"style {number}": style for number, style in enumerate(styles, start=1)}
    for name in FILE_OPTIONS:
        value = getattr(config, name)
        several = value if isinstance(value, tuple) else (value,)
        for number, path in enumerate(several, start=1):
            found[f"{name} {number}" if isinstance(value, tuple) else name] = path
    words = {"init": START_KINDS, "weights": ("random",)}
    return {
        option: os.fspath(path)
        for option, path in found.items()
        if isinstance(path, str | os.PathLike) and path not in words.get(option, ())
    }


def given_files(images: Sequence[str]) -> dict[str, str]:
    """Return option -> path of a photograph and paintings, in that order, that are given anew."""
    return {f"style {number}" if number else "content": path for number, path in enumerate(images)}


def described(files: Mapping[str, str], folder: Path) -> list[dict[str, Any]]:
    """Return the record of each file; `folder` is that of what it is written into.

    Raises
    ------
    ImageError, WeightsError
        A file cannot be read.
    """
    records = []
    for option, path in files.items():
        size, sha256 = _sum(path, option)
        record = {"option": option, "name": os.path.basename(path), "path": _relative(path, folder)}
        records.append(record | {"bytes": size, "sha256": sha256})
    return records


def found_again(
    records: Iterable[Mapping[str, Any]], folder: Path, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return option -> path of each file, the one with the sum that is recorded.

    Parameters
    ----------
    records : iterable of dict
    folder : Path
        Of what they were written into.
    given : mapping of str to str, optional
        Option -> path that is to be taken in place of the recorded one; its sum must agree too.

    Raises
    ------
    ImageError, WeightsError
        There is no such file, or only one of that name with another sum.
    """
    found = {}
    for record in records:
        option = record["option"]
        candidates = [given[option]] if given and option in given else _candidates(record, folder)
        there = [path for path in candidates if os.path.isfile(path)]
        same = (path for path in there if _sum(path, option) == (record["bytes"], record["sha256"]))
        if (path := next(same, None)) is None:
            raise _missing(record, there)
        found[option] = path
    return found


def with_files(options: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return the options with the paths that `found_again` has found."""
    replaced = dict(options)
    for name in FILE_OPTIONS:
        if name in files:
            replaced[name] = files[name]
        elif f"{name} 1" in files:
            replaced[name] = [files.get(f"{name} {k}", path) for k, path in enumerate(options[name], start=1)]
    return replaced


def styles_of(files: Mapping[str, str]) -> list[str]:
    """Return the paintings' paths, in order."""
    numbers = sorted(int(option.split()[1]) for option in files if option.startswith("style "))
    return [files[f"style {number}"] for number in numbers]


def _candidates(record: Mapping[str, Any], folder: Path) -> list[str]:
    path, name = record["path"], os.path.basename(record["name"])  # a stranger's name stays a name
    folders = folder, Path(), sample_path(CONTENT).parent
    places = [folder / path, Path(path), *(place / name for place in folders)]
    return list(dict.fromkeys(map(os.fspath, places)))


def _missing(record: Mapping[str, Any], there: Sequence[str]) -> NstError:
    kind = WeightsError if record["option"] == "weights" else ImageError
    what = f"{record['option']} {shown(record['name'])}"
    if there:
        cause = f"has been changed, {shown(there[0])} has another checksum than sha256:{record['sha256']}"
        return kind(what, cause)
    return kind(what, f"is neither at {shown(record['path'])} nor in this folder")


def _relative(path: str, folder: Path) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # another drive
        return os.path.abspath(path)


def _sum(path: str, option: str) -> tuple[int, str]:
    """Return length and SHA-256 of a file."""
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size, digests(file, ["sha256"])["sha256"]
    except OSError as error:
        kind = WeightsError if option == "weights" else ImageError
        raise kind(f"{option} {shown(path)}", f"cannot be read, {error.strerror or error}") from error
