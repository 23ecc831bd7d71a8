"""What a picture says of how it was made."""

import json

import numpy as np
import pytest
from smooth_pictures import smooth_picture

from nst_manual.cli import main
from nst_manual.config import run_config
from nst_manual.images import read_image, read_metadata, save_image
from nst_manual.run.record import KEY, record

SMALL = ["--network", "squeezenet", "--size", "40", "--iterations", "1", "--quiet"]


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
def test_the_options_are_in_the_picture_and_make_it_again(tmp_path, monkeypatch, extension):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    save_image("folder/photo.png", smooth_picture(0, 30, 40))
    save_image("painting.png", smooth_picture(1, 40, 38))
    more = ["--style-layers", "relu1:2,fire2", "--bounds", "none", "--tv-weight", "0.1", "--seed", "7"]
    assert main(["run", "folder/photo.png", "painting.png", "-o", f"out.{extension}", *SMALL, *more]) == 0
    found = json.loads(read_metadata(f"out.{extension}")[KEY])
    assert (found["content"], found["styles"]) == ("photo.png", ["painting.png"])
    options = found["options"]
    assert options["size"] == 40
    assert options["seed"] == 7
    assert options["bounds"] == []
    assert options["style_layers"] == ["relu1:2.0", "fire2"]
    assert options["content_layers"] == ["fire7"]  # what stands for the preset's
    assert options["optimizer"] == "lbfgs"  # the preset's
    if extension != "png":
        return
    (tmp_path / "again.toml").write_text(
        "\n".join(f"{name} = {json.dumps(options[name])}" for name in options)
    )
    again = [
        "run",
        "folder/photo.png",
        "painting.png",
        "-o",
        "again.png",
        "--quiet",
        "--config",
        "again.toml",
    ]
    assert main(again) == 0
    found, expected = (read_image(tmp_path / name) for name in ("again.png", "out.png"))
    np.testing.assert_array_equal(found, expected)


def test_pictures_that_are_no_files_are_named_by_what_they_are():
    mask = np.zeros((3, 3, 3), np.uint8)
    found = json.loads(record(mask, [mask], run_config({"untouched": mask}))[KEY])
    assert (found["content"], found["styles"], found["options"]["untouched"]) == (
        "ndarray",
        ["ndarray"],
        "ndarray",
    )
