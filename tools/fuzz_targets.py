"""What `tools/fuzz.py` feeds with damaged files: each reader of what may come from strangers, with valid
examples to start from.

A new reader is one line of `TARGETS`: a function of a path, and its examples. Those come from the helpers of
the tests, and from the files that other programs have written, in `tests/store/files`.
"""

from __future__ import annotations

import io
import json
import math
import sys
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
for folder in (ROOT, ROOT / "tests" / "store", ROOT / "tests" / "images"):
    sys.path.insert(0, str(folder))

FILES = ROOT / "tests" / "store" / "files"
LARGEST = 16 << 20  # bytes of a tensor
SHAPES = {"conv1_1": ((1, 1, 3, 2), (2,)), "conv1_2": ((1, 1, 2, 2), (2,))}


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes
    ----------
    read : callable
        Of the path of a file: reads it to the end, or raises `NstError`.
    examples : callable
        Returns valid inputs.
    whole : callable
        The file that an input stands for, where what is fuzzed lies within one and has a checksum in it.
    """

    read: Callable[[Path], object]
    examples: Callable[[], Iterable[bytes]]
    whole: Callable[[bytes], bytes] = bytes


# -- weights ----------------------------------------------------------------------------------------


def read_weights(path: Path) -> None:
    """Open a weight file and read its tensors, but for those that nobody would ask for."""
    from nst_manual.store.formats import open_archive

    with open_archive(path) as archive:
        for tensor in archive.tensors.values():
            if math.prod(tensor.shape) * tensor.dtype.itemsize <= LARGEST:
                tensor.read()


def check_weights(path: Path) -> None:
    """Read a weight file as `weights check` does, and as a run."""
    from nst_manual.errors import NstError
    from nst_manual.store import check_weights, load_weights

    try:
        check_weights(path)
    except NstError:
        # a run asks for some layers only, and may get further
        load_weights(path, "vgg16", SHAPES)


def golden(*endings: str) -> Callable[[], list[bytes]]:
    """Return what gives the files of the tests whose names end so."""
    return lambda: [path.read_bytes() for path in sorted(FILES.iterdir()) if path.name.endswith(endings)]


def written(*writers: Callable[[Path], object]) -> Callable[[], list[bytes]]:
    """Return what gives the files that those functions write."""

    def examples() -> list[bytes]:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "x"
            found = []
            for write in writers:
                write(path)
                found.append(path.read_bytes())
        return found

    return examples


def _arrays() -> dict:
    from store_files import random_arrays

    return random_arrays(SHAPES)


def write_keras(path: Path, **options: Any) -> None:
    """Write Keras's layout, as the published files have it."""
    from store_files import write_keras

    write_keras(path, _arrays(), **options)


def write_packed_keras(path: Path) -> None:
    """Write Keras's layout with all filters that are read."""
    write_keras(path, chunks=True, compression="gzip", shuffle=True, fletcher32=True)


def write_keras3(path: Path) -> None:
    """Write Keras 3's layout, in the newest form of HDF5."""
    import h5py

    with h5py.File(path, "w", libver="latest") as file:
        for number, pair in enumerate(_arrays().values()):
            group = file.create_group(f"layers/conv2d_{number}/vars")
            group.attrs["name"] = f"conv1_{number + 1}"
            group["0"], group["1"] = pair


def write_own(path: Path) -> None:
    """Write our own layout, with checksums."""
    from nst_manual.nets.preprocessing import CAFFE_BGR
    from nst_manual.store.own_hdf5 import write

    write(path, _arrays().items(), "vgg16", CAFFE_BGR, source="nowhere", licence="none")


