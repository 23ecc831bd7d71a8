"""`compare` on the command line: one JSON object, or a table; exit code 1 where something diverges."""

from __future__ import annotations

import importlib.util
import json

import pytest
from rich.console import Console

from nst_manual.check import compare_cost, layers
from nst_manual.cli import console, main
from nst_manual.nets import NETWORKS

SMALL = ["compare", "--network", "vgg11", "--weights", "random", "--size", "17x22", "--threads", "1"]
SMALL += ["--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Let vgg11 end with relu2_1, and start no processes for the costs."""
    monkeypatch.setitem(NETWORKS, "vgg11", NETWORKS["vgg11"].upto("relu2_1"))
    cost = {"seconds": 0.25, "peak_mb": 300.0, "imported_mb": 100.0}
    monkeypatch.setattr(compare_cost, "measure", lambda side, config, size: dict(cost))


@pytest.fixture
def planted(monkeypatch):
    """Plant a mistake in our conv2_1."""
    build = layers.build_ours

    def build_planted(config):
        network, note = build(config)
        network["conv2_1"].bias = network["conv2_1"].bias + 1
        return network, note

    monkeypatch.setattr(layers, "build_ours", build_planted)


def test_json_is_one_object_of_the_agreed_form(capfd):
    pytest.importorskip("torch")
    assert main([*SMALL, "--with", "torch", "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    found = json.loads(out)
    agreed = {"framework", "network", "layers", "first_divergence", "image_gradient_error", "loss_error"}
    assert agreed <= set(found)
    assert found["first_divergence"] is None
    assert found["layers"][0].keys() >= {"name", "output_error", "gradient_error", "local_error"}
    assert [row["name"] for row in found["layers"]] == ["conv1_1", "relu1_1", "pool1", "conv2_1", "relu2_1"]
    assert found["size"] == [17, 22]
    assert found["ours"]["seconds"] == found["torch"]["seconds"] == 0.25


def test_the_table_says_what_was_compared(capfd):
    torch = pytest.importorskip("torch")
    assert main([*SMALL, "--with", "torch", "--preset", "paper", "--dtype", "float64"]) == 0
    out = capfd.readouterr().out
    said = ["vgg11 at 17 x 22 pixels", f"PyTorch {torch.__version__}", "float64", "chain", "alone"]
    said += ["preprocess", "relu2_1", "First divergence: none", "Preset paper", "The same function", "random"]
    for text in [*said, "nst_manual 0.25 s, peak 300 MiB, 200 above its libraries", "pooling average"]:
        assert text in out
    assert "DIVERGES" not in out


@pytest.mark.usefixtures("planted")
def test_a_divergence_is_named_and_is_exit_code_1(capfd):
    pytest.importorskip("torch")
    assert main([*SMALL, "--with", "torch"]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    assert "First divergence: conv2_1." in out
    (line,) = [line for line in out.splitlines() if "DIVERGES" in line]
    assert line.split()[0] == "conv2_1"
    assert main([*SMALL, "--with", "torch", "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["first_divergence"] == "conv2_1"


@pytest.mark.usefixtures("planted")
def test_two_frameworks_vote(capfd):
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    assert main([*SMALL, "--with", "torch", "--with", "jax", "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert [framework["framework"] for framework in found["frameworks"]] == ["torch", "jax"]
    assert {vote["name"]: vote["alone"] for vote in found["votes"]} == {
        **dict.fromkeys(["preprocess", "conv1_1", "relu1_1", "pool1", "relu2_1"]),
        "conv2_1": "ours",
    }
    assert main([*SMALL, "--with", "torch", "--with", "jax"]) == 1
    (line,) = [
        line for line in capfd.readouterr().out.splitlines() if line.strip().startswith("conv2_1  nst")
    ]
    assert line.split()[1] == "nst_manual"


@pytest.mark.usefixtures("planted")
def test_the_table_fits_into_80_columns(capfd, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(console, "stdout", lambda: Console(width=80, highlight=False))
    assert main([*SMALL, "--with", "torch", "--algorithm", "winograd6"]) == 1
    out = capfd.readouterr().out
    assert "…" not in out
    for said in ("preprocess", "winograd6", "gradient", "DIVERGES"):
        assert said in out


def test_when_all_agree_the_vote_says_so(capfd):
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    assert main([*SMALL, "--with", "torch", "--with", "jax", "--with", "torch"]) == 0
    out = capfd.readouterr().out
    assert "Vote: all three agree on every row." in out
    assert out.count("Chain: each network") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to compare with"),
        (["--with", "tensorflow"], "--with: 'tensorflow' is unknown"),
        (["--with", "torch", "--size", "12y5"], "--size: expected"),
        (["--with", "torch", "--size", "3"], "--size"),
        (["--with", "torch", "--dtype", "float16"], "--dtype"),
        (["--with", "torch", "--algorithm", "fft"], "--algorithm"),
        (["--with", "torch", "--network", "vgg20"], "did you mean 'vgg1"),
        (["--with", "torch", "--preset", "monet"], "--preset"),
        (["--with", "torch", "--threads", "0"], "--threads: expected"),
        (["--with", "torch", "--content-layers", "relu9_9", "--size", "32"], "relu9_9"),
        (["--with", "torch", "--network", "vgg13", "--size", "31"], "31 x 31"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_compared_is_one_line(capfd, arguments, said):
    if "torch" in arguments:
        pytest.importorskip("torch")
    assert main(["compare", "--weights", "random", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torch", "--with torch: PyTorch is not installed (pip install torch)"),
        ("jax", '--with jax: JAX is not installed (pip install "jax[cpu]")'),
    ],
)
def test_a_missing_framework_is_told_before_anything_is_read(capfd, monkeypatch, name, said):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main([*SMALL, "--with", name]) == 2
    assert capfd.readouterr().err == f"error: {said}\n"


def test_a_weight_file_that_is_missing_is_an_error_of_weights(capfd):
    pytest.importorskip("torch")
    assert main([*SMALL, "--with", "torch", "--weights", "nope.h5"]) == 4
    assert "nope.h5" in capfd.readouterr().err
