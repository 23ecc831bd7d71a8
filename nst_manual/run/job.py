"""One run, from its configuration to the picture.

On a GPU the image stays there, with all that the optimiser and the run remember of it. An evaluation waits
once, for its numbers; pictures leave for observers that ask, for checkpoints and at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_manual.backend import array_module, in_rows, numbers, on_gpu, open_device, to_host
from nst_manual.config import RunConfig
from nst_manual.errors import DivergedError, NstError, ResourceError, not_finite
from nst_manual.images import START_KINDS, read_image, start_image, to_network, to_uint8
from nst_manual.images.colour_control import keep_colours, keep_luminance
from nst_manual.objective import Objective
from nst_manual.optim import NoProgress, Optimizer, Result
from nst_manual.optim.base import Measures
from nst_manual.optim.corrections import dot
from nst_manual.run.checkpoint import Snapshot
from nst_manual.run.events import Evaluation, Iteration, Observer, Picture, Start
from nst_manual.run.keeper import Keeper
from nst_manual.run.optimizers import make_optimizer
from nst_manual.run.outcome import Outcome
from nst_manual.run.signals import StopRequest, stop_request
from nst_manual.threads import thread_limit

# Pixel values, in absolute value: a hundred times what a picture holds. No run comes back from there.
FARTHEST = 25_500.0
# A line search that fails where the last iteration gained less than this share of the loss, or where this
# little is left of the first loss, has met the rounding of float32, and the run is at its end; elsewhere
# something is wrong.
LEAST_GAIN = 1e-5
LEAST_LOSS = 1e-6


class StoppedError(NstError):
    """The iteration has been reached after which a run was to stop."""

    exit_code = 0


@dataclass(frozen=True)
class Part:
    """What one scale knows of the run that it is a part of.

    Attributes
    ----------
    before, total : int
        Iterations at the scales before it, and at all; 0 and 0 where there is but one.
    memory : dict, optional
        The optimiser's state at the scale before, where it is carried over.
    snapshot : Snapshot, optional
        Where this scale stood when a checkpoint was written: it goes on from there.
    keeper : Keeper, optional
        Writes checkpoints.
    until : int, optional
        Iteration of this scale after which the run is stopped, as if by a signal.
    request : StopRequest, optional
        That of the whole run; without, signals are this part's to handle.
    """

    before: int = 0
    total: int = 0
    memory: dict[str, Any] | None = None
    snapshot: Snapshot | None = None
    keeper: Keeper | None = None
    until: int | None = None
    request: StopRequest | None = None


WHOLE = Part()


def prepare(content: Any, styles: Sequence[Any], config: RunConfig) -> tuple[Objective, np.ndarray]:
    """Return the objective and the start image (H, W, 3); all inputs have been read and checked then."""
    make_optimizer(config)  # its options are checked before the work
    kind = config.chosen("init")
    picture = None
    if kind == "image" or kind not in START_KINDS:
        kind, picture = "image", read_image(kind, "--init")
    elif kind == "style":
        first = styles[0] if isinstance(styles, Sequence) and not isinstance(styles, (str, bytes)) else styles
        picture = read_image(first, "style")
    try:
        objective = Objective(content, styles, config=config)
    except MemoryError as error:
        if open_device(config.device)[0] == "cpu":
            raise
        cause = "while targets were captured"
        raise ResourceError("the GPU's memory ran out", cause, _less_memory(config)) from error
    # over a drawing, white shows the drawing as it is
    shown = np.full_like(objective.content, 255) if config.sketch else objective.content
    noise_std = config.chosen("noise_std")
    start = start_image(kind, shown, config.seed, noise_std, picture, objective.mean_colour)
    return objective, start


def _less_memory(config: RunConfig, objective: Objective | None = None) -> str:
    """Return what to do where memory has run out, as a hint; of a GPU, the size that should fit."""
    if open_device(config.device)[0] == "cpu":
        return "--size and --history need less"
    from nst_manual.run.memory import fitting_on_gpu  # which needs what follows from this file

    shape = (config.size, config.size) if objective is None else objective.shape[1:3]
    return f"{fitting_on_gpu(config, shape)}; --history needs less"


def run_job(
    objective: Objective,
    start: np.ndarray,
    config: RunConfig,
    observers: Sequence[Observer] = (),
    lines: Sequence[str] = (),
    part: Part = WHOLE,
) -> Outcome:
    """Optimise the image from `start` and return where it came; it may be a part of a run in several scales.

    A signal, a loss that is not finite or a file that cannot be written ends the run, not the program: the
    outcome then holds the last good image, and why in `stopped`.
    """
    # before the threads are limited: with SciPy comes a BLAS library of its own
    optimizer = make_optimizer(config, 0 if _counts(part) else part.before, part.total)
    with ExitStack() as stack:
        stack.enter_context(thread_limit(config.threads))
        request = part.request or stack.enter_context(stop_request())
        for observer in observers:
            stack.callback(observer.close)
        return _Run(objective, start, config, observers, request, optimizer, part).go(lines)


def _counts(part: Part) -> bool:
    """Whether the optimiser, with a state that is carried over, counts through all scales by itself."""
    snapshot = part.snapshot
    if snapshot is not None and snapshot.optimizer is not None:
        return snapshot.optimizer.get("iteration", 0) > snapshot.iterations
    return part.memory is not None


class _Run:
    """The state of one run: what the optimiser's calls leave behind.

    It is the function that the optimiser sees (`optim/base.py`), and its images live where that one's do.
    """

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        config: RunConfig,
        observers: Sequence[Observer],
        request: StopRequest,
        optimizer: Optimizer,
        part: Part,
    ) -> None:
        self.objective, self.config, self.observers, self.request = objective, config, observers, request
        self.optimizer, self.part = optimizer, part
        self.began = time.perf_counter()
        self.no_progress = NoProgress(config.tolerance, config.patience) if config.tolerance else None
        self.good = start  # what a stopped run saves: the picture (H, W, 3) of the last iteration
        self.lowest = (np.inf, start)  # what a diverged one saves: the lowest loss seen, and its picture
        self.history: list[dict] = []
        self.iterations = 0
        self.message = ""
        self._whole = 0  # evaluations up to the end of the last iteration
        if part.snapshot is not None:
            self._take_back(part.snapshot)
        self._first = self.iterations

    def go(self, lines: Sequence[str]) -> Outcome:
        """Run the optimiser."""
        total = self.config.chosen("iterations")
        event = Start(total, self._picture(self.good), tuple(lines), self.iterations)
        for observer in self.observers:
            observer.start(event)
        if self.iterations or not self.part.before:  # between two scales, the end of the one before is kept
            self._keep()
        stopped = None
        try:
            if self.iterations < total and not self.message:
                self._check_until()
                self._minimize(total - self.iterations)
        except DivergedError as error:
            where = f"diverged at iteration {self.iterations + 1}, {error.what}"
            stopped = DivergedError(where, error.cause, error.hint)
            self.good = self.lowest[1]
        except NstError as error:  # a signal, or a file that an observer could not write
            stopped = error
        except MemoryError:
            self.objective.network.clear_state()  # what comes now needs some
            where = f"memory ran out in iteration {self.iterations + 1}"
            hint = _less_memory(self.config, self.objective)
            stopped = ResourceError(where, "the picture before is saved", hint)
        if not isinstance(stopped, DivergedError):  # of one that has, the last good checkpoint is kept
            self._keep()
        good = to_host(self.good)
        loss, losses = self._measure(self.objective.measure, good)
        picture = self.finished(good)
        saved_loss, _ = self._measure(self.objective.measure_picture, to_uint8(picture))
        return Outcome(
            picture,
            loss,
            losses,
            saved_loss,
            self.iterations,
            self.history,
            seconds=time.perf_counter() - self.began,
            message=self.message,
            stopped=stopped,
            moved=good,
            memory=self.optimizer.state() if self.config.carries and self.iterations else None,
        )

    def _minimize(self, iterations: int) -> None:
        """Let the optimiser take the iterations that are left."""
        x, snapshot = to_network(self.good, self.config.dtype), self.part.snapshot
        if snapshot is not None and snapshot.optimizer is not None:
            x = snapshot.optimizer["x"]  # not always the picture, which may be an average
        elif self.part.memory is not None:
            self.optimizer.carry_over(self.part.memory)
        x = getattr(self.objective, "place", lambda x: x)(x)
        # what has `measured` is asked for all numbers of an evaluation at once
        f = self if on_gpu(x) else self.evaluate
        result: Result = self.optimizer.minimize(f, x, iterations, self.after_iteration, self.stop)
        self.message, self.good = result.message, result.x[0]
        if result.failed and self._falling():
            hint = "--dtype float64 or --optimizer adam may help, or other weights of the losses"
            raise DivergedError("line search", "found no lower loss along the gradient", hint)

    def __call__(self, x: Any) -> tuple[float, Any]:
        """Return loss and gradient for the optimiser."""
        return self.evaluate(x)

    def evaluate(self, x: Any) -> tuple[float, Any]:
        """Return loss and gradient for the optimiser, and tell the observers."""
        return self.measured(x, lambda gradient: ())[:2]

    def measured(self, x: Any, measures: Measures) -> tuple[float, Any, list[float]]:
        """Do as `evaluate`; return what the optimiser wants to know of the gradient as well."""
        self.request.check()
        began = time.perf_counter()
        loss, gradient, norm, values = self._asked(x, measures)
        if not math.isfinite(norm):
            raise not_finite(f"gradient {self.objective.first_not_finite(x)}".strip(), "is not finite")
        if loss < self.lowest[0]:
            self.lowest = loss, x[0].copy()
        event = Evaluation(
            evaluation=len(self.history) + 1,
            iteration=self.iterations + 1,
            loss=loss,
            losses=self.objective.losses,
            gradient_norm=norm,
            seconds=time.perf_counter() - began,
            size=x.shape[1:3],
            algorithms={} if self.history else self.objective.algorithms,
        )
        self.history.append(event.record())
        for observer in self.observers:
            observer.evaluation(event)
        return loss, gradient, values

    def _asked(self, x: Any, measures: Measures) -> tuple[float, Any, float, list[float]]:
        """Return what the objective says at x: loss, gradient and its norm; and the measures of that."""
        if not on_gpu(x):
            _check_near(float(np.abs(x).max()))
            loss, gradient = self.objective(x)
            norm = float(np.linalg.norm(gradient.astype(np.float64)))
            return loss, gradient, norm, numbers(measures(gradient))

        # all in one transfer, so the pixels cannot be looked at before
        def all_measures(gradient: Any) -> list[Any]:
            flat = gradient.reshape(-1)
            farthest = in_rows(array_module(x).abs(x)).max(axis=1).max()
            return [farthest, dot(flat, flat), *measures(gradient)]

        loss, gradient, (farthest, square, *values) = self.objective.measured(x, all_measures)
        _check_near(farthest)
        return loss, gradient, math.sqrt(square), values

    def after_iteration(self, iteration: int, x: np.ndarray) -> None:
        """Keep the picture of a finished iteration, and tell the observers."""
        self.iterations = self._first + iteration
        self.good = x[0].copy()
        self._whole = len(self.history)
        event = Iteration(self.iterations, self._picture(self.good), (0, self.iterations))
        for observer in self.observers:
            observer.iteration(event)

    def stop(self, iteration: int, loss: float) -> str:
        """Return why to stop after an iteration, or ""; the state is whole now, and may be kept."""
        why = self.no_progress(iteration, loss) if self.no_progress else ""
        self._check_until()
        if self.part.keeper is not None and self.part.keeper.due:
            self.message = why if self.iterations < self.config.chosen("iterations") else ""
            self._keep()
        return why

    def _check_until(self) -> None:
        """Raise `StoppedError` where the run is to stop here."""
        if self.part.until is not None and self.iterations >= self.part.until:
            raise StoppedError("stopped", f"after {self.iterations} iterations, as asked for")

    def _falling(self) -> bool:
        """Whether the loss fell by more than rounding in the last iteration, or there was none."""
        if not self.iterations:
            return True
        # of each iteration the last evaluation, at the point that was taken
        ends = {record["iteration"]: record["loss"] for record in self.history[: self._whole]}
        first = self.history[0]["loss"]
        before, last = ends.get(self.iterations - 1, first), ends[self.iterations]
        return before - last > LEAST_GAIN * abs(before) and abs(last) > LEAST_LOSS * abs(first)

    def _keep(self) -> None:
        """Write a checkpoint, if there are any."""
        if self.part.keeper is not None:
            self.part.keeper.keep(self.snapshot)

    def snapshot(self) -> Snapshot:
        """Return where the scale stands after its last iteration."""
        optimizer = None
        if self.iterations and self.config.chosen("optimizer") != "lbfgs-scipy":
            state = self.optimizer.state()
            optimizer = {name: to_host(value) if on_gpu(value) else value for name, value in state.items()}
        return Snapshot(
            iterations=self.iterations,
            picture=to_host(self.good),
            lowest_loss=self.lowest[0],
            lowest=to_host(self.lowest[1]),
            history=self.history[: self._whole],
            seconds=time.perf_counter() - self.began,
            progress=self.no_progress.state() if self.no_progress else {},
            optimizer=optimizer,
            message=self.message,
        )

    def _take_back(self, snapshot: Snapshot) -> None:
        """Stand where a snapshot was taken."""
        self.began -= snapshot.seconds
        self.good, self.lowest = snapshot.picture, (snapshot.lowest_loss, snapshot.lowest)
        self.history, self.iterations = [*snapshot.history], snapshot.iterations
        self.message, self._whole = snapshot.message, len(snapshot.history)
        if snapshot.optimizer is not None:
            self.optimizer.restore(snapshot.optimizer)
        if self.no_progress and snapshot.progress:
            self.no_progress.restore(snapshot.progress)

    def _picture(self, pixels: Any) -> Picture:
        """Return the picture of those pixels for whoever asks."""
        return Picture(lambda: self.finished(to_host(pixels)))

    def finished(self, pixels: np.ndarray) -> np.ndarray:
        """Return the picture (H, W, 3) that is saved where the optimiser has those pixels."""
        picture, content = self.objective.picture(pixels), self.objective.content
        if self.config.keep_luminance is not None:
            picture = keep_luminance(picture, content, self.config.keep_luminance)
        if self.config.keep_colours is not None:
            picture = keep_colours(picture, content, self.config.keep_colours)
        return picture

    def _measure(
        self, measure: Callable[[np.ndarray], float], pixels: np.ndarray
    ) -> tuple[float, dict[str, float]]:
        """Return loss and losses of a picture, without the observers; NaN where there are none."""
        try:
            loss = measure(to_network(pixels, self.config.dtype))
        except (DivergedError, MemoryError):
            return float("nan"), {}
        return loss, self.objective.losses


def _check_near(farthest: float) -> None:
    """Raise `DivergedError` where a picture has come too far, in pixel values."""
    if not farthest <= FARTHEST:
        raise not_finite("picture", f"has pixel values of {farthest:.3g}, far outside 0..255")
