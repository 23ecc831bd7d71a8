"""Row 31: rates too large, numbers that are none, searches that find nothing; the last good picture stays."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from smooth_pictures import smooth_picture
from whole_files import NETWORK, call, make_inputs, picture_fault, pixels_of, quick_runs, temporaries

from nst_manual.config import run_config
from nst_manual.errors import DivergedError
from nst_manual.objective import Objective
from nst_manual.run.checkpoint import read_checkpoint
from nst_manual.run.optimizers import FIRST_ORDER
from nst_manual.run.scales import paint

SMALL = [*NETWORK, "--size", "32", "--scales", "1", "--iterations", "30", "--quiet"]
CONTENT, STYLE = smooth_picture(0, 24, 32), smooth_picture(1, 30, 28)
PAINTED = {"network": "squeezenet", "style_layers": "relu1", "content_layers": "relu1", "threads": 1}
PAINTED |= {"size": 32, "scales": 1, "iterations": 6}


@pytest.fixture(autouse=True)
def quick():
    with quick_runs():
        yield


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return make_inputs(tmp_path / "inputs")


def ends(code, pictures, *arguments):
    """Run, hold the exit code and that the picture is whole; return the line of the error."""
    found, said = call(["run", *pictures, "-o", "out.png", *SMALL, *arguments])
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert (found, len(errors)) == (code, int(code != 0)), said
    assert "Traceback" not in said and "Warning" not in said, said
    assert not temporaries(os.listdir("."))
    assert picture_fault(Path("out.png")) == ""
    return errors[0] if errors else said


@pytest.mark.fault(31)
@pytest.mark.parametrize("optimizer", FIRST_ORDER)
def test_a_rate_that_is_far_too_large(pictures, optimizer):
    keeps = ["--checkpoint", "run.h5", "--checkpoint-every", "0"]
    line = ends(7, pictures, "--optimizer", optimizer, "--learning-rate", "1e6", *keeps)
    assert line.startswith("error: diverged at iteration 2, ")
    assert "the best picture before is saved" in line and "a smaller learning rate" in line
    # what is saved is the lowest loss that was seen: that of the photograph
    np.testing.assert_array_equal(pixels_of("out.png"), pixels_of(pictures[0]))
    assert np.isfinite(read_checkpoint("run.h5").snapshot.picture).all()


@pytest.mark.fault(31)
@pytest.mark.parametrize("optimizer", ["adam", "gradient-descent", "lbfgs", "lbfgs-scipy"])
@pytest.mark.parametrize("loss", ["content/relu1", "style/relu1", "tv"])
def test_a_gradient_that_is_too_large_for_a_float_is_found_at_its_loss(pictures, optimizer, loss):
    """A weight that is beyond float32: the loss, a sum of Python's numbers, is finite all the same."""
    weight = f"--{loss.split('/')[0]}-weight"
    line = ends(7, pictures, "--optimizer", optimizer, weight, "1e45", "--init", "noise")
    assert line.startswith(f"error: diverged at iteration 1, gradient at {loss}: is not finite"), line
    assert "smaller weights may help" in line


@pytest.mark.fault(31)
def test_activations_that_are_too_large_for_a_float(monkeypatch):
    """From the fourth pass of the run on; the loss behind the layer is named."""
    from nst_manual.nn import Conv2d

    passes = []

    def forward(self, x, real=Conv2d.update_output):
        passes.append(self)
        y = real(self, x)
        return y * np.float32(1e38) if len(passes) > 6 else y

    monkeypatch.setattr(Conv2d, "update_output", forward)
    outcome = paint(CONTENT, [STYLE], run_config(PAINTED | {"optimizer": "adam", "plain": True}))
    assert isinstance(outcome.stopped, DivergedError)
    assert "/relu1: the loss is " in str(outcome.stopped)
    assert np.isfinite(outcome.moved).all() and outcome.iterations > 0


