"""What must hold of the files of a run after a fault: each is whole, old or new."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import typer
from PIL import Image
from smooth_pictures import smooth_picture

from nst_manual import atomic
from nst_manual.cli import app, main
from nst_manual.images import read_metadata, save_image
from nst_manual.run import scales
from nst_manual.run.checkpoint import DamagedError, read_checkpoint
from nst_manual.run.manifest import KEY, about_pixels, beside

# A run of a tenth of a second: two losses at the first layer of the smallest network, at two sizes.
NETWORK = [
    "--network",
    "squeezenet",
    "--style-layers",
    "relu1",
    "--content-layers",
    "relu1",
    "--threads",
    "1",
]
TINY = [*NETWORK, "--size", "32", "--iterations", "2", "--scales", "2", "--scale-factor", "1.4"]


@contextlib.contextmanager
def quick_runs() -> Iterator[None]:
    """Let this process read weights and build the command line once, and paint tiny pictures in scales."""
    build = importlib.import_module("nst_manual.nn.build")  # the package has a function of that name
    real = build.load_weights
    loaded: dict[str, object] = {}

    def load(*arguments: object) -> object:
        key = repr(arguments)
        return loaded[key] if key in loaded else loaded.setdefault(key, real(*arguments))

    command = typer.main.get_command(app.make_app())
    changes = [
        (app, "make_app", lambda: command),
        (build, "load_weights", load),
        (scales, "LEAST_SIZE", 8),
        (atomic, "_YOUNG", 0.0),  # nobody else is at work here
    ]
    before = [getattr(module, name) for module, name, _ in changes]
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(changes, before, strict=True):
            setattr(module, name, value)


def make_inputs(folder: Path) -> list[str]:
    """Save a photograph and a painting, and return their paths."""
    folder.mkdir(exist_ok=True)
    paths = [str(folder / name) for name in ("photo.png", "painting.png")]
    for seed, path in enumerate(paths):
        save_image(path, smooth_picture(seed, 24 + 6 * seed, 32 - 4 * seed))
    return paths


SEEN: list[str] = []  # of the test that runs
MOST_SEEN = 50


def call(arguments: Sequence[str]) -> tuple[int, str]:
    """Run the program in this process; return its exit code and what it said on standard error."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
    before, hook = (sys.stdout, sys.stderr), sys.unraisablehook
    sys.stdout, sys.stderr = streams
    sys.unraisablehook = lambda seen: streams[1].write(
        f"ignored: {seen.exc_type.__name__} {seen.exc_value}\n"
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            code = main(arguments)
    finally:
        (sys.stdout, sys.stderr), sys.unraisablehook = before, hook
    streams[1].seek(0)
    said = streams[1].read()
    note(code, said)
    return code, said


def note(code: int, said: str) -> None:
    """Keep for the table what came of a command: exit code, and the error or warning."""
    lines = [line for line in said.splitlines() if line.startswith(("error: ", "warning: "))]
    if len(SEEN) < MOST_SEEN:
        SEEN.append(f"{code} {lines[-1]}" if lines else f"{code}")


def files_of(folder: Path) -> dict[str, bytes]:
    """Return name -> bytes of the files in a folder."""
    return {entry.name: Path(entry).read_bytes() for entry in os.scandir(folder)}


def put_back(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let a folder hold those files and no others."""
    for entry in os.scandir(folder):
        if entry.name not in files:
            os.unlink(entry)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def pixels_of(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode a picture to its last row."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def picture_fault(path: Path) -> str:
    """Return what is wrong with a picture: cut, or not the one that its manifest is of; "" for nothing."""
    try:
        pixels = pixels_of(path)
        text = read_metadata(path).get(KEY)
    except Exception as error:
        return f"{path.name} is not whole: {error}"
    # of a format with losses, the sum is that of the picture before it was encoded
    if text is not None and beside(path) is None and json.loads(text)["pixels"] != about_pixels(pixels):
        return f"{path.name} is not the picture that its manifest is of"
    return ""


def checkpoint_fault(path: Path) -> str:
    """Return what is wrong with a checkpoint, or ""."""
    try:
        read_checkpoint(path)
    except DamagedError as error:
        return f"{path.name} is not whole: {error}"
    return ""


def log_records(path: Path, torn: bool = False) -> list[dict]:
    """Return the records of a log without their seconds; without the last one, if it may be `torn` and is."""
    lines = path.read_text().splitlines(keepends=True)
    if torn and lines and not lines[-1].endswith("\n"):
        lines.pop()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def temporaries(names: Sequence[str]) -> list[str]:
    """Return the names of temporary files."""
    return [name for name in names if name.endswith(".tmp")]
