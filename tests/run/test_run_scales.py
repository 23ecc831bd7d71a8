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
from nst_manual.errors import Interrupted
from nst_manual.images import resize, save_image
from nst_manual.run import events, paint, scales

CONTENT, STYLE = smooth_picture(0, 96, 128), smooth_picture(1, 120, 110)
RUN = SMALL | {"size": 128, "iterations": 2}


def test_sizes_fall_by_a_square_root_of_two_and_not_below_what_layers_need():
    assert scales.sizes(512, 4) == [181, 256, 362, 512]
    assert scales.sizes(512, 1) == [512]
    assert scales.sizes(128, 9) == [64, 91, 128]
    assert scales.sizes(24, 5) == [24]


def test_paintings_shrink_with_the_picture_and_colours_come_last():
    config = run_config(RUN | {"scales": 3, "style_size": 200, "keep_colours": "lab"})
    found = scales.configurations(config)
    assert [(stage.size, stage.style_size, stage.keep_colours) for stage in found] == [
        (64, 100, None),
        (91, 142, None),
        (128, 200, "lab"),
    ]
    assert scales.configurations(run_config(RUN)) == [run_config(RUN)]


def test_a_run_in_scales_is_its_runs_one_after_the_other():
    whole = nst.stylize(CONTENT, STYLE, **RUN, scales=2)
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