def pickles() -> list[bytes]:
    """Return the pickles within PyTorch's zips."""
    found = []
    for data in golden("_zip.pth", "protocol4.pth")():
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found += [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
    return found


def pickle_in_zip(pickle: bytes) -> bytes:
    """Return one of PyTorch's zips with another pickle."""
    into = io.BytesIO()
    with (
        zipfile.ZipFile(FILES / "kinds_zip.pth") as archive,
        zipfile.ZipFile(into, "w") as copy,
    ):
        for name in archive.namelist():
            copy.writestr(name, pickle if name.endswith("data.pkl") else archive.read(name))
    return into.getvalue()


def members() -> list[bytes]:
    """Return the arrays within an .npz."""
    with zipfile.ZipFile(FILES / "kinds.npz") as archive:
        return [archive.read(name) for name in archive.namelist()]


def member_in_zip(array: bytes) -> bytes:
    """Return an .npz of one array."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv1_1.weight.npy", array)
        archive.writestr("scale.npy", array)
        archive.writestr("order.npy", array)
        archive.writestr("mean.npy", array)
    return into.getvalue()


# -- pictures ---------------------------------------------------------------------------------------


def read_picture(path: Path) -> None:
    """Read a picture; hold that what comes is one."""
    import numpy as np

    from nst_manual.images import read_image

    pixels = read_image(path)
    if pixels.dtype != np.float32 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise TypeError(f"read_image returned {pixels.dtype}, {pixels.shape}")
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 255):
        raise ValueError("read_image returned values outside 0..255")


def read_texts(path: Path) -> None:
    """Read the texts within a picture."""
    from nst_manual.images.metadata import read_metadata

    found = read_metadata(path)
    if not all(type(text) is str for pair in found.items() for text in pair):
        raise TypeError("read_metadata returned what is no text")


def pictures() -> list[bytes]:
    """Return a small picture of each format and mode."""
    from picture_files import adobe_rgb
    from PIL import Image

    found = []
    for kind, modes in {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "JPEG": ("L", "RGB", "CMYK"),
        "WEBP": ("RGB", "RGBA"),
        "TIFF": ("1", "L", "RGB", "RGBA", "CMYK", "LAB", "F", "I;16"),
        "BMP": ("1", "P", "RGB"),
        "GIF": ("P",),
        "PPM": ("1", "L", "RGB"),
    }.items():
        for mode in modes:
            into = io.BytesIO()
            Image.new(mode, (5, 4)).save(into, kind)
            found.append(into.getvalue())
    for options in (
        {"icc_profile": adobe_rgb()},
        {"exif": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0"},
    ):
        into = io.BytesIO()
        Image.new("RGB", (5, 4)).save(into, "JPEG", **options)
        found.append(into.getvalue())
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        into = io.BytesIO()
        frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
        frames[0].save(into, kind, save_all=True, append_images=frames[1:])
        found.append(into.getvalue())
    return found


def pictures_with_texts() -> list[bytes]:
    """Return a small picture with a text, of each format that holds one."""
    import numpy as np

    from nst_manual.images import save_image

    found = []
    with TemporaryDirectory() as folder:
        for ending in (".png", ".jpg", ".webp", ".tif"):
            path = Path(folder) / f"x{ending}"
            save_image(path, np.zeros((2, 3, 3), np.uint8), metadata={"nst_manual": '{"size": 512}'})
            found.append(path.read_bytes())
    return found


# -- texts ------------------------------------------------------------------------------------------


def read_manifest(text: str) -> None:
    """Read what a picture says of how it was made."""
    from nst_manual.run.manifest import parse_manifest

    parse_manifest(text)


def manifests() -> list[bytes]:
    """Return a manifest as pictures have it."""
    file = {"option": "content", "name": "a.png", "path": "../a.png", "bytes": 9, "sha256": 64 * "0"}
    whole = {"given": {"size": 64, "style_layers": [["relu1_1", 2.0]]}, "files": [file]}
    whole |= {"network": {"name": "vgg16", "weights": "vgg16.h5", "sha256": 64 * "0"}}
    whole |= {"place": [0, 3], "stopped": "by SIGINT", "pixels": {"sha256": 64 * "0", "size": [3, 4]}}
    whole |= {"versions": {"numpy": "2.4"}, "processor": "x", "threads": 2, "enlarged": True}
    return [json.dumps(whole).encode()]


def read_checkpoint(path: Path) -> None:
    """Read a checkpoint."""
    from nst_manual.run import checkpoint

    checkpoint.read_checkpoint(path)


def write_checkpoint(path: Path) -> None:
    """Write a small one."""
    import numpy as np

    from nst_manual.run import checkpoint

    picture = np.zeros((2, 3, 3), np.float32)
    state = {"x": picture[None], "iteration": 1, "rate": 1.0}
    snapshot = checkpoint.Snapshot(1, picture, 1.0, picture, [{"loss": 1.0}], 0.5, {}, state)
    before = {"iterations": 0, "seconds": 0.0, "history": []}
    checkpoint.write_checkpoint(path, checkpoint.Checkpoint({"version": "0"}, 0, before, snapshot))


def of_text(read: Callable[[str], object]) -> Callable[[Path], object]:
    """Return the reader of a file for a reader of texts; what is no UTF-8 becomes other characters."""
    return lambda path: read(path.read_bytes().decode("utf-8", "replace"))


def texts(*examples: str) -> Callable[[], list[bytes]]:
    """Return what gives those texts."""
    return lambda: [text.encode() for text in examples]


def read_config(path: Path) -> None:
    """Read a file of options as `run --config` does."""
    from nst_manual.cli.config_file import read_options
    from nst_manual.config import CommandConfig, command_config

    command_config(read_options(str(path), CommandConfig))


def read_options(text: str) -> None:
    """Read options of a command line, one in a line: NAME VALUE."""
    from nst_manual.config import command_config

    pairs = (line.split(" ", 1) for line in text.splitlines())
    command_config({pair[0]: pair[-1] for pair in pairs})


def _option_lines() -> list[bytes]:
    lines = (
        "size 512", "iterations 10", "memory 1.5GiB", "style_layers relu1_1,relu3_1:0.5", "style_weight 1e3",
        "style_blend 1,2.5", "scale_iterations 100,50", "bounds 0,255", "averaging 0.99", "optimizer adam",
        "schedule step:0.5@100,warm-up@20", "preset paper", "network vgg16", "pooling max", "init noise",
        "keep_colours lab", "seed 1", "threads 2", "learning_rate 1", "weights random", "scale_factor 1.4",
    )  # fmt: skip
    return [line.encode() for line in lines]


TARGETS: dict[str, Target] = {
    "hdf5": Target(read_weights, written(write_keras, write_packed_keras, write_keras3)),
    "own-hdf5": Target(read_weights, written(write_own)),
    "pth-zip": Target(read_weights, golden("_zip.pth", "protocol4.pth", "unsummed.pth")),
    "pth-pickle": Target(read_weights, pickles, pickle_in_zip),
    "pth-legacy": Target(read_weights, golden("_legacy.pth")),
    "npz": Target(read_weights, golden(".npz")),
    "npy-in-npz": Target(read_weights, members, member_in_zip),
    "safetensors": Target(read_weights, golden(".safetensors")),
    "onnx": Target(read_weights, golden(".onnx")),
    "caffemodel": Target(read_weights, golden(".caffemodel")),
    "mat": Target(read_weights, golden(".mat")),
    "weights-check": Target(
        check_weights,
        lambda: [
            *written(write_keras, write_own)(),
            *golden("layers.npz", "1.caffemodel", "torch.onnx", "old.mat")(),
        ],
    ),
    "picture": Target(read_picture, pictures),
    "picture-texts": Target(read_texts, pictures_with_texts),
    "config": Target(
        read_config,
        texts(
            'size = 192\nstyle-layers = ["relu1_1", "relu3_1:0.5"]\n', "bounds = [0, 255.0]\nquiet = true\n"
        ),
    ),
    "manifest": Target(of_text(read_manifest), manifests),
    "checkpoint": Target(read_checkpoint, written(write_checkpoint)),
    "options": Target(of_text(read_options), _option_lines),
}
