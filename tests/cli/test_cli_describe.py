"""`describe` and `weights`: tables for people, JSON for scripts."""

from __future__ import annotations

import json

import pytest

from nst_manual.cli import main


def test_describe_prints_the_published_totals(capfd):
    assert main(["describe", "vgg19"]) == 0
    out = capfd.readouterr().out
    assert "143,667,240" in out
    assert "conv5_4" in out
    assert "softmax" in out


def test_describe_as_json(capfd):
    assert main(["describe", "vgg19", "--size", "512x384", "--upto", "conv5_1", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["size"] == [512, 384]
    last = found["layers"][-1]
    assert last["name"] == "conv5_1"
    assert last["output_shape"] == [32, 24, 512]
    assert last["receptive_field"] == 156
    assert found["total"]["multiply_adds"] == sum(layer["multiply_adds"] for layer in found["layers"])


@pytest.mark.parametrize("size", ["abc", "0x5", "5x", "-3", "1x2x3"])
def test_describe_refuses_what_is_no_size(capfd, size):
    assert main(["describe", "vgg19", f"--size={size}"]) == 2
    assert "--size" in capfd.readouterr().err


def test_weights_list_names_the_bundled_file(capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("NST_MANUAL_CACHE", str(tmp_path))
    assert main(["weights", "list", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)["weights"]
    bundled = [row for row in rows if row["status"] == "bundled"]
    assert [row["network"] for row in bundled] == ["vgg16", "squeezenet"]
    assert {"vgg16", "vgg19"} <= {row["name"] for row in rows if row["status"] == "known"}
    assert main(["weights", "list"]) == 0
    assert "bundled" in capfd.readouterr().out


def test_weights_check_reads_the_bundled_file(capfd):
    from nst_manual.store import find_weights

    assert main(["weights", "check", str(find_weights("vgg16")), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["network"] == "vgg16"
    assert found["finite"]
    assert found["known"]


def test_weights_get_refuses_an_unknown_name(capfd):
    assert main(["weights", "get", "vgg99"]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_help_names_every_option_of_the_configuration(capfd):
    import dataclasses

    from nst_manual.config import CommandConfig
    from nst_manual.options import flag

    assert main(["run", "--help"]) == 0
    text = capfd.readouterr().out
    for field in dataclasses.fields(CommandConfig):
        assert flag(field.name) in text


def test_version(capfd):
    import nst_manual

    assert main(["--version"]) == 0
    assert capfd.readouterr().out.strip() == nst_manual.__version__
