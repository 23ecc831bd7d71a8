"""Coarse to fine: a run at a small size, and at larger ones from what came of it.

Large structures are painted while the picture is small, where a layer sees more of it and an iteration costs
less; the full size adds the detail (L. Gatys et al., "Controlling perceptual factors in neural style
transfer", CVPR 2017, section 6). The optimiser begins anew at each size: its corrections are of another
space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from nst_manual.config import RunConfig
from nst_manual.images import fit, resize
from nst_manual.objective import Objective
from nst_manual.run.events import Evaluation, Iteration, Observer, Start
from nst_manual.run.job import Outcome, prepare, run_job

FACTOR = math.sqrt(2)
LEAST_SIZE = 64  # pixels of the longer side: below, the deep layers have nothing left to see


def sizes(size: int, scales: int) -> list[int]:
    """Return the longer sides of a run in so many scales, in pixels, each sqrt 2 of the one before."""
    found = {round(size / FACTOR**k) for k in range(scales)}
    return sorted(side for side in found if side == size or side >= LEAST_SIZE)


def configurations(config: RunConfig) -> list[RunConfig]:
    """Return the configuration of each scale, the coarsest first; paintings shrink with the picture."""
    found = []
    for side in sizes(config.size, config.scales):
        last = side == config.size
        style_size = config.style_size and max(8, round(config.style_size * side / config.size))
        colours = config.keep_colours if last else None  # the next scale goes on from what was painted
        found.append(replace(config, size=side, style_size=style_size, keep_colours=colours))
    return found


def paint(
    content: Any,
    styles: Any,
    config: RunConfig,
    observers: Sequence[Observer] = (),
    introduction: Any = None,
    prepared: tuple[Objective, Any] | None = None,
) -> Outcome:
    """Run all scales, and return what came of the last.

    Parameters
    ----------
    content, styles : path, PIL image or array; the same, or a list of them
    config : RunConfig
    observers : sequence of Observer
        They see one run: iterations are counted through.
    introduction : callable, optional
        Objective of the first scale -> the lines that say what is about to be done.
    prepared : (Objective, start image), optional
        What `prepare` has made for the first scale.

    Returns
    -------
    Outcome
        Of the last scale; iterations, history and seconds of all. A run that has been stopped at a coarse
        scale has the picture of that scale, enlarged, and the losses that it had there.
    """
    stages = configurations(config)
    total = config.iterations * len(stages)
    outcome: Outcome | None = None
    with ExitStack() as stack:
        for observer in observers:
            stack.callback(observer.close)
        for stage in stages:
            objective, start = prepare(content, styles, stage) if outcome or not prepared else prepared
            lines: Sequence[str] = ()
            if outcome is not None:
                start = resize(outcome.pixels, objective.content.shape[:2])
            elif introduction is not None:
                lines = introduction(objective)
            counting = [_Counting(observer, total, outcome) for observer in observers]
            outcome = _joined(outcome, run_job(objective, start, stage, counting, lines))
            if outcome.stopped is not None:
                break
    size = fit(outcome.pixels.shape[:2], config.size)
    return (
        outcome if outcome.pixels.shape[:2] == size else replace(outcome, pixels=resize(outcome.pixels, size))
    )


def _joined(before: Outcome | None, after: Outcome) -> Outcome:
    """Return the outcome of a scale with the history of those before it."""
    if before is None:
        return after
    counts = {"iteration": before.iterations, "evaluation": len(before.history)}
    history = [
        record | {name: record[name] + count for name, count in counts.items()} for record in after.history
    ]
    return replace(
        after,
        iterations=before.iterations + after.iterations,
        history=before.history + history,
        seconds=before.seconds + after.seconds,
    )


class _Counting(Observer):
    """Hands on what happens at one scale as a part of the whole run, of which there is an outcome so far.

    It does not close the observer: the run goes on.
    """

    def __init__(self, observer: Observer, total: int, before: Outcome | None) -> None:
        self.observer, self.total, self.first = observer, total, before is None
        self.iterations, self.evaluations = (
            (0, 0) if before is None else (before.iterations, len(before.history))
        )

    def start(self, event: Start) -> None:
        """Once, with the iterations of all scales."""
        if self.first:
            self.observer.start(replace(event, iterations=self.total))

    def evaluation(self, event: Evaluation) -> None:
        """Count on."""
        evaluation, iteration = event.evaluation + self.evaluations, event.iteration + self.iterations
        self.observer.evaluation(replace(event, evaluation=evaluation, iteration=iteration))

    def iteration(self, event: Iteration) -> None:
        """Count on."""
        self.observer.iteration(replace(event, number=event.number + self.iterations))
