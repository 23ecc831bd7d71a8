"""Wrong input ends with one line on standard error, the documented exit code, and every file as it was."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from nst_manual.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a photograph, a painting, an older picture and an empty cache for weights."""
    rng = np.random.default_rng(0)
    for name in ("photo.png", "painting.png", "old.png"):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "page.png").write_text("<html><body>404</body></html>")
    (tmp_path / "zero.h5").write_bytes(b"")
    (tmp_path / "page.h5").write_text("<!DOCTYPE html><html></html>")
    (tmp_path / "file").write_text("a file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NST_MANUAL_CACHE", str(tmp_path / "cache"))
    return tmp_path


GOOD = ["photo.png", "painting.png"]
CASES = [
    # row 1: the content's path
    (3, ["nope.png", "painting.png"], "content nope.png"),
    (3, ["photo.png", "nope.png"], "style nope.png"),
    (3, [".", "painting.png", "-o", "x.png"], "is a directory"),
    (3, [os.devnull, "painting.png", "-o", "x.png"], "device"),
    (3, [*GOOD, "--init", "nope.png"], "--init nope.png"),
    # row 2: what is no image
    (3, ["empty.png", "painting.png"], "is empty"),
    (3, ["photo.png", "page.png"], "not an image"),
    # row 17: ranges
    (2, [*GOOD, "--size", "0"], "--size: expected a whole number from"),
    (2, [*GOOD, "--size", "-5"], "--size"),
    (2, [*GOOD, "--size", "1e9"], "--size"),
    (2, [*GOOD, "--size", "abc"], "--size"),
    (2, [*GOOD, "--iterations", "-1"], "--iterations"),
    (2, [*GOOD, "--style-weight", "nan"], "--style-weight"),
    (2, [*GOOD, "--content-weight", "inf"], "--content-weight"),
    (2, [*GOOD, "--tv-weight", "-1"], "--tv-weight"),
    (2, [*GOOD, "--content-weight", "0", "--style-weight", "0", "--tv-weight", "0"], "nothing to minimise"),
    # row 20: names
    (2, [*GOOD, "--style-layers", "conv9_9"], "did you mean"),
    (2, [*GOOD, "--network", "vgg20"], "did you mean 'vgg1"),
    (2, [*GOOD, "--preset", "papr"], "did you mean 'paper'"),
    (2, [*GOOD, "--sise", "3"], "--size"),
    (2, ["photo.png"], "a photograph and a painting"),
    # rows 21 and 24: weights
    (4, [*GOOD, "--weights", "nope.h5"], "nope.h5"),
    (4, [*GOOD, "--weights", "zero.h5"], "empty"),
    (4, [*GOOD, "--weights", "page.h5"], "web page"),
    (4, [*GOOD, "--network", "vgg19"], "weights get vgg19"),
    # row 26 and 16: outputs
    (5, [*GOOD, "-o", "nowhere/out.png"], "does not exist"),
    (5, [*GOOD, "-o", "file/out.png"], "not a folder"),
    (5, [*GOOD, "-o", "out.xyz"], ".png"),
    (5, [*GOOD, "-o", "photo.png"], "--force"),
    (5, [*GOOD, "-o", "out.png", "--log", "nowhere/log.jsonl"], "does not exist"),
    (5, [*GOOD, "-o", "out.png", "--progress-sheet", "out.png"], "out.png"),
    (5, [*GOOD, "-o", "out.png", "--log", "painting.png"], "painting.png"),
]


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    CASES,
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_fault_is_one_line_an_exit_code_and_nothing_lost(folder, capfd, code, arguments, said):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(["run", *arguments]) == code
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_vgg16_file_is_refused_for_vgg19(folder, capfd):
    from nst_manual.store import find_weights

    assert main(["run", *GOOD, "--network", "vgg19", "--weights", str(find_weights("vgg16"))]) == 4
    assert "vgg16" in capfd.readouterr().err


def test_a_pipe_nobody_writes_to_is_refused_at_once(folder, capfd):
    os.mkfifo("pipe")
    assert main(["run", "pipe", "painting.png"]) == 3
    assert "pipe" in capfd.readouterr().err


def test_an_explicit_output_that_exists_is_replaced_only_by_a_whole_picture(folder, capfd):
    before = (folder / "old.png").read_bytes()
    assert main(["run", "photo.png", "page.png", "-o", "old.png"]) == 3
    assert (folder / "old.png").read_bytes() == before


def test_debug_shows_where_an_error_came_from(folder):
    command = [sys.executable, "-m", "nst_manual", "run", "nope.png", "painting.png", "--debug"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in ended.stderr


def test_a_name_that_is_not_unicode_is_told_about_and_not_stumbled_over(folder):
    command = [sys.executable, "-m", "nst_manual", "run", b"caf\xe9.png", "painting.png"]
    ended = subprocess.run(
        command, capture_output=True, check=False, env=os.environ | {"LANG": "C", "LC_ALL": "C"}
    )
    assert ended.returncode == 3
    assert b"Traceback" not in ended.stderr


def test_the_reader_of_the_output_may_leave_early():
    command = f"{sys.executable} -m nst_manual describe vgg19 | head -1"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr


def test_the_picture_does_not_replace_its_start_unasked(folder, capfd):
    before = (folder / "old.png").read_bytes()
    assert main(["run", *GOOD, "--init", "old.png", "-o", "old.png"]) == 5
    assert "--force" in capfd.readouterr().err
    assert (folder / "old.png").read_bytes() == before


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(folder, closed):
    small = "--network vgg11 --weights random --size 24 --style-layers relu1_1 --content-layers relu1_1"
    command = (
        f"{sys.executable} -m nst_manual run {' '.join(GOOD)} {small} --iterations 1 -o out.png {closed}"
    )
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert (folder / "out.png").exists()