@pytest.mark.fault(31)
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "gradient-descent"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_none_in_the_middle(monkeypatch, optimizer, value):
    """The fourth evaluation gives it; the picture is the best of the first three."""
    seen = []

    def forward(self, x, real=Objective._forward):
        y = real(self, x)
        seen.append((self.loss, x[0].copy()))
        if len(seen) == 4:
            self.modules[0].loss = value
            for name, loss in self.losses.items():
                if not np.isfinite(loss):
                    raise DivergedError(name, f"the loss is {loss}")
        return y

    monkeypatch.setattr(Objective, "_forward", forward)
    outcome = paint(CONTENT, [STYLE], run_config(PAINTED | {"optimizer": optimizer}))
    assert isinstance(outcome.stopped, DivergedError)
    assert f"style/relu1: the loss is {value}" in str(outcome.stopped)
    assert str(outcome.stopped).startswith(f"diverged at iteration {outcome.iterations + 1}, ")
    np.testing.assert_array_equal(outcome.moved, min(seen[:3], key=lambda pair: pair[0])[1])
    assert np.isfinite(outcome.loss)


@pytest.mark.fault(31)
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_gradient_that_is_none_is_found_at_its_layer(monkeypatch, optimizer):
    """The first module on the way back whose gradient is not finite is named, as a user would name it."""
    from nst_manual.nn import Conv2d

    calls = []

    def back(self, x, dy, real=Conv2d.update_grad_input):
        dx = real(self, x, dy)
        calls.append(self)
        if len(calls) >= 3:
            dx[0, 0, 0, 0] = np.nan
        return dx

    monkeypatch.setattr(Conv2d, "update_grad_input", back)
    outcome = paint(CONTENT, [STYLE], run_config(PAINTED | {"optimizer": optimizer, "plain": True}))
    line = str(outcome.stopped)
    assert isinstance(outcome.stopped, DivergedError)
    assert "gradient at conv1: is not finite" in line
    assert line.startswith(f"diverged at iteration {outcome.iterations + 1}, ")
    assert np.isfinite(outcome.moved).all()


@pytest.mark.fault(31)
@pytest.mark.parametrize("optimizer", ["lbfgs", "gradient-descent"])
def test_a_search_along_a_wrong_gradient_fails(monkeypatch, optimizer):
    """The gradient has the wrong sign from the fifth evaluation on: there is no lower point along it."""
    calls = []

    def wrong(self, image, real=Objective.__call__):
        loss, dx = real(self, image)
        calls.append(loss)
        return loss, dx if len(calls) < 5 else -dx

    monkeypatch.setattr(Objective, "__call__", wrong)
    options = {"optimizer": optimizer, "iterations": 30, "bounds": "none"}
    options["backtracking"] = optimizer == "gradient-descent"
    outcome = paint(CONTENT, [STYLE], run_config(PAINTED | options))
    assert isinstance(outcome.stopped, DivergedError), outcome.message
    assert "line search: found no lower loss along the gradient" in str(outcome.stopped)
    assert outcome.loss <= min(record["loss"] for record in outcome.history) * (1 + 1e-5)


@pytest.mark.fault(31)
def test_no_progress_is_said_and_is_no_error(pictures):
    said = ends(0, pictures, "--tolerance", "0.5", "--patience", "2")
    assert said == ""
    found, said = call(
        ["run", *pictures, "-o", "out.png", *SMALL[:-1], "--tolerance", "0.5", "--patience", "2"]
    )
    assert found == 0
    assert "the loss fell by less than 50 % in the last 2" in said


@pytest.mark.fault(31)
def test_in_a_process_of_its_own(program, folder):
    old = (folder / "old.png").read_bytes()
    options = ["--optimizer", "adam", "--learning-rate", "1e6", "--log", "log.jsonl"]
    finished = program("run", "photo.png", "painting.png", "-o", "old.png", *SMALL, *options)
    assert finished.code == 7
    assert "diverged at iteration 2" in finished.error
    assert picture_fault(folder / "old.png") == ""
    assert (folder / "old.png").read_bytes() != old
    assert "RuntimeWarning" not in finished.err
