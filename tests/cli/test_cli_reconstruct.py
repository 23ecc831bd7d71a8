"""`invert` and `texture`: a picture from the content of a layer, or from style alone."""

import json
import math

import numpy as np
import pytest
from smooth_pictures import smooth_picture

from nst_manual.cli import main
from nst_manual.cli.reconstruct import psnr
from nst_manual.images import read_image, save_image

PICTURE = smooth_picture(0, 33, 40)
SMALL = ["--network", "vgg11", "--weights", "random", "--size", "40"]


@pytest.fixture
def picture(tmp_path):
    save_image(tmp_path / "p.png", PICTURE)
    return tmp_path / "p.png"


def ratio(capfd):
    line = capfd.readouterr().out.strip().splitlines()[-1]
    assert line.startswith("PSNR ")
    return float(line.split()[1])


def test_a_lower_layer_has_more_of_the_picture(picture, tmp_path, capfd):
    found = {}
    for layer in ("relu1_1", "pool4"):
        out = tmp_path / f"{layer}.png"
        command = ["invert", str(picture), "--layer", layer, "--iterations", "40", "-o", str(out), *SMALL]
        assert main(command) == 0
        found[layer] = ratio(capfd)
        assert found[layer] == pytest.approx(psnr(read_image(out, "out"), PICTURE), abs=0.01)
    assert found["relu1_1"] > 30
    assert found["relu1_1"] > found["pool4"] + 5


def test_a_texture_has_style_losses_alone_and_not_the_picture(picture, tmp_path, capfd):
    out, log = tmp_path / "t.png", tmp_path / "log.jsonl"
    command = ["texture", str(picture), "--iterations", "20", "-o", str(out), "--log", str(log), *SMALL]
    assert main([*command, "--style-layers", "relu1_1,relu2_1"]) == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert set(records[0]["losses"]) == {"style/relu1_1", "style/relu2_1"}
    assert records[-1]["loss"] < 0.1 * records[0]["loss"]
    assert psnr(read_image(out, "out"), PICTURE) < 25
    assert capfd.readouterr().out.strip() == str(out)


def test_pictures_without_a_name_are_called_by_layer(picture, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["invert", str(picture), "--layer", "relu1_1", "--iterations", "1", *SMALL]) == 0
    assert (tmp_path / "p-relu1_1.png").is_file()
    assert (tmp_path / "p-relu1_1-2.png").is_file()
    capfd.readouterr()
    assert main(["invert", str(picture), "--layer", "relu9_1", *SMALL]) == 2
    assert "'relu9_1' is unknown" in capfd.readouterr().err


def test_the_ratio_of_equal_pictures_is_infinite_and_of_others_what_the_formula_says():
    assert psnr(PICTURE, PICTURE.astype(float)) == math.inf
    other = PICTURE.astype(float) + 5
    assert psnr(PICTURE, other) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255.0)) == 0


def test_options_from_a_file(picture, tmp_path, capfd):
    (tmp_path / "few.toml").write_text('iterations = 2\nsize = 32\nnetwork = "vgg11"\nweights = "random"\n')
    out = tmp_path / "out.png"
    assert main(["invert", str(picture), "--config", str(tmp_path / "few.toml"), "-o", str(out)]) == 0
    assert read_image(out, "out").shape == (26, 32, 3)
    assert ratio(capfd) > 5
    (tmp_path / "other.toml").write_text("style-weight = 3\n")
    assert main(["invert", str(picture), "--config", str(tmp_path / "other.toml")]) == 2
    assert "--style-weight has no meaning for invert" in capfd.readouterr().err


def test_a_texture_of_a_part_of_the_painting(picture, tmp_path):
    mask = np.zeros((33, 40, 3), np.uint8)
    mask[:, :20] = 255
    save_image(tmp_path / "mask.png", mask)
    out, log = tmp_path / "t.png", tmp_path / "log.jsonl"
    few = ["--style-layers", "relu1_1", "--iterations", "1", "--log", str(log), "-o", str(out), *SMALL]
    losses = []
    for masks in ([], ["--painting-masks", str(tmp_path / "mask.png")]):
        assert main(["texture", str(picture), *few, *masks]) == 0
        losses.append(json.loads(log.read_text().splitlines()[0])["loss"])
    assert losses[0] != losses[1]


def test_an_inversion_at_the_size_of_the_picture(picture, tmp_path, capfd):
    out = tmp_path / "out.png"
    few = [
        "--layer",
        "relu1_1",
        "--iterations",
        "1",
        "--network",
        "vgg11",
        "--weights",
        "random",
        "-o",
        str(out),
    ]
    assert main(["invert", str(picture), "--size-rule", "shorter", "--size", "24", *few]) == 0
    assert read_image(out, "out").shape == (24, 29, 3)
