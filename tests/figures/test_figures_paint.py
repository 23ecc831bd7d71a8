"""From a plan to pictures: step by step, and what an end before the end leaves."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from small_figure import CONTENT, SMALL, STYLE, captions, images

from nst_manual.figures.grid import plan_grid
from nst_manual.figures.paint import paint_plan
from nst_manual.images import contact_sheet
from nst_manual.run import scales
from nst_manual.run.job import _Run

SEEDS = ("seed", [0, 1, 2])


def plan(rows=SEEDS, **options):
    return plan_grid(CONTENT, STYLE, rows, **SMALL | {"init": "noise"} | options)


def test_after_every_picture_there_is_the_figure_so_far():
    steps, sheets = [], []

    def keep(step):
        steps.append(step)
        sheets.append((captions(step.figure), step.figure.sheet))

    figure = paint_plan(plan(), keep)
    assert [(step.number, step.total, step.caption) for step in steps] == [
        (1, 3, "seed 0"),
        (2, 3, "seed 1"),
        (3, 3, "seed 2"),
    ]
    assert [names for names, _ in sheets] == [
        ["seed 0"],
        ["seed 0", "seed 1"],
        ["seed 0", "seed 1", "seed 2"],
    ]
    assert all(step.seconds > 0 for step in steps)
    assert figure.stopped is None
    expected = contact_sheet(
        figure.pictures, 1, "vgg11, random weights, preset gatys, 32 pixels, 2 iterations"
    )
    np.testing.assert_array_equal(figure.sheet, expected)
    np.testing.assert_array_equal(sheets[-1][1], expected)


def test_a_signal_drops_the_picture_that_is_being_painted(monkeypatch):
    whole = paint_plan(plan())
    evaluate = _Run.evaluate

    def interrupted(run, x):
        if run.config.seed == 1:
            signal.raise_signal(signal.SIGINT)
        return evaluate(run, x)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(_Run, "evaluate", interrupted)
    figure = paint_plan(plan())
    assert captions(figure) == ["seed 0"]
    np.testing.assert_array_equal(images(figure)[0], images(whole)[0])
    assert figure.stopped.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_while_images_and_weights_are_read_ends_the_run_that_follows(monkeypatch):
    prepare = scales.prepare

    def interrupted(content, styles, config):
        if config.seed == 1:
            signal.raise_signal(signal.SIGINT)
        return prepare(content, styles, config)

    monkeypatch.setattr(scales, "prepare", interrupted)
    figure = paint_plan(plan(scales=2, size=90))
    assert captions(figure) == ["seed 0"]
    assert figure.stopped.exit_code == 130


def test_a_signal_between_two_runs_waits_until_the_sheet_is_written(monkeypatch):
    written, prepared, prepare = [], [], scales.prepare

    def counted(content, styles, config):
        prepared.append(config.seed)
        return prepare(content, styles, config)

    def interrupt(step):
        signal.raise_signal(signal.SIGTERM)
        written.append(step.caption)

    monkeypatch.setattr(scales, "prepare", counted)
    figure = paint_plan(plan(), interrupt)
    assert written == captions(figure) == ["seed 0"]
    assert prepared == [0], "images and weights were read once more for nothing"
    assert figure.stopped.exit_code == 143


def test_a_run_that_diverges_ends_by_itself_alone():
    rates = ("learning_rate", [1e30, 1e-9])
    with np.errstate(all="ignore"):
        figure = paint_plan(plan(rates, optimizer="gradient-descent", iterations=4))
    assert captions(figure) == ["learning-rate 1e+30, diverged", "learning-rate 1e-09"]
    assert figure.stopped is None


def test_whatever_the_observer_raises_comes_through():
    def fail(step):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        paint_plan(plan(), fail)
