"""`gradcheck` on the command line."""

import json

import numpy as np
from typer.testing import CliRunner

from nst_manual.check import suite
from nst_manual.check.mutations import mutations
from nst_manual.cli.app import make_app
from nst_manual.nn import relu

run = CliRunner().invoke
APP = make_app()


def test_what_is_right_ends_with_status_0_and_a_line_each():
    result = run(APP, ["gradcheck", "ReLU", "TotalVariation"])
    assert result.exit_code == 0
    assert [line.split("  checks")[0][:43].rstrip() for line in result.output.splitlines()[:3]] == [
        "ok     ReLU",
        "ok     TotalVariation, absolute",
        "ok     TotalVariation, squared",
    ]
    assert "checks, none failed" in result.output


def test_a_mistake_in_a_kernel_ends_with_status_1_and_names_it(monkeypatch):
    monkeypatch.setattr(relu.relu, "input_gradient", lambda x, dy, out=None: np.multiply(dy, x >= 0, out=out))
    result = run(APP, ["gradcheck", "ReLU"])
    assert result.exit_code == 1
    assert "WRONG" in result.output
    assert "where x is 0" in result.output


def test_json_is_one_object_with_checks_and_mutations(monkeypatch):
    few = mutations()[:3]
    monkeypatch.setattr(suite, "mutations", lambda: few)
    result = run(APP, ["gradcheck", "losses", "--mutate", "--json", "--seeds", "2"])
    assert result.exit_code == 0
    told = json.loads(result.output)
    assert told["passed"] is True
    assert set(told["checks"][0]) >= {"name", "method", "error", "bound", "passed"}
    assert [found["name"] for found in told["mutations"]] == 2 * [mutation.name for mutation in few]
    assert all(found["caught"] for found in told["mutations"])


def test_a_mistake_that_is_not_caught_ends_with_status_1(monkeypatch):
    right = suite.Mutation("none at all", next(iter(suite.chosen(["Flatten"]))).make)
    monkeypatch.setattr(suite, "mutations", lambda: [right])
    result = run(APP, ["gradcheck", "Flatten", "--mutate"])
    assert result.exit_code == 1
    assert "MISSED none at all" in result.output


def test_an_unknown_target_or_no_seed_is_refused():
    assert "did you mean" in str(run(APP, ["gradcheck", "ReLUU"]).exception)
    assert "at least 1" in str(run(APP, ["gradcheck", "ReLU", "--seeds", "0"]).exception)
