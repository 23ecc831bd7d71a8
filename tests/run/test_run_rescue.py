"""The work of a run is kept where its end is not what was planned."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from small_run import pictures

from nst_manual.cli import main
from nst_manual.images import read_image, save_image
from nst_manual.run import account, job

RUN = ["run", "photo.png", "painting.png", "-o", "out.png", "--network", "vgg11", "--weights", "random"]
RUN += ["--size", "24", "--style-layers", "relu1_1", "--content-layers", "relu2_1", "--quiet"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, pixels in zip(("photo.png", "painting.png"), pictures(), strict=True):
        save_image(name, pixels)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    return tmp_path


def test_a_picture_for_which_there_is_no_room_is_kept_elsewhere(monkeypatch, capfd):
    assert main([*RUN, "--iterations", "4", "--no-manifest"]) == 0
    expected = read_image("out.png")
    os.remove("out.png")

    def save(path, *arguments, before=account.save_image):
        if path.parent.name != "elsewhere" and "nst_manual-" not in str(path):
            from nst_manual.errors import OutputError

            raise OutputError(str(path), "cannot be written, No space left on device")
        before(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(account, "save_image", save)
        assert main([*RUN, "--iterations", "4", "--checkpoint", "run.h5"]) == 5
    error = capfd.readouterr().err.splitlines()[-1]
    place = re.search(r"the picture is in (\S+); `nst-manual resume run.h5` saves it again", error)[1]
    np.testing.assert_array_equal(read_image(place), expected)
    assert main(["resume", "run.h5", "--quiet"]) == 0
    np.testing.assert_array_equal(read_image("out.png"), expected)


def test_a_run_without_memory_saves_the_picture_before_and_ends_with_6(monkeypatch, capfd):
    assert main([*RUN, "--iterations", "2"]) == 0
    expected = read_image("out.png")
    calls = []

    def evaluate(self, x, before=job._Run.evaluate):
        calls.append(x)
        if self.iterations == 2:
            raise MemoryError
        return before(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(job._Run, "evaluate", evaluate)
        assert main([*RUN, "--iterations", "9"]) == 6
    assert "memory ran out in iteration 3: the picture before is saved" in capfd.readouterr().err
    np.testing.assert_array_equal(read_image("out.png"), expected)


def test_a_checkpoint_of_a_run_that_has_not_ended_and_other_files_are_not_replaced(folder, capfd):
    assert main([*RUN, "--iterations", "2", "--checkpoint", "run.h5"]) == 0
    whole = (folder / "run.h5").read_bytes()
    assert main([*RUN, "--iterations", "2", "--checkpoint", "run.h5"]) == 0, "that run had ended"
    (folder / "run.h5").write_bytes(whole.replace(b"picture saved: 1", b"picture saved: 0"))
    assert main([*RUN, "--iterations", "2", "--checkpoint", "run.h5"]) == 5
    assert "nst-manual resume run.h5" in capfd.readouterr().err
    assert main([*RUN, "--iterations", "2", "--checkpoint", "run.h5", "--force"]) == 0
    (folder / "mine.h5").write_bytes(b"mine")
    assert main([*RUN, "--iterations", "2", "--checkpoint", "mine.h5"]) == 5
    assert "is no checkpoint" in capfd.readouterr().err
    assert (folder / "mine.h5").read_bytes() == b"mine"
