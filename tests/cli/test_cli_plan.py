"""`plan`: what a run will need, as a table and as JSON."""

from __future__ import annotations

import json

import pytest

from nst_manual.cli import main
from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path

SMALL = ["--network", "alexnet", "--weights", "random"]


def report(capfd, *arguments: str) -> dict:
    """Return the one object that is printed."""
    assert main(["plan", *SMALL, "--json", *arguments]) == 0
    return json.loads(capfd.readouterr().out)


def test_json_says_how_much_and_what_fits(capfd):
    found = report(capfd, "--size", "512", "--memory", "4GB")
    assert {"estimate_mb", "fits", "tiles", "largest_size"} <= found.keys()
    assert found["fits"] is True
    assert found["tiles"] == 1
    assert found["available_mb"] == 4096
    assert found["size"] == [341, 512]
    assert found["estimate_mb"] == pytest.approx(sum(found["parts_mb"].values()), abs=1)
    assert found["largest_size"] > 1000
    assert found["seconds_per_iteration"] > 0
    assert found["seconds"] > 100 * found["seconds_per_iteration"]


def test_what_does_not_fit_is_a_plan_all_the_same(capfd):
    found = report(capfd, "--size", "20000", "--memory", "1GB")
    assert found["fits"] is False
    assert found["size"] == [13333, 20000]
    again = report(capfd, "--size", str(found["largest_size"]), "--memory", "1GB")
    assert again["fits"] is True


def test_pictures_give_the_shape(capfd):
    photograph, painting = str(sample_path(CONTENT)), str(sample_path(DEFAULT_STYLE))
    found = report(capfd, photograph, painting, "--size", "200", "--size-rule", "shorter")
    assert min(found["size"]) == 200
    alone = report(capfd, photograph, "--size", "200")
    assert max(alone["size"]) == 200


def test_the_table_has_every_part_the_sum_and_the_verdict(capfd):
    assert main(["plan", *SMALL, "--size", "400", "--memory", "3GB"]) == 0
    out = capfd.readouterr().out
    for words in ("program and libraries", "weights", "in all", "--memory allows 3.0 GB: it fits"):
        assert words in out
    assert "largest --size that fits: " in out
    assert "an iteration at that size" in out


def test_wrong_options_and_pictures_end_as_in_a_run(capfd, tmp_path):
    assert main(["plan", "--size", "0"]) == 2
    assert main(["plan", str(tmp_path / "none.png"), "--size", "100"]) == 3
    assert "does not exist" in capfd.readouterr().err


def test_options_may_come_from_a_file(capfd, tmp_path):
    (tmp_path / "night.toml").write_text('size = 300\nmemory = "2GB"\n')
    found = report(capfd, "--config", str(tmp_path / "night.toml"))
    assert max(found["size"]) == 300
    assert found["available_mb"] == 2048
