"""One run, from its configuration to the picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nst_manual.backend import thread_limit
from nst_manual.config import RunConfig
from nst_manual.errors import DivergedError, NstError, not_finite
from nst_manual.images import START_KINDS, read_image, start_image, to_network, to_pil, to_uint8
from nst_manual.images.colour_control import keep_colours
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
        The optimiser's image, RGB, with the photograph's colours where `keep_colours` is set; values outside
        0..255 occur without bounds.
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

    @property
    def image(self) -> Any:
        """The picture as a PIL image, 8 bits a channel."""
        return to_pil(self.pixels)


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
    start = start_image(
        kind, objective.content, config.seed, config.chosen("noise_std"), picture, objective.mean_colour
    )
    return objective, start


def run_job(
    objective: Objective,
    start: np.ndarray,
    config: RunConfig,
    observers: Sequence[Observer] = (),
    lines: Sequence[str] = (),
) -> Outcome:
    """Optimise the image from `start` and return where it came.

    A signal, a loss that is not finite or a file that cannot be written ends the run, not the program: the
    outcome then holds the last good image, and why in `stopped`.
    """
    # before the threads are limited: with SciPy comes a BLAS library of its own
    optimizer = make_optimizer(config)
    with ExitStack() as stack:
        stack.enter_context(thread_limit(config.threads))
        request = stack.enter_context(stop_request())
        for observer in observers:
            stack.callback(observer.close)
        return _Run(objective, start, config, observers, request).go(optimizer, lines)


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

    def go(self, optimizer: Optimizer, lines: Sequence[str]) -> Outcome:
        """Run the optimiser."""
        began = time.perf_counter()
        for observer in self.observers:
            observer.start(Start(self.config.iterations, self.good, tuple(lines)))
        x = to_network(self.good, self.config.dtype)
        message, stopped = "", None
        config = self.config
        stop = NoProgress(config.tolerance, config.patience) if config.tolerance else never
        try:
            result: Result = optimizer.minimize(
                self.evaluate, x, self.config.iterations, self.after_iteration, stop
            )
            message, self.good = result.message, result.x[0]
        except DivergedError as error:
            where = f"diverged at iteration {self.iterations + 1}, {error.what}"
            stopped = DivergedError(where, error.cause, error.hint)
            self.good = self.lowest[1]
        except NstError as error:  # a signal, or a file that an observer could not write
            stopped = error
        loss, losses = self._measure(self.good)
        self.good = self.finished(self.good)
        saved_loss, _ = self._measure(to_uint8(self.good))
        seconds = time.perf_counter() - began
        return Outcome(
            self.good, loss, losses, saved_loss, self.iterations, self.history, seconds, message, stopped
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
        """Return the picture (H, W, 3) as it is saved: with the photograph's colours if so asked."""
        space = self.config.keep_colours
        return pixels if space is None else keep_colours(pixels, self.objective.content, space)

    def _measure(self, pixels: np.ndarray) -> tuple[float, dict[str, float]]:
        """Return loss and losses of a picture, without the observers; NaN where they are not finite."""
        try:
            loss = self.objective.measure(to_network(pixels, self.config.dtype))
        except DivergedError:
            return float("nan"), {}
        return loss, self.objective.losses
