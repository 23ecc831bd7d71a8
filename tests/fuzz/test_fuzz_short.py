"""Random options, pictures of every mode, damaged files: each works, or is refused."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import math
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import nst_manual as nst
from nst_manual.config import (
    COLOUR_METHODS,
    COLOUR_SPACES,
    OPTIMIZERS,
    CommandConfig,
    command_config,
)
from nst_manual.errors import NstError, UsageError
from nst_manual.images import read_image

ROOT = Path(__file__).parents[2]
FIELDS = [field.name for field in dataclasses.fields(CommandConfig)]

# -- options ----------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, -1, 1, 10**400, math.nan, math.inf, -0.0, True])
)
TEXTS = st.one_of(
    st.text(max_size=30),
    NUMBERS.map(str),
    st.lists(NUMBERS.map(str), max_size=4).map(",".join),
    st.sampled_from(
        ["vgg16", "lbfgs", "paper", "relu1_1:0.5,relu3_1", "4GB", "none", "cosine,step:0.5@9", "٣"]
    ),
)
VALUES = st.recursive(
    st.one_of(TEXTS, NUMBERS, st.none(), st.dates()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=4))
@settings(max_examples=600)
def test_any_value_of_an_option_is_taken_or_refused(values):
    try:
        config = command_config(values)
    except UsageError as error:
        assert str(error)
        return
    # what was taken is within the ranges, and is taken again
    again = command_config({name: getattr(config, name) for name in values if values[name] is not None})
    assert again == config


@pytest.mark.parametrize("name", FIELDS)
@given(value=VALUES)
@settings(max_examples=60)
def test_any_value_of_each_option(name, value):
    try:
        command_config({name: value})
    except UsageError as error:
        assert "--" + name.replace("_", "-") in str(error)


OPTIONS = st.fixed_dictionaries(
    {"size": st.integers(24, 32), "seed": st.integers(0, 3), "iterations": st.integers(0, 1)},
    optional={
        "preset": st.sampled_from(["paper", "neural-style-pt", "gatys", "fast"]),
        "content_weight": st.sampled_from([0, 1, 1e6]),
        "style_weight": st.sampled_from([0, 1e-3, 1e9]),
        "tv_weight": st.sampled_from([0, 1e-2]),
        "style_layers": st.lists(
            st.sampled_from(["conv1", "relu1", "pool1", "fire2", "fire2/squeeze1x1", "fire3:0.5"]),
            min_size=1, max_size=3, unique=True,
        ),
        "content_layers": st.sampled_from([["relu1"], ["fire2", "fire3:2"], ["conv1"]]),
        "pooling": st.sampled_from(["max", "average"]),
        "init": st.sampled_from(["content", "style", "noise", "blend", "spectrum", "grey"]),
        "noise_std": st.sampled_from([0, 10.0]),
        "keep_colours": st.sampled_from(COLOUR_SPACES),
        "match_colours": st.sampled_from(COLOUR_METHODS),
        "scales": st.integers(1, 2),
        "optimizer": st.sampled_from(OPTIMIZERS),
        "learning_rate": st.sampled_from([1e-3, 1, 100]),
        "averaging": st.sampled_from([0, 0.9]),
        "schedule": st.sampled_from(["cosine", "step:0.5@1", "warm-up@2"]),
        "bounds": st.sampled_from(["none", (0, 255)]),
        "scale_state": st.sampled_from(["carried", "new"]),
        "history": st.integers(1, 3),
        "dtype": st.sampled_from(["float32", "float64"]),
    },
)  # fmt: skip
PICTURES = [np.random.default_rng(seed).integers(0, 256, (30, 34, 3), np.uint8) for seed in (0, 1)]


@given(OPTIONS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_any_options_paint_or_are_refused(options):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = nst.stylize(*PICTURES, network="squeezenet", weights="random", threads=1, **options)
    except NstError as error:
        assert error.exit_code in (2, 7), error
        return
    pixels = np.asarray(result.image)
    assert pixels.shape[2] == 3 and max(pixels.shape[:2]) == options["size"]
    assert math.isfinite(result.loss)


# -- pictures ---------------------------------------------------------------------------------------

KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")


def picture(mode, size, seed):
    """Return a picture of random values."""
    rng = np.random.default_rng(seed)
    width, height = size
    if mode in ("I", "F", "I;16"):
        kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
        return Image.fromarray((rng.random((height, width)) * 70_000 % 65536).astype(kind))
    if mode == "1":
        return Image.fromarray(rng.integers(0, 256, (height, width), np.uint8)).convert("1")
    bands = len(Image.new(mode, (1, 1)).getbands())
    made = Image.frombytes(mode, size, rng.bytes(width * height * bands))
    if mode in ("P", "PA"):
        made.putpalette(list(rng.bytes(768)))
    return made


@given(
    mode=st.sampled_from(MODES),
    kind=st.sampled_from(KINDS),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 100),
    transparency=st.sampled_from([None, 0, 3, b"\x00\x80\xff", (1, 2, 3)]),
    profile=st.sampled_from([None, b"", b"no profile", "srgb", "lab"]),
    orientation=st.sampled_from([None, 0, 1, 3, 6, 8, 9, 65535]),
)
@settings(max_examples=400)
def test_a_picture_of_any_mode(mode, kind, size, seed, transparency, profile, orientation):
    from PIL import ImageCms

    options = {}
    if transparency is not None:
        options["transparency"] = transparency
    if profile is not None:
        if isinstance(profile, str):
            profile = ImageCms.ImageCmsProfile(
                ImageCms.createProfile(profile.upper() if profile == "lab" else "sRGB")
            )
            profile = profile.tobytes()
        options["icc_profile"] = profile
    if orientation is not None:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    into = io.BytesIO()
    try:
        picture(mode, size, seed).save(into, kind, **options)
    except Exception:  # Pillow writes not every mode in every format, nor with every option
        return
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "x"
        path.write_bytes(into.getvalue())
        try:
            pixels = read_image(path)
        except NstError as error:
            assert error.exit_code in (3, 6)
            return
    width, height = size[::-1] if orientation in (6, 8) and pixels.shape[:2] != size[::-1] else size
    assert pixels.shape == (height, width, 3) and pixels.dtype == np.float32
    assert np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 255


# -- damaged files ----------------------------------------------------------------------------------


def test_damaged_files_of_every_reader(tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    command = [sys.executable, ROOT / "tools" / "fuzz.py", "all", "--seconds", "18"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " inputs in " in done.stdout and not (tmp_path / "fuzz-findings").exists()
