"""Rows 17, 19 and 20: values out of range, sums of losses that pull at nothing, names that nobody knows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fault_program import SMALL
from PIL import Image

NO_PICTURES = ["--content-weight", "0", "--style-weight", "0"]
OUT = ["-o", "old.png"]


@pytest.mark.fault(17)
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--size", "0", "expected a whole number from 8 to "),
        ("--size", "-5", "expected a whole number from 8 to "),
        ("--size", "1e9", "expected a whole number from 8 to "),
        ("--size", "abc", "expected a whole number from 8 to "),
        ("--iterations", "-1", "expected a whole number from 0 to 1000000, got '-1'"),
        ("--style-weight", "nan", "expected a number of at least 0, got 'nan'"),
        ("--content-weight", "inf", "expected a number of at least 0, got 'inf'"),
        ("--tv-weight", "-1", "expected a number of at least 0, got '-1'"),
        ("--style-layers", "relu1_1:nan", "expected a number of at least 0, got 'nan'"),
    ],
)
def test_a_value_out_of_range(program, option, value, said):
    error = program.refuses(2, "run", "photo.png", "painting.png", option, value, *OUT)
    assert error.startswith(f"error: {option}")
    assert said in error


def logged(log: str, name: str) -> list[float]:
    """Return a number of each line of a log; NaN and infinity fail."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in the log")

    with open(log, encoding="utf-8") as lines:
        return [json.loads(line, parse_constant=refuse)[name] for line in lines]


@pytest.mark.fault(19)
def test_without_style_the_photograph_stays_as_it_is(program):
    options = ["--style-layers", "relu1:0,fire2:0", "-o", "out.png", "--log", "log.jsonl"]
    arguments = ["photo.png", "painting.png", *SMALL, *options]
    finished = program.paints("run", *arguments)
    assert logged("log.jsonl", "loss")[0] == 0
    assert "the gradient is zero" in finished.err
    with Image.open("out.png") as out, Image.open("photo.png") as photo:
        np.testing.assert_array_equal(np.asarray(out), np.asarray(photo))


@pytest.mark.fault(19)
def test_total_variation_alone_smooths(program):
    arguments = ["photo.png", "painting.png", *SMALL, *NO_PICTURES, "--tv-weight", "1"]
    program.paints("run", *arguments, "-o", "out.png", "--log", "log.jsonl")
    losses = logged("log.jsonl", "loss")
    assert 0 < losses[-1] < losses[0]


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    ("optimizer", "form"), [("lbfgs", "absolute"), ("lbfgs-scipy", "isotropic"), ("adam", "squared")]
)
def test_total_variation_of_plain_grey_has_no_gradient(program, optimizer, form):
    Image.new("RGB", (48, 40), (120, 120, 120)).save("photo.png")
    arguments = ["photo.png", "painting.png", *SMALL, *NO_PICTURES, "--tv-weight", "1", "--tv-form", form]
    program.paints("run", *arguments, "--optimizer", optimizer, "-o", "out.png", "--log", "log.jsonl")
    assert set(logged("log.jsonl", "gradient_norm")) == {0.0}
    with Image.open("out.png") as out:
        assert out.getextrema() == ((120, 120),) * 3


@pytest.mark.fault(19)
def test_nothing_to_minimise(program):
    arguments = ["photo.png", "painting.png", *SMALL, *NO_PICTURES]
    assert "there is nothing to minimise" in program.refuses(2, "run", *arguments, *OUT)


GOOD = ["photo.png", "painting.png", *OUT]
UNKNOWN = [
    (["run", *GOOD, "--style-layers", "conv9_9", "--network", "vgg16"], "conv9_9", "conv5_", "conv1_1"),
    (["run", *GOOD, "--content-layers", "fire99", "--network", "squeezenet"], "fire99", "fire9", "conv1"),
    (["run", *GOOD, "--network", "vgg20"], "vgg20", "vgg1", "squeezenet"),
    (["run", *GOOD, "--preset", "papr"], "papr", "paper", "gatys"),
    (["describe", "vgg20"], "vgg20", "vgg1", "squeezenet"),
    (["describe", "vgg16", "--upto", "relu9_9"], "relu9_9", "relu", "conv1_1"),
    (["compare", "--with", "tourch"], "tourch", "torch", "jax"),
    (["bench", "--network", "vgg20"], "vgg20", "vgg1", "squeezenet"),
    (["bench", "--style-layers", "conv9_9"], "conv9_9", "conv5_", "conv1_1"),
    (["invert", "photo.png", "--layer", "relu4_22", *OUT], "relu4_22", "relu4_2", "conv1_1"),
    (["texture", "photo.png", "--preset", "papr", *OUT], "papr", "paper", "gatys"),
    (["figure", "networks", "--networks", "vgg20", *OUT], "vgg20", "vgg1", "squeezenet"),
    (["presets", "papr"], "papr", "paper", "gatys"),
    (["weights", "get", "vgg20"], "vgg20", "vgg1", "squeezenet"),
]


@pytest.mark.fault(20)
@pytest.mark.parametrize(("arguments", "name", "near", "other"), UNKNOWN, ids=lambda value: str(value)[:40])
def test_an_unknown_name_with_the_nearest_and_the_valid_ones(program, arguments, name, near, other):
    error = program.refuses(2, *arguments)
    assert f"'{name}' is unknown, did you mean '{near}" in error
    assert other in error.partition("(valid: ")[2].rstrip(")").split(", ")


@pytest.mark.fault(20)
def test_an_unknown_name_in_python(folder):
    import nst_manual as nst
    from nst_manual.errors import UsageError

    for call in (
        lambda: nst.stylize("photo.png", "painting.png", preset="papr"),
        lambda: nst.stylize("photo.png", "painting.png", network="squeezenet", style_layers=["fire99"]),
        lambda: nst.load_network("vgg20"),
        lambda: nst.load_network("vgg16", upto="conv9_9"),
        lambda: nst.Objective("photo.png", ["painting.png"], sise=3),
    ):
        with pytest.raises(UsageError, match=r"is unknown, did you mean .*\(valid: ") as caught:
            call()
        assert isinstance(caught.value, ValueError)
