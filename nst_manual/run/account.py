"""What a run has seen of itself, for the manifest of its pictures."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from nst_manual.atomic import write_atomic
from nst_manual.images import save_image, to_uint8
from nst_manual.run.events import Evaluation, Iteration, Observer
from nst_manual.run.job import Outcome
from nst_manual.run.manifest import KEY, about_pixels, beside


class Account(Observer):
    """Writes pictures, each with its manifest; beside the last one it is a file too, unless that is PNG.

    Parameters
    ----------
    base : dict or None
        What is known before the run; None for pictures that say nothing.
    seconds : float
        That the run has taken already, where it goes on.
    """

    def __init__(self, base: dict[str, Any] | None, seconds: float = 0.0) -> None:
        self.base = base
        self.last: Evaluation | None = None
        self.began = time.monotonic() - seconds

    def evaluation(self, event: Evaluation) -> None:
        """Remember the losses."""
        self.last = event

    def save(self, path: Path, outcome: Outcome) -> None:
        """Write the picture that came of the run."""
        said = {
            "loss": _number(outcome.loss),
            "losses": outcome.losses,
            "saved_loss": _number(outcome.saved_loss),
            "first_loss": outcome.history[0]["loss"] if outcome.history else _number(outcome.loss),
            "iterations": outcome.iterations,
            "evaluations": len(outcome.history),
            "seconds": round(outcome.seconds, 3),
            "place": [*outcome.place],
            "stopped": str(outcome.stopped or ""),
            "message": outcome.message,
        }
        manifest = self._write(path, outcome.pixels, said)
        there = beside(path)
        if manifest is not None and there is not None:
            write_atomic(there, (json.dumps(manifest, indent=1) + "\n").encode("utf-8"))

    def save_on_the_way(self, path: Path, event: Iteration) -> None:
        """Write the picture after an iteration; its losses are those of the last evaluation."""
        said = {
            "loss": self.last.loss if self.last else None,
            "losses": self.last.losses if self.last else {},
            "iterations": event.number,
            "seconds": round(time.monotonic() - self.began, 3),
            "place": [*event.place],
            "stopped": "on the way",
            "enlarged": False,
        }
        self._write(path, event.image, said)

    def _write(self, path: Path, pixels: np.ndarray, said: dict[str, Any]) -> dict[str, Any] | None:
        """Write a picture with its manifest, and return that."""
        if self.base is None:
            save_image(path, pixels)
            return None
        pixels = to_uint8(pixels)
        manifest = self.base | said | {"pixels": about_pixels(pixels)}
        save_image(path, pixels, {KEY: json.dumps(manifest)})
        return manifest


def _number(value: float) -> float | None:
    """Return a number as JSON holds it, which knows no NaN."""
    return value if math.isfinite(value) else None
