"""`figure` from files to a sheet."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from smooth_pictures import smooth_picture

from nst_manual.cli import main
from nst_manual.cli.figure import NAMES
from nst_manual.figures import defaults
from nst_manual.images import save_image

SMALL = ["--network", "vgg11", "--weights", "random", "--size", "24", "--iterations", "1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a photograph and a painting, and no installed weights."""
    save_image(tmp_path / "photo.png", smooth_picture(0, 24, 32))
    save_image(tmp_path / "painting.png", smooth_picture(1, 30, 28))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NST_MANUAL_CACHE", str(tmp_path / "cache"))
    return tmp_path


def figure(kind: str, *arguments: str, small=SMALL) -> int:
    return main(["figure", kind, "photo.png", "painting.png", *small, *arguments])


def size_of(path: str) -> tuple[int, int]:
    """Return width and height of a picture that can be decoded whole."""
    with Image.open(path) as picture:
        picture.load()
        return picture.size


KINDS = {
    "layers": (
        ["--layers", "relu1_1,relu2_1"],
        ["relu1_1, content", "relu1_1, style", "relu2_1, content"],
        2,
    ),
    "weights": (["--ratios", "1e-3,1e-2", "--layers", "relu1_1"], ["relu1_1, 1e-3", "relu1_1, 1e-2"], 2),
    "grid": (["--rows", "seed=0,1"], ["seed 0", "seed 1"], 1),
    "networks": (["--networks", "vgg11,vgg13"], ["vgg11, random", "vgg13, random"], 2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_sheet_is_written_and_its_name_is_the_only_output(folder, capfd, kind):
    arguments, captions, columns = KINDS[kind]
    small = SMALL if kind != "networks" else SMALL[4:]
    assert figure(kind, "-o", "sheet.jpg", *arguments, small=small) == 0
    out, err = capfd.readouterr()
    assert out == "sheet.jpg\n"
    lines = err.strip().splitlines()
    total = len(lines)
    for number, (line, caption) in enumerate(zip(lines, captions, strict=False), start=1):
        assert line.startswith(f"{number}/{total}  {caption}")
        assert line.endswith(" s")
    assert total == (4 if kind == "layers" else 2)
    assert size_of("sheet.jpg")[0] == 32 + columns * (180 + 32)


def test_quiet_prints_nothing_and_without_a_name_a_free_one_is_taken(folder, capfd):
    for _ in range(2):
        assert figure("grid", "--columns", "seed=0", "--quiet") == 0
    assert capfd.readouterr() == ("", "")
    assert size_of("photo-painting-grid.png") == size_of("photo-painting-grid-2.png")


def test_without_images_the_samples_are_painted(folder, capfd):
    assert main(["figure", "grid", "--columns", "seed=0", *SMALL]) == 0
    assert size_of(capfd.readouterr().out.strip())[0] == 32 + 180 + 32


def test_options_from_a_file(folder, capfd):
    (folder / "options.toml").write_text("size = 24\nstyle-weight = 5\n")
    assert figure("grid", "--columns", "seed=0", "--config", "options.toml", "-o", "a.png") == 0
    assert figure("grid", "--columns", "seed=0", "--style-weight", "5", "-o", "b.png") == 0
    assert figure("grid", "--columns", "seed=0", "-o", "c.png") == 0
    a, b, c = (np.asarray(Image.open(f"{name}.png")) for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    (folder / "options.toml").write_text("content-weight = 5\n")
    capfd.readouterr()
    assert figure("weights", "--config", "options.toml") == 2
    assert "--content-weight has no meaning for figure weights" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ["grid"], "expected --rows or --columns"),
        (2, ["grid", "--rows", "style-wieght=1,2"], "did you mean 'style-weight'"),
        (2, ["grid", "--rows", "seed=0,-1"], "--seed: expected a whole number from 0"),
        (2, ["grid", "--rows", "style-layers=relu1_1;relu9_1"], "'relu9_1' is unknown"),
        (2, ["layers", "--layers", "relu9_1"], "'relu9_1' is unknown"),
        (2, ["layers", "--content-layers", "relu1_1"], "--content-layers"),
        (2, ["layers", "painting.png"], "expected one painting"),
        (2, ["weights", "--ratios", "0,1"], "--ratios"),
        (2, ["networks", "--networks", "vgg20"], "did you mean 'vgg1"),
        (2, ["networks", "--weights", "vgg11"], "expected NETWORK=FILE"),
        (3, ["layers", "--init", "nope.png"], "nope.png"),
        (5, ["grid", "--rows", "seed=0", "-o", "nowhere/sheet.png"], "does not exist"),
        (5, ["grid", "--rows", "seed=0", "-o", "sheet.xyz"], ".png"),
        (5, ["grid", "--rows", "seed=0", "-o", "photo.png"], "--force"),
        (5, ["grid", "--rows", "init=content,other.png", "-o", "other.png"], "other.png"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_fault_is_one_line_and_an_exit_code_and_nothing_is_painted(folder, capfd, code, arguments, said):
    save_image("other.png", smooth_picture(2, 24, 32))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    small = [] if arguments[0] == "networks" else SMALL
    assert main(["figure", arguments[0], "photo.png", "painting.png", *arguments[1:], *small]) == code
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.strip().splitlines()
    assert said in line
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_one_image_is_not_enough(capfd):
    assert main(["figure", "layers", "photo.png"]) == 2
    assert "a photograph and a painting" in capfd.readouterr().err


def test_force_lets_the_sheet_replace_the_photograph(folder):
    assert figure("grid", "--rows", "seed=0", "-o", "photo.png", "--quiet", "--force") == 0
    assert size_of("photo.png")[0] == 32 + 180 + 32


@pytest.mark.parametrize("kind", KINDS)
def test_help_gives_the_figure_s_own_defaults_and_only_options_with_a_meaning(capfd, monkeypatch, kind):
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["figure", kind, "--help"]) == 0
    rows = {
        line.split()[1]: line for line in capfd.readouterr().out.splitlines() if "--" in line and "│" in line
    }
    for name, value in getattr(defaults, kind.upper()).items():
        assert f"[default: {value}]" in rows["--" + name.replace("_", "-")]
    assert "--save-every" not in rows
    assert ("--style-layers" in rows) == (kind == "grid")
    assert ("--style-masks" in rows) == (kind != "layers")
    assert {"iterations", "scales", "seed", "optimizer", "quiet", "force"} <= NAMES[kind]


def test_ctrl_c_leaves_the_sheet_of_what_was_painted_and_exits_130(folder):
    command = [sys.executable, "-m", "nst_manual", "figure", "grid", "photo.png", "painting.png", *SMALL[:-2]]
    command += ["--rows", "iterations=1,1000000", "--optimizer", "adam", "-o", "sheet.png"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            # the sheet is there then, and the second run is being prepared or goes on
            assert process.stderr.readline().startswith("1/2  iterations 1  ")
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors == "error: stopped: by SIGINT\n"
    assert out == "sheet.png\n"
    assert size_of("sheet.png")[0] == 32 + 180 + 32
