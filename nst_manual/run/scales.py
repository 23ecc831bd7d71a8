"""Coarse to fine: a run at a small size, and at larger ones from what came of it.

Large structures are painted while the picture is small, where a layer sees more of it and an iteration costs
less; the full size adds the detail (L. Gatys et al., "Controlling perceptual factors in neural style
transfer", CVPR 2017, section 6). The optimiser begins anew at each size, or takes what it remembers along,
enlarged (`--scale-state`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nst_manual.config import LARGEST_SIZE, RunConfig
from nst_manual.errors import UsageError
from nst_manual.images import read_image, resize
from nst_manual.objective import Objective
from nst_manual.run.checkpoint import Checkpoint
from nst_manual.run.events import Evaluation, Iteration, Observer, Start
from nst_manual.run.job import Outcome, Part, prepare, run_job
from nst_manual.run.keeper import Keeper
from nst_manual.run.signals import StopRequest, stop_request
from nst_manual.threads import thread_limit

LEAST_SIZE = 64  # pixels of the longer side: below, the deep layers have nothing left to see
MOST_SCALES = 16
# Iterations at a scale that is neither the first nor the last, as a share of theirs. For the same work in all
# (75 iterations at 256 pixels), scales of 128, 181 and 256 with 60, 5 and 57 iterations end lower than with
# 40, 10 and 60, and those lower than with 27, 27 and 54; see tools/compare_scales.py.
BETWEEN = 0.1


def sizes(size: int, scales: int, factor: float = math.sqrt(2)) -> list[int]:
    """Return the sizes of a run in so many scales, in pixels, each `factor` times the one before."""
    found = {round(size / factor**k) for k in range(scales)}
    return sorted(side for side in found if side == size or side >= LEAST_SIZE)


def enough_scales(size: int, coarsest: int, factor: float = math.sqrt(2)) -> int:
    """Return how many scales it takes until the first has at most `coarsest` pixels."""
    wanted = math.log(max(1.0, size / coarsest)) / math.log(factor)
    return min(MOST_SCALES, 1 + math.ceil(wanted - 1e-9))


def configurations(config: RunConfig) -> list[RunConfig]:
    """Return the configuration of each scale, the coarsest first; paintings shrink with the picture.

    Raises
    ------
    UsageError
        `--scale-iterations` has more or fewer numbers than there are scales.
    """
    count = config.scales or enough_scales(config.size, config.settings.coarsest, config.scale_factor)
    sides = sizes(config.size, count, config.scale_factor)
    found = []
    for side, iterations in zip(sides, _iterations(config, len(sides)), strict=True):
        style_size = config.style_size and max(8, round(config.style_size * side / config.size))
        found.append(replace(config, size=side, style_size=style_size, iterations=iterations, scales=1))
    return found


def _iterations(config: RunConfig, scales: int) -> list[int]:
    """Return the iterations of each scale: as given, or as the preset has them.

    Else as many at the first scale, where they are cheap and large structures are found, as at the last, and
    few between (`BETWEEN`).
    """
    if (given := config.scale_iterations) is not None:
        if len(given) != scales:
            cause = f"expected a number for each of {scales} scales, got {len(given)}"
            raise UsageError("--scale-iterations", cause, "see --scales")
        return list(given)
    preset = config.settings.scale_iterations
    if config.iterations is not None or not preset:
        last = config.chosen("iterations")
        return ([last] + [math.ceil(last * BETWEEN)] * (scales - 2) + [last])[-scales:]
    return [preset[min(k, len(preset) - 1)] for k in range(scales)]


def settled(content: Any, config: RunConfig) -> RunConfig:
    """Return the configuration with the size in pixels where the photograph decides it.

    Raises
    ------
    NstError
        As `read_image`; the photograph is larger than `--size` may be.
    """
    if config.size_rule != "original":
        return config
    side = max(read_image(content, "content").shape[:2])
    if side > LARGEST_SIZE:
        raise UsageError("--size-rule", f"the photograph has {side} pixels, expected at most {LARGEST_SIZE}")
    return replace(config, size=side, size_rule="longer")


@dataclass(frozen=True)
class Course:
    """How a run goes apart from what it makes: where it begins, ends and is kept.

    Attributes
    ----------
    prepared : list of (Objective, start image)
        What `prepare` has made for the scale at which it begins, if it has; taken out of the list, so that
        its memory is free when its scale is done.
    request : StopRequest, optional
        For signals; without, the run has its own.
    keeper : Keeper, optional
        Writes checkpoints.
    checkpoint : Checkpoint, optional
        Where it goes on.
    until : (int, int), optional
        The scale, from 0, and its iterations, after which it is stopped as if by a signal.
    enlarged : bool
        Whether the picture of a run that was stopped at a coarse scale is enlarged.
    """

    prepared: list[tuple[Objective, Any]] = field(default_factory=list)
    request: StopRequest | None = None
    keeper: Keeper | None = None
    checkpoint: Checkpoint | None = None
    until: tuple[int, int] | None = None
    enlarged: bool = True


def paint(
    content: Any,
    styles: Any,
    config: RunConfig,
    observers: Sequence[Observer] = (),
    introduction: Callable[[Objective], Sequence[str]] | None = None,
    course: Course | None = None,
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
    course : Course, optional

    Returns
    -------
    Outcome
        Of the last scale; iterations, history and seconds of all. A run that has been stopped at a coarse
        scale has the picture of that scale, enlarged, and the losses that it had there.
    """
    course = course or Course()
    config = settled(content, config)
    stages = configurations(config)
    total = sum(stage.iterations for stage in stages)
    first, outcome = 0, None
    if course.checkpoint is not None:
        first, outcome = course.checkpoint.scale, _before(course.checkpoint)
    with ExitStack() as stack:
        stack.enter_context(thread_limit(config.threads))
        for observer in observers:
            stack.callback(observer.close)
        request = course.request or stack.enter_context(stop_request())
        for index, stage in enumerate(stages[first:], start=first):
            begins = index == first
            ready = begins and course.prepared
            objective, start = course.prepared.pop() if ready else prepare(content, styles, stage)
            if not begins:
                start = resize(outcome.moved, objective.content.shape[:2])
            done = outcome or _before(None)
            part = Part(
                before=done.iterations,
                total=total,
                memory=done.memory,
                snapshot=course.checkpoint.snapshot if begins and course.checkpoint else None,
                keeper=course.keeper,
                until=course.until[1] if course.until and course.until[0] == index else None,
                request=request,
            )
            if course.keeper is not None:
                course.keeper.begin(index, done.iterations, done.seconds, done.history)
            lines = introduction(objective) if begins and introduction is not None else ()
            counting = [_Counting(observer, index, total, done, begins) for observer in observers]
            after = run_job(objective, start, stage, counting, lines, part)
            outcome = replace(_joined(done, after), place=(index, after.iterations))
            size, shape = objective.config.size, objective.content.shape[:2]
            del objective, start, counting  # before the next one is made: there is room for one
            if outcome.stopped is not None:
                break
    outcome = replace(outcome, memory=None)  # as large as many pictures, and of no use any more
    if outcome.stopped is None or size == config.size or not course.enlarged:
        return outcome
    whole = tuple(round(side * config.size / size) for side in shape)
    return replace(outcome, pixels=resize(outcome.pixels, whole))


