"""`presets`, one in terms of another, and options from a file."""

import json
import shlex

import numpy as np
import pytest
from smooth_pictures import random_start, smooth_picture

from nst_manual import Objective
from nst_manual.cli import main
from nst_manual.cli.config_file import read_options
from nst_manual.config import CommandConfig, command_config, objective_config
from nst_manual.errors import UsageError
from nst_manual.objective.equivalent import as_arguments, equivalent
from nst_manual.presets import PRESETS

CONTENT, STYLE = smooth_picture(0, 36, 40), smooth_picture(1, 40, 38)
NETWORK = {"network": "vgg16", "weights": "random", "dtype": "float64", "size": 40}
SAME_SCALE = ["paper", "neural-style-pt", "gatys", "quality"]


@pytest.mark.parametrize("name", SAME_SCALE)
@pytest.mark.parametrize("other", SAME_SCALE)
def test_a_preset_in_terms_of_another_is_the_same_function(name, other):
    ours = Objective(CONTENT, [STYLE], **NETWORK, preset=name)
    x = random_start(3, ours.shape).astype(float)
    again = Objective(CONTENT, [STYLE], **NETWORK | equivalent(name, other, CONTENT.shape[:2], "vgg16"))
    (loss, dx), (other_loss, other_dx) = ours(x), again(x)
    assert other_loss == pytest.approx(loss, rel=1e-10)
    np.testing.assert_allclose(other_dx, dx, atol=1e-10 * np.abs(dx).max())
    assert ours.losses == pytest.approx(again.losses, rel=1e-10)


def test_the_command_prints_options_that_the_command_line_takes(capfd):
    assert main(["presets", "paper", "--as", "gatys", "--network", "vgg16", "--size", "36x40"]) == 0
    words = shlex.split(capfd.readouterr().out)
    given = dict(zip((word[2:].replace("-", "_") for word in words[::2]), words[1::2], strict=True))
    expected = equivalent("paper", "gatys", (36, 40), "vgg16")
    parsed = objective_config(given)
    assert parsed.weighted_layers("style") == pytest.approx(
        objective_config(expected).weighted_layers("style")
    )
    assert parsed.weighted_layers("content") == pytest.approx({"conv4_2": 4 * 5 * 512 / 2})
    assert parsed.chosen("pooling") == "average"
    assert as_arguments(expected).startswith("--network vgg16 --preset gatys")


def test_what_no_option_changes_is_said():
    with pytest.raises(UsageError, match="pixels are multiplied by 1.00392 in neural-style, 1 in gatys"):
        equivalent("neural-style", "gatys", (64, 64))
    with pytest.raises(UsageError, match="padded with replicate in style-transfer-pytorch, zeros in gatys"):
        equivalent("style-transfer-pytorch", "gatys", (64, 64))


def test_the_list_has_every_preset_and_its_source(capfd):
    assert main(["presets"]) == 0
    out = capfd.readouterr().out
    for preset in PRESETS.values():
        assert preset.name in out
        assert preset.source[:40] in out
    assert main(["presets", "--json"]) == 0
    assert set(json.loads(capfd.readouterr().out)) == set(PRESETS)
    assert main(["presets", "gatis"]) == 2
    assert "did you mean 'gatys'" in capfd.readouterr().err


def test_options_come_from_a_file_and_the_command_line_replaces_them(tmp_path, capfd):
    file = tmp_path / "run.toml"
    file.write_text(
        'size = 24\nstyle-layers = ["relu1_1", "relu2_1:0.5"]\ncontent_layers = "relu2_1"\n'
        'weights = "random"\nnetwork = "vgg11"\niterations = 3\nquiet = true\n'
    )
    read = command_config(read_options(str(file), CommandConfig))
    assert read.size == 24
    assert read.weighted_layers("style") == {"relu1_1": 1000.0, "relu2_1": 500.0}
    out = tmp_path / "out.png"
    log = tmp_path / "log.jsonl"
    command = ["run", "--config", str(file), "--iterations", "2", "--log", str(log), "-o", str(out)]
    assert main(command) == 0
    assert capfd.readouterr().out == ""  # quiet, as the file says
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[-1]["iteration"] == 2
    assert max(lines[0]["size"]) == 24


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("siez = 3", "'siez' is unknown, did you mean 'size'"),
        ("size = ", "is not TOML"),
        ("style-weight = 1\nstyle_weight = 2", "names style_weight twice"),
        ("size = 1", "--size: expected a whole number from 8"),
        ("network = 3", "--network"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_line(tmp_path, capfd, text, match):
    file = tmp_path / "x.toml"
    file.write_text(text)
    assert main(["run", "--config", str(file)]) == 2
    error = capfd.readouterr().err
    assert match in " ".join(error.split())
    assert len(error.strip().splitlines()) == 1


def test_a_file_that_is_not_there_is_said(tmp_path, capfd):
    assert main(["run", "--config", str(tmp_path / "none.toml")]) == 2
    assert "cannot be read, No such file" in capfd.readouterr().err
