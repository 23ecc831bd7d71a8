"""One run, from its configuration to the picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nst_manual.backend import thread_limit
from nst_manual.config import RunConfig
from nst_manual.errors import DivergedError, NstError, not_finite
from nst_manual.images import START_KINDS, read_image, start_image, to_network, to_pil, to_uint8
from nst_manual.images.colour_control import keep_colours, keep_luminance
from nst_manual.objective import Objective
from nst_manual.optim import NoProgress, Optimizer, Result
from nst_manual.optim.base import never
from nst_manual.run.events import Evaluation, Iteration, Observer, Start
from nst_manual.run.optimizers import make_optimizer
from nst_manual.run.signals import StopRequest, stop_request


@dataclass
class Outcome:
    """What a run gives back.

    Attributes
    ----------
    pixels : array (H, W, 3)
        The picture, RGB, with the photograph's colours where `keep_colours` is set; values outside 0..255
        occur without bounds.
    loss : float
        Of the optimiser's image.
    losses : dict of str to float
        The same by name.
    saved_loss : float
        Of the picture as it is saved, rounded and clamped to 8 bits.
    iterations : int
    history : list of dict
        One record an evaluation; the log's lines.
    seconds : float
    message : str
        Why the optimiser stopped early; empty when it did not.
    stopped : NstError or None
        Why the run ended before the optimiser did: a signal, a loss that is not finite, a file on the way
        that could not be written.
    moved : array (H, W, 3)
        What the optimiser has moved: the picture before anything is laid over it and colours are given back.
    memory : dict or None
        The optimiser's state, where the configuration lets it be carried to the next scale.
    """

    pixels: np.ndarray
    loss: float
    losses: dict[str, float]
    saved_loss: float
    iterations: int
    history: list[dict] = field(repr=False)
    seconds: float
    message: str = ""
    stopped: NstError | None = None
    moved: Any = field(default=None, repr=False)
    memory: Any = field(default=None, repr=False)

    @property
    def image(self) -> Any:
        """The picture as a PIL image, 8 bits a channel."""
        return to_pil(self.pixels)


@dataclass(frozen=True)
class Part:
    """What one scale knows of the run that it is a part of.

    Attributes
    ----------
    before, total : int
        Iterations at the scales before it, and at all; 0 and 0 where there is but one.
    memory : dict, optional
        The optimiser's state at the scale before, where it is carried over.
    """

    before: int = 0
    total: int = 0
    memory: dict[str, Any] | None = None


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
    objective = Objective(content, styles, config=config)
    # over a drawing, white shows the drawing as it is
    shown = np.full_like(objective.content, 255) if config.sketch else objective.content
    noise_std = config.chosen("noise_std")
    start = start_image(kind, shown, config.seed, noise_std, picture, objective.mean_colour)
    return objective, start


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
    optimizer = make_optimizer(config, 0 if part.memory else part.before, part.total)
    with ExitStack() as stack:
        stack.enter_context(thread_limit(config.threads))
        request = stack.enter_context(stop_request())
        for observer in observers:
            stack.callback(observer.close)
        return _Run(objective, start, config, observers, request).go(optimizer, lines, part.memory)


class _Run:
    """The state of one run: what the optimiser's calls leave behind."""

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        config: RunConfig,
        observers: Sequence[Observer],
        request: StopRequest,
    ) -> None:
        self.objective, self.config, self.observers, self.request = objective, config, observers, request
        self.good = start  # what a stopped run saves: the picture (H, W, 3) of the last iteration
        self.lowest = (np.inf, start)  # what a diverged one saves: the lowest loss seen, and its picture
        self.history: list[dict] = []
        self.iterations = 0

    def go(self, optimizer: Optimizer, lines: Sequence[str], memory: dict[str, Any] | None) -> Outcome:
        """Run the optimiser."""
        began = time.perf_counter()
        config, iterations = self.config, self.config.chosen("iterations")
        for observer in self.observers:
            observer.start(Start(iterations, self.finished(self.good), tuple(lines)))
        x = to_network(self.good, config.dtype)
        if memory is not None:
            optimizer.carry_over(memory)
        message, stopped = "", None
        stop = NoProgress(config.tolerance, config.patience) if config.tolerance else never
        try:
            result: Result = optimizer.minimize(self.evaluate, x, iterations, self.after_iteration, stop)
            message, self.good = result.message, result.x[0]
        except DivergedError as error:
            where = f"diverged at iteration {self.iterations + 1}, {error.what}"
            stopped = DivergedError(where, error.cause, error.hint)
            self.good = self.lowest[1]
        except NstError as error:  # a signal, or a file that an observer could not write
            stopped = error
        loss, losses = self._measure(self.objective.measure, self.good)
        picture = self.finished(self.good)
        saved_loss, _ = self._measure(self.objective.measure_picture, to_uint8(picture))
        return Outcome(
            picture,
            loss,
            losses,
            saved_loss,
            self.iterations,
            self.history,
            seconds=time.perf_counter() - began,
            message=message,
            stopped=stopped,
            moved=self.good,
            memory=optimizer.state() if config.carries and self.iterations else None,
        )

    def evaluate(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return loss and gradient for the optimiser, and tell the observers."""
        self.request.check()
        began = time.perf_counter()
        loss, gradient = self.objective(x)
        norm = float(np.linalg.norm(gradient.astype(np.float64)))
        if not np.isfinite(norm):
            raise not_finite("gradient", "is not finite")
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
        return loss, gradient

    def after_iteration(self, iteration: int, x: np.ndarray) -> None:
        """Keep the picture of a finished iteration, and tell the observers."""
        self.iterations = iteration
        self.good = x[0].copy()
        for observer in self.observers:
            observer.iteration(Iteration(iteration, self.finished(self.good)))

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
        """Return loss and losses of a picture, without the observers; NaN where they are not finite."""
        try:
            loss = measure(to_network(pixels, self.config.dtype))
        except DivergedError:
            return float("nan"), {}
        return loss, self.objective.losses
