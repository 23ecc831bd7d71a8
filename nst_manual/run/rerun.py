"""Make a picture again from what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nst_manual.config import RunConfig, command_config, run_config
from nst_manual.errors import ImageError
from nst_manual.images import read_image, to_uint8
from nst_manual.images.naming import shown
from nst_manual.run.files import run_to_files
from nst_manual.run.inputs import found_again, given_files, styles_of, with_files
from nst_manual.run.job import Outcome
from nst_manual.run.manifest import Manifest, about_pixels, beside, read_manifest, surroundings

LOSSLESS = (".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Again:
    """What came of it.

    Attributes
    ----------
    outcome : Outcome
    same : bool
        Whether every value of the picture is what it was, before it was encoded.
    remarks : list of str
        In words: whether, and what else is different.
    """

    outcome: Outcome
    same: bool
    remarks: list[str]


def rerun(picture: str, target: Path, options: Mapping[str, Any], images: Sequence[str] = ()) -> Again:
    """Make a picture again.

    Parameters
    ----------
    picture : path
        Of a picture that says how it was made.
    target : Path
        Where the new one goes.
    options : mapping
        Of output, threads and memory: what changes nothing of the picture. And the device, which changes
        its last bits.
    images : sequence of path
        Where photograph and paintings are now, if they have been moved.

    Raises
    ------
    ImageError
        The picture has no manifest, or one of its inputs is gone or has been changed.
    WeightsError
        The weights are others.
    NstError
        As `run_to_files`.
    """
    manifest = read_manifest(picture)
    files = found_again(manifest.files, Path(picture).parent, given_files(images))
    # whoever wrote the manifest has no say in where anything is written
    made_with = with_files(manifest.given, files) | {"network": manifest.network["name"]}
    run_config(made_with)
    config = command_config(made_with | dict(options))
    for name in ("content", "style 1"):
        if name not in files:
            raise ImageError(f"picture {shown(picture)}", f"its manifest does not say what its {name} was")
    outcome = run_to_files(
        files["content"],
        styles_of(files),
        target,
        config,
        until=manifest.place,
        enlarged=manifest.enlarged,
        network=manifest.network,
        inputs=[picture, *_beside(picture)],
    )
    pixels = to_uint8(outcome.pixels)
    same = about_pixels(pixels) == manifest.pixels
    return Again(outcome, same, [*_remarks(picture, manifest, pixels, same, config)])


def _remarks(
    picture: str, manifest: Manifest, pixels: np.ndarray, same: bool, config: RunConfig
) -> list[str]:
    """Return in words what is the same and what is not."""
    lossless = Path(picture).suffix.lower() in LOSSLESS
    old = to_uint8(read_image(picture, "picture"))
    edited = lossless and about_pixels(old) != manifest.pixels
    remarks = []
    if same:
        remarks.append("made again: every value is the same")
    elif old.shape != pixels.shape:
        remarks.append(f"not the same: {_by(pixels)} pixels, it was {_by(old)}")
    elif lossless and not edited:
        apart = np.abs(old.astype(int) - pixels.astype(int))
        share = 100 * np.mean(apart > 0)
        remarks.append(f"not the same: {share:.3g} % of the values differ, by at most {apart.max()} of 255")
    else:
        remarks.append("not the same")
    if edited:
        remarks.append(
            f"{shown(picture)} has been edited since it was made, or its manifest is another picture's"
        )
    here = surroundings(config)
    if not same:
        remarks += _differences(manifest.surroundings, here) or ["nothing that is written down differs"]
    return remarks


def _differences(was: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return what the bits of a picture may depend on, and is not what it was."""
    before = was["versions"] if isinstance(was["versions"], dict) else {}
    found = [
        f"{name} was {_said(before.get(name))}, is {_said(version)}"
        for name, version in here["versions"].items()
        if before.get(name) != version
    ]
    if was["processor"] != here["processor"]:
        found.append(f"processor was {_said(was['processor'])}, is {here['processor']}")
    if was["device"] != here["device"]:
        found.append(f"device was {_said(was['device'])}, is {here['device']}")
    return found


def _said(value: Any) -> str:
    """Return what a manifest says for the terminal: it may come from anyone."""
    return shown(", ".join(map(str, value)) if isinstance(value, list) else str(value))[:200]


def _beside(picture: str) -> list[Path]:
    there = beside(picture)
    return [] if there is None else [there]


def _by(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
