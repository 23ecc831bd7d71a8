"""Optimisers as a run has them: their options, pixel bounds, averages, an early end, other starts."""

from __future__ import annotations

import numpy as np
import pytest
from small_run import SMALL, pictures

import nst_manual as nst
from nst_manual.config import OPTIMIZERS, run_config
from nst_manual.errors import UsageError
from nst_manual.run.optimizers import FIRST_ORDER, SECOND_ORDER, make_optimizer

RATES = {"adagrad": 10.0, "momentum": 1e-4, "nesterov": 1e-4, "gradient-descent": 1e-3}


def stylize(**options):
    return nst.stylize(*pictures(), **SMALL | options)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("bounds", [(0, 255), "none"])
def test_every_optimiser_lowers_the_loss_within_bounds_and_without(name, bounds):
    result = stylize(optimizer=name, learning_rate=RATES.get(name), bounds=bounds, iterations=8)
    assert result.loss < result.history[0]["loss"]
    if bounds != "none":
        assert result.pixels.min() >= 0
        assert result.pixels.max() <= 255


def test_the_default_keeps_to_what_a_picture_can_hold_and_the_saved_picture_is_as_good():
    options = {"iterations": 30, "style_weight": 1e6}
    held, free = stylize(**options), stylize(**options, bounds="none")
    assert held.pixels.min() >= 0
    assert held.pixels.max() <= 255
    assert free.pixels.min() < -1 or free.pixels.max() > 256  # else nothing would be tested
    assert held.saved_loss < 1.05 * held.loss
    assert held.saved_loss < free.saved_loss


def test_narrow_bounds_are_kept_and_a_start_outside_is_brought_in():
    result = stylize(bounds="100,140")
    assert result.pixels.min() >= 100
    assert result.pixels.max() <= 140


def test_an_average_of_the_iterates_is_not_the_last_one():
    last, average = (stylize(optimizer="adam", iterations=10, averaging=a) for a in (0, 0.9))
    assert np.abs(last.pixels - average.pixels).max() > 0.1
    assert average.loss < average.history[0]["loss"]


def test_a_schedule_changes_the_steps():
    constant, falling = (
        stylize(optimizer="adam", iterations=10, schedule=s) for s in (None, "exponential:0.5")
    )
    start = pictures()[0].astype(float)
    assert np.abs(falling.pixels - start).mean() < 0.5 * np.abs(constant.pixels - start).mean()


def test_no_progress_ends_the_run_and_says_so():
    result = stylize(tolerance=0.9, patience=3, iterations=50)
    assert result.iterations < 50
    assert "the loss fell by less than 90 % in the last 3" in result.message


@pytest.mark.parametrize("kind", ["style", "blend", "spectrum"])
def test_a_run_may_start_from_other_pictures(kind):
    result = stylize(init=kind, noise_std=20, iterations=0)
    content, _ = pictures()
    assert result.pixels.shape == content.shape
    assert np.abs(result.pixels - content).mean() > 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"schedule": "cosine"}, "--schedule: has no meaning for lbfgs"),
        ({"backtracking": True, "optimizer": "adam"}, "--backtracking: has no meaning for adam"),
        ({"schedule": "cosin", "optimizer": "adam"}, "cosin"),
        ({"bounds": "255,0"}, "--bounds: expected LOW,HIGH with LOW below HIGH, or none"),
        ({"bounds": "0"}, "--bounds: expected LOW,HIGH"),
        ({"bounds": "0,nan"}, "--bounds: expected LOW,HIGH"),
        ({"averaging": 1}, "--averaging: expected a number of at least 0 and below 1"),
        ({"patience": 0}, "--patience: expected a whole number"),
    ],
)
def test_options_that_make_no_sense_are_told_before_the_work(options, match):
    with pytest.raises(UsageError, match=match):
        nst.stylize("no such photograph.jpg", "no such painting.jpg", **SMALL | options)


def test_the_names_are_those_of_the_options():
    assert {*SECOND_ORDER, *FIRST_ORDER} == set(OPTIMIZERS)
    assert make_optimizer(run_config({"bounds": ()})).bounds is None
