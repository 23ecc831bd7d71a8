"""`exercise` on the command line."""

from __future__ import annotations

import json

import pytest

from nst_manual.check.exercises.course import NAMES, TIME_LIMIT
from nst_manual.cli import main

RELU = """import numpy as np

EXERCISE = "relu"


def relu_forward(x):
    print("forward", x.shape)
    return np.maximum(x, 0)


def relu_backward(x, dy):
    return dy * (x {} 0)
"""


@pytest.fixture
def relu(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(comparison):
        (tmp_path / "relu.py").write_text(RELU.format(comparison), encoding="utf-8")
        return "relu.py"

    return write


def test_list(capfd):
    assert main(["exercise", "list"]) == 0
    out = capfd.readouterr().out
    assert [out.index(f" {name} ") for name in NAMES] == sorted(out.index(f" {name} ") for name in NAMES)
    assert "exercise start conv-forward" in out


def test_list_as_json(capfd):
    assert main(["exercise", "list", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)["exercises"]
    assert [row["name"] for row in found] == list(NAMES)
    assert all(row["title"] for row in found)


def test_start_writes_a_file_and_never_over_another(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "start", "gram"]) == 0
    path = tmp_path / "gram.py"
    begun = path.read_text("utf-8")
    assert 'EXERCISE = "gram"' in begun
    assert "(N, C, C)" in begun
    assert "exercise check gram.py" in capfd.readouterr().out
    path.write_text("mine", encoding="utf-8")
    assert main(["exercise", "start", "gram"]) == 2
    assert "--force" in capfd.readouterr().err
    assert path.read_text("utf-8") == "mine"
    assert main(["exercise", "start", "gram", "--force"]) == 0
    assert path.read_text("utf-8") == begun


def test_start_takes_a_name_for_the_file(tmp_path, capfd):
    path = tmp_path / "my file.py"
    assert main(["exercise", "start", "relu", "-o", str(path)]) == 0
    assert f"'{path}'" in capfd.readouterr().out
    compile(path.read_bytes(), str(path), "exec")
    assert main(["exercise", "start", "relu", "-o", str(tmp_path / "no" / "where.py")]) == 5


@pytest.mark.parametrize("name", ['od"""d.py', "back\\Name.py"])
def test_odd_names_do_not_break_the_file(tmp_path, name):
    assert main(["exercise", "start", "relu", "-o", str(tmp_path / name)]) == 0
    compile((tmp_path / name).read_bytes(), name, "exec")


def test_check_of_a_right_solution(relu, capfd):
    assert main(["exercise", "check", relu(">")]) == 0
    out = capfd.readouterr().out
    assert "All 4 checks passed." in out
    assert out.startswith("forward (1, 4, 5, 3)\n")  # what the student's code prints comes first


def test_check_of_a_wrong_solution(relu, capfd):
    assert main(["exercise", "check", relu(">=")]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    out = " ".join(out.split())
    for said in ("WRONG relu_backward: x (2, 5, 3, 2)", "relative error", "where", "x > 0, not x >= 0"):
        assert said in out
    assert "3 of 4 checks passed." in out


@pytest.mark.parametrize(("comparison", "code"), [(">", 0), (">=", 1)])
def test_json_is_one_object_and_nothing_else(relu, capfd, comparison, code):
    assert main(["exercise", "check", relu(comparison), "--json"]) == code
    out, err = capfd.readouterr()
    assert "forward (1, 4, 5, 3)" in err
    assert out.count("\n") == 1
    found = json.loads(out)
    assert found["exercise"] == "relu"
    assert found["passed"] == (code == 0)
    keys = {"function", "case", "passed", "error", "bound", "problem", "where", "cause", "traceback"}
    assert all(keys <= set(check) for check in found["checks"])


def test_json_of_a_file_that_does_not_load(tmp_path, capfd):
    path = tmp_path / "relu.py"
    path.write_text("def relu_forward(x):\nreturn x\n", encoding="utf-8")
    assert main(["exercise", "check", str(path), "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert not found["passed"]
    assert "IndentationError" in found["traceback"][-1]


def test_help_names_the_time_limit_that_is_taken(capfd):
    assert main(["exercise", "check", "--help"]) == 0
    assert f"[default: {TIME_LIMIT:g}]" in capfd.readouterr().out


def test_the_time_limit(tmp_path, capfd):
    path = tmp_path / "relu.py"
    path.write_text("while True:\n    pass\n", encoding="utf-8")
    assert main(["exercise", "check", str(path), "--time-limit", "0.5"]) == 1
    assert "the time limit of 0.5 s has passed" in " ".join(capfd.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["start", "grem"], "did you mean 'gram'"),
        (["check", "/no/such/file.py"], "cannot be read"),
        (["check", "/no/such/file.py", "--exercise", "relu"], "cannot be read"),
        (["check", "/no/such/file.py", "--exercise", "rely"], "did you mean 'relu'"),
        (["check", ".", "--time-limit", "0"], "--time-limit"),
        (["hint", "relu", "9"], "NUMBER"),
    ],
)
def test_wrong_use_is_one_line(capfd, arguments, said):
    assert main(["exercise", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_hints_say_more_and_more(capfd):
    assert main(["exercise", "hint", "style-gradient"]) == 0
    first = capfd.readouterr().out
    assert "2. " not in first
    assert "hint style-gradient 2" in first
    assert main(["exercise", "hint", "style-gradient", "3"]) == 0
    last = capfd.readouterr().out
    assert all(f"{number}. " in last for number in (1, 2, 3))
