"""Coarse to fine: sizes, one count of iterations, one log, and a picture of full size whatever happens."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_run import SMALL, pictures
from smooth_pictures import smooth_picture

import nst_manual as nst
from nst_manual.cli import main
from nst_manual.config import run_config
from nst_manual.errors import Interrupted, UsageError
from nst_manual.images import resize, save_image
from nst_manual.run import events, paint, scales

CONTENT, STYLE = smooth_picture(0, 96, 128), smooth_picture(1, 120, 110)
RUN = SMALL | {"size": 128, "iterations": 2}


def test_sizes_fall_by_a_square_root_of_two_and_not_below_what_layers_need():
    assert scales.sizes(512, 4) == [181, 256, 362, 512]
    assert scales.sizes(512, 1) == [512]
    assert scales.sizes(128, 9) == [64, 91, 128]
    assert scales.sizes(24, 5) == [24]


def test_paintings_shrink_with_the_picture():
    found = scales.configurations(run_config(RUN | {"scales": 3, "style_size": 200}))
    assert [(stage.size, stage.style_size) for stage in found] == [(64, 100), (91, 142), (128, 200)]
    (only,) = scales.configurations(run_config(RUN))
    assert (only.size, only.style_size, only.iterations) == (128, None, 2)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(256, [256]), (257, [182, 257]), (512, [256, 362, 512]), (1024, [256, 362, 512, 724, 1024])],
)
def test_above_256_pixels_a_picture_is_painted_coarse_to_fine(size, expected):
    stages = scales.configurations(run_config({"size": size}))
    assert [stage.size for stage in stages] == expected
    between = [10] * (len(expected) - 2)
    assert [stage.iterations for stage in stages] == ([100, *between, 100] if len(expected) > 1 else [100])
    assert len(scales.configurations(run_config({"size": size, "scales": 1}))) == 1


def test_factor_and_iterations_of_the_scales():
    config = run_config({"size": 400, "scales": 3, "scale_factor": 2, "scale_iterations": "30,20,10"})
    found = [(stage.size, stage.iterations) for stage in scales.configurations(config)]
    assert found == [(100, 30), (200, 20), (400, 10)]
    preset = run_config({"preset": "style-transfer-pytorch", "size": 512})
    assert [stage.size for stage in scales.configurations(preset)] == [128, 181, 256, 362, 512]
    with pytest.raises(UsageError, match="--scale-iterations: expected a number for each of 2 scales, got 3"):
        scales.configurations(run_config({"size": 362, "scale_iterations": "3,2,1"}))
    with pytest.raises(UsageError, match="--scale-factor: expected a number above 1, got '1'"):
        run_config({"scale_factor": "1"})
    with pytest.raises(
        UsageError, match="--scale-iterations: expected a whole number from 0 to 1000000, got '1.5'"
    ):
        run_config({"scale_iterations": "1.5,2"})


def test_colours_are_kept_of_the_last_scale_alone():
    options = RUN | {"size": 91, "keep_colours": "lab", "bounds": "none"}
    whole = nst.stylize(CONTENT, STYLE, **options, scales=2, scale_state="new")
    coarse = nst.stylize(CONTENT, STYLE, **options | {"size": 64, "keep_colours": None})
    objective, _ = nst.run.prepare(CONTENT, [STYLE], run_config(options))
    start = resize(coarse.pixels, objective.content.shape[:2])
    fine = nst.run.run_job(objective, start, run_config(options))
    np.testing.assert_array_equal(whole.pixels, fine.pixels)


def test_the_size_of_the_photograph_is_kept():
    config = run_config(RUN | {"size_rule": "original", "size": 20, "iterations": 1, "scales": 1})
    assert paint(CONTENT, [STYLE], config).pixels.shape == CONTENT.shape
    assert scales.settled(CONTENT, config).size == 128


def test_a_run_in_scales_is_its_runs_one_after_the_other():
    whole = nst.stylize(CONTENT, STYLE, **RUN, scales=2, scale_state="new")
    coarse = nst.stylize(CONTENT, STYLE, **RUN | {"size": 91})
    start = resize(coarse.pixels, (96, 128))
    config = run_config(RUN)
    objective, _ = nst.run.prepare(CONTENT, [STYLE], config)
    fine = nst.run.run_job(objective, start, config)
    np.testing.assert_array_equal(whole.pixels, fine.pixels)
    assert whole.loss == fine.loss
    assert whole.iterations == 4
    assert [record["size"] for record in whole.history] == [
        record["size"] for record in coarse.history + fine.history
    ]
    assert [record["evaluation"] for record in whole.history] == list(range(1, len(whole.history) + 1))
    assert [record["iteration"] for record in whole.history][-1] == 4


class Watch(events.Observer):
    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    def start(self, event):
        self.seen.append(("start", event.iterations))

    def iteration(self, event):
        self.seen.append((event.number, event.image.shape[:2]))
        if event.number == self.stop_at:
            raise Interrupted("SIGTERM", 15)

    def close(self):
        self.seen.append("close")


def test_observers_see_one_run():
    watch = Watch()
    paint(CONTENT, [STYLE], run_config(RUN | {"scales": 2}), [watch])
    assert watch.seen == [("start", 4), (1, (68, 91)), (2, (68, 91)), (3, (96, 128)), (4, (96, 128)), "close"]


def test_a_run_that_is_stopped_at_a_coarse_scale_has_a_picture_of_full_size():
    watch = Watch(stop_at=1)
    outcome = paint(CONTENT, [STYLE], run_config(RUN | {"scales": 2}), [watch])
    assert isinstance(outcome.stopped, Interrupted)
    assert outcome.pixels.shape == (96, 128, 3)
    assert outcome.iterations == 1
    assert watch.seen == [("start", 4), (1, (68, 91)), "close"]


def test_observers_are_closed_when_a_scale_cannot_be_prepared(monkeypatch):
    watch, prepare, calls = Watch(), scales.prepare, []

    def fail_later(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise MemoryError
        return prepare(*arguments)

    monkeypatch.setattr(scales, "prepare", fail_later)
    with pytest.raises(MemoryError):
        paint(CONTENT, [STYLE], run_config(RUN | {"scales": 2}), [watch])
    assert watch.seen[-1] == "close"


def test_the_command_line_logs_all_scales(tmp_path, capfd):
    for name, pixels in (("c.png", CONTENT), ("s.png", STYLE)):
        save_image(tmp_path / name, pixels)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in (RUN | {"scales": 2}).items()]
    log, out = tmp_path / "log.jsonl", tmp_path / "out.png"
    command = ["run", str(tmp_path / "c.png"), str(tmp_path / "s.png"), "-o", str(out), "--log", str(log)]
    assert main([*command, *options]) == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert records[0]["size"] == [68, 91]
    assert records[-1]["size"] == [96, 128]
    assert records[-1]["iteration"] == 4
    assert "4 iterations" in capfd.readouterr().err


def test_small_pictures_have_one_scale():
    result = nst.stylize(*pictures(), **SMALL, scales=3)
    assert {tuple(record["size"]) for record in result.history} == {(18, 24)}


def test_the_optimiser_goes_on_with_what_it_remembers(monkeypatch):
    """Where asked; SciPy's cannot."""
    seen = []
    for kind in (nst.optim.LBFGS, nst.optim.Adam):
        monkeypatch.setattr(
            kind,
            "carry_over",
            lambda self, state, old=kind.carry_over: (seen.append(state), old(self, state))[1],
        )
    few = RUN | {"scales": 2, "iterations": 1}
    nst.stylize(CONTENT, STYLE, **few)
    nst.stylize(CONTENT, STYLE, **few, optimizer="adam")
    assert not seen
    nst.stylize(CONTENT, STYLE, **few, scale_state="carried")
    assert seen[0]["x"].shape == (1, 68, 91, 3)
    result = nst.stylize(CONTENT, STYLE, **few, optimizer="adam", scale_state="carried")
    assert len(seen) == 2
    assert result.memory is None  # done with: it is as large as many pictures
    with pytest.raises(UsageError, match="--scale-state: cannot be carried by lbfgs-scipy"):
        nst.stylize(CONTENT, STYLE, **few, optimizer="lbfgs-scipy", scale_state="carried")


@pytest.mark.parametrize("state", ["carried", "new"])
def test_a_schedule_counts_through_all_scales(monkeypatch, state):
    counted = []
    monkeypatch.setattr(
        nst.run.optimizers, "parse_schedule", lambda text: lambda i, n: counted.append((i, n)) or 1.0
    )
    options = {"scales": 2, "optimizer": "adam", "schedule": "cosine", "scale_iterations": (2, 3)}
    nst.stylize(CONTENT, STYLE, **RUN | options, scale_state=state)
    assert counted == [(i, 5) for i in range(1, 6)]
