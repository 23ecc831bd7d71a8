"""`bench` on the command line: one JSON object, or a table; one line for what it cannot do."""

from __future__ import annotations

import importlib.util
import json

import pytest

from nst_manual.cli import main

SMALL = ["--network", "vgg11", "--weights", "random", "--content-layers", "relu2_1"]
SMALL += ["--style-layers", "relu1_1,relu2_1", "--size", "37x51", "--threads", "1", "--repeat", "1"]


def test_json_is_one_object_and_nothing_else(capfd):
    assert main(["bench", *SMALL, "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    found = json.loads(out)
    assert found["network"] == "vgg11"
    assert found["size"] == [37, 51]
    assert found["threads"] == 1
    assert (found["device"], found["tf32"]) == ("cpu", False)
    assert found["device_name"]
    assert "torch" not in found


def test_the_table_names_what_was_measured(capfd):
    assert main(["bench", *SMALL]) == 0
    out = capfd.readouterr().out
    for said in ("vgg11 at 37 x 51 pixels", "1 thread,", "nst_manual", "above idle", "random", "median of 1"):
        assert said in out


def test_the_table_beside_torch(capfd):
    pytest.importorskip("torch")
    arguments = ["--with", "torch", "--end-to-end", "--iterations", "2"]
    assert main(["bench", *SMALL, *arguments]) == 0
    out = capfd.readouterr().out
    for said in ("torch nchw", "a whole run", "evaluations", "optimiser's share", "divided by ours"):
        assert said in out
    assert "two functions" not in out


def test_json_beside_torch_is_what_scripts_expect(capfd):
    pytest.importorskip("torch")
    assert main(["bench", *SMALL, "--with", "torch", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert {"network", "size", "ours", "torch", "ratio"} <= set(found)
    assert found["loss_difference"] < 1e-5
    assert set(found["variants"]) == {"nchw"}


def test_without_weights_random_ones_are_taken_and_named(capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("NST_MANUAL_CACHE", str(tmp_path))
    layers = ["--content-layers", "relu1_1", "--style-layers", "relu1_1"]
    assert main(["bench", "--size", "32", "--repeat", "1", "--threads", "1", *layers, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["network"] == "vgg19"
    assert "random" in found["weights"]
    assert found["size"] == [32, 32]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--with", "jax"], "--with: 'jax' is unknown (valid: torch)"),
        (["--with", "torch", "--torch-variant", "nhwc"], "valid: nchw, inplace"),
        (["--torch-variant", "all"], "--with torch"),
        (["--iterations", "3"], "--end-to-end"),
        (["--end-to-end", "--iterations", "0"], "--iterations: expected"),
        (["--repeat", "0"], "--repeat: expected"),
        (["--repeat", "some"], "--repeat: expected"),
        (["--size", "12y5"], "--size: expected"),
        (["--size", "7"], "--size"),
        (["--size", "99999"], "--size"),
        (["--threads", "0"], "--threads: expected"),
        (["--dtype", "float16"], "--dtype"),
        (["--network", "vgg20"], "did you mean 'vgg1"),
        (["--content-layers", "relu9_9", "--size", "32"], "relu9_9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_measured_is_one_line(capfd, arguments, said):
    if "torch" in arguments:
        pytest.importorskip("torch")
    assert main(["bench", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_a_missing_torch_is_told_before_anything_starts(capfd, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["bench", *SMALL, "--with", "torch"]) == 2
    assert capfd.readouterr().err == "error: --with torch: PyTorch is not installed (pip install torch)\n"


def test_a_weight_file_that_is_missing_is_an_error_of_weights(capfd):
    assert main(["bench", "--network", "vgg11", "--weights", "nope.h5", "--size", "32"]) == 4
    assert "nope.h5" in capfd.readouterr().err
