"""`run` from files to files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from nst_manual.cli import main

SMALL = ["--network", "vgg11", "--weights", "random", "--size", "24", "--content-layers", "relu2_1"] + [
    "--style-layers",
    "relu1_1,relu2_1:0.5",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a photograph and a painting."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (36, 48, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(tmp_path / "painting.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def size_of(path: str) -> tuple[int, int]:
    """Return width and height of a picture that can be decoded whole."""
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def run(*arguments: str) -> int:
    return main(["run", "photo.png", "painting.jpg", *SMALL, *arguments])


def test_the_picture_is_written_and_its_name_is_the_only_output(folder, capfd):
    assert run("-o", "out.png", "--iterations", "3") == 0
    out, err = capfd.readouterr()
    assert out == "out.png\n"
    assert size_of("out.png") == (24, 18)
    assert "iteration 3/3" in err
    assert "style/relu2_1" in err
    assert "\x1b" not in err, "no escape codes where there is no terminal"


def test_quiet_prints_nothing(folder, capfd):
    assert run("-o", "out.png", "--iterations", "1", "--quiet") == 0
    assert capfd.readouterr() == ("", "")


def test_without_a_name_a_free_one_is_taken(folder, capfd):
    names = []
    for _ in range(3):
        assert run("--iterations", "1") == 0
        names.append(capfd.readouterr().out.strip())
    assert names == ["photo-painting.png", "photo-painting-2.png", "photo-painting-3.png"]


def test_the_log_has_a_json_object_for_each_evaluation(folder):
    assert run("-o", "out.png", "--iterations", "5", "--log", "log.jsonl", "--quiet") == 0
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert len(records) >= 5
    for record in records:
        assert {"iteration", "loss", "losses", "gradient_norm", "seconds", "size"} <= set(record)
    assert records[-1]["loss"] < records[0]["loss"]


def test_pictures_on_the_way_and_the_sheet_of_them(folder):
    arguments = ["-o", "out.jpg", "--iterations", "6", "--save-every", "2", "--progress-sheet", "sheet.png"]
    assert run(*arguments, "--quiet") == 0
    assert sorted(path.name for path in folder.glob("out*")) == [
        "out-0002.jpg",
        "out-0004.jpg",
        "out-0006.jpg",
        "out.jpg",
        "out.jpg.json",
    ]
    with Image.open("out-0006.jpg") as on_the_way, Image.open("out.jpg") as last:
        np.testing.assert_array_equal(np.asarray(on_the_way), np.asarray(last))
    assert size_of("sheet.png")[0] > 3 * 24  # start, 1 and 6 beside one another


def test_several_paintings_and_layer_weights(folder, capfd):
    Image.new("RGB", (30, 30), (10, 200, 90)).save("second.png")
    arguments = [
        "run",
        "photo.png",
        "painting.jpg",
        "second.png",
        *SMALL,
        "--style-blend",
        "3,1",
        "-o",
        "out.png",
    ]
    assert main([*arguments, "--iterations", "1"]) == 0
    assert "second.png" in capfd.readouterr().err


def test_a_diverging_run_saves_the_best_picture_and_exits_7(folder, capfd):
    arguments = ["--optimizer", "gradient-descent", "--learning-rate", "1e30", "--iterations", "9"]
    with np.errstate(all="ignore"):
        assert run("-o", "out.png", *arguments) == 7
    assert "diverged at iteration" in capfd.readouterr().err.splitlines()[-1]
    assert size_of("out.png") == (24, 18)


def test_force_lets_the_picture_replace_the_photograph(folder):
    assert run("-o", "photo.png", "--iterations", "1", "--quiet", "--force") == 0
    assert size_of("photo.png") == (24, 18)


def test_without_images_the_samples_are_painted(folder, capfd, monkeypatch):
    assert main(["run", *SMALL, "--iterations", "1"]) == 0
    name = capfd.readouterr().out.strip()
    assert size_of(name)[0] == 24


def test_a_file_on_the_way_that_cannot_be_written_costs_no_picture(folder, capfd, monkeypatch):
    from nst_manual.errors import OutputError
    from nst_manual.run import account

    def save(path, *arguments, before=account.save_image):
        if "-0002" in path.name:
            raise OutputError(str(path), "cannot be written, No space left on device")
        before(path, *arguments)

    monkeypatch.setattr(account, "save_image", save)
    assert run("-o", "out.png", "--iterations", "6", "--save-every", "2") == 5
    assert "out-0002.png" in capfd.readouterr().err.splitlines()[-1]
    with Image.open("out.png") as picture, Image.open("photo.png") as photo:
        start = photo.resize(picture.size, Image.Resampling.BILINEAR)
        assert np.abs(np.asarray(picture, int) - np.asarray(start, int)).mean() > 0.5, (
            "only the start was saved"
        )