def _before(checkpoint: Checkpoint | None) -> Outcome:
    """Return what is known of the scales before that of a checkpoint."""
    before = {"iterations": 0, "history": [], "seconds": 0.0} if checkpoint is None else checkpoint.before
    return Outcome(np.zeros((0, 0, 3)), math.nan, {}, math.nan, **before)


def _joined(before: Outcome, after: Outcome) -> Outcome:
    """Return the outcome of a scale with the history of those before it."""
    return replace(
        after,
        iterations=before.iterations + after.iterations,
        history=joined_history(before.iterations, before.history, after.history),
        seconds=before.seconds + after.seconds,
    )


def joined_history(iterations: int, before: list[dict], after: list[dict]) -> list[dict]:
    """Return the records of the scales before one, in so many iterations, and its own, numbered on."""
    counts = {"iteration": iterations, "evaluation": len(before)}
    return before + [
        record | {name: record[name] + count for name, count in counts.items()} for record in after
    ]


class _Counting(Observer):
    """Hands on what happens at one scale as a part of the whole run, of which there is an outcome so far.

    It does not close the observer: the run goes on.
    """

    def __init__(self, observer: Observer, scale: int, total: int, before: Outcome, begins: bool) -> None:
        self.observer, self.scale, self.total, self.begins = observer, scale, total, begins
        self.iterations, self.evaluations = before.iterations, len(before.history)

    def start(self, event: Start) -> None:
        """Once, with the iterations of all scales."""
        if self.begins:
            self.observer.start(replace(event, iterations=self.total, done=event.done + self.iterations))

    def evaluation(self, event: Evaluation) -> None:
        """Count on."""
        evaluation, iteration = event.evaluation + self.evaluations, event.iteration + self.iterations
        self.observer.evaluation(replace(event, evaluation=evaluation, iteration=iteration))

    def iteration(self, event: Iteration) -> None:
        """Count on."""
        place = self.scale, event.number
        self.observer.iteration(replace(event, number=event.number + self.iterations, place=place))
