"""What a run tells its observers: plain records, no live objects of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np


class Picture:
    """A picture (H, W, 3) that is made once, when somebody asks for it: it may have to come from a GPU."""

    def __init__(self, make: Callable[[], np.ndarray]) -> None:
        self._make: Callable[[], np.ndarray] | None = make
        self._made: np.ndarray | None = None

    @property
    def pixels(self) -> np.ndarray:
        """The picture."""
        if self._make is not None:
            self._made, self._make = self._make(), None
        return self._made


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of loss and gradient; a line of the log.

    Attributes
    ----------
    evaluation : int
        From 1.
    iteration : int
        Of the optimiser, from 1: the one that asked for it.
    loss : float
    losses : dict of str to float
        By name.
    gradient_norm : float
        Euclidean norm of the gradient, in loss a pixel value.
    seconds : float
        That the evaluation took.
    size : (int, int)
        Height and width of the image.
    algorithms : dict of str to str
        Of the convolutions, by name: said once, with the first evaluation; empty in the others.
    """

    evaluation: int
    iteration: int
    loss: float
    losses: dict[str, float]
    gradient_norm: float
    seconds: float
    size: tuple[int, int]
    algorithms: dict[str, str] = field(default_factory=dict)

    def record(self) -> dict:
        """Return the evaluation as JSON takes it."""
        record = asdict(self) | {"size": list(self.size)}
        return record if self.algorithms else {k: v for k, v in record.items() if k != "algorithms"}


@dataclass(frozen=True)
class Start:
    """The run is about to begin, with this picture, or to go on after `done` iterations."""

    iterations: int
    picture: Picture = field(repr=False)
    lines: tuple[str, ...]
    done: int = 0

    @property
    def image(self) -> np.ndarray:
        """The picture (H, W, 3); to be asked for before the observer returns."""
        return self.picture.pixels


@dataclass(frozen=True)
class Iteration:
    """An iteration is done, with this picture; `place` is the scale and its iterations so far."""

    number: int
    picture: Picture = field(repr=False)
    place: tuple[int, int] = (0, 0)

    @property
    def image(self) -> np.ndarray:
        """The picture (H, W, 3); to be asked for before the observer returns."""
        return self.picture.pixels


class Observer:
    """Told what happens in a run; does nothing on its own."""

    def start(self, event: Start) -> None:
        """Before the first evaluation."""

    def evaluation(self, event: Evaluation) -> None:
        """After each evaluation."""

    def iteration(self, event: Iteration) -> None:
        """After each iteration."""

    def kept(self) -> dict[str, np.ndarray]:
        """Return the pictures that the observer needs to go on: name -> array (H, W, 3) of uint8."""
        return {}

    def take_back(self, kept: dict[str, np.ndarray]) -> None:
        """Go on with what `kept` of another process has returned, beside what other observers have."""

    def close(self) -> None:
        """When the run ends, in whatever way."""
