"""A check, its outcome, and how answers are compared."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_manual.backend import to_host


@dataclass(frozen=True)
class Check:
    """Something that a GPU has to compute as NumPy does.

    Attributes
    ----------
    group : str
        "products", "convolutions", "fused", "kernels", "modules", "losses", "networks", ...
    name : str
    measure : callable
        () -> (error, bound).
    """

    group: str
    name: str
    measure: Callable[[], tuple[float, float]]

    @property
    def title(self) -> str:
        """Group and name."""
        return f"{self.group}: {self.name}"

    def run(self) -> tuple[float, float]:
        """Return the error and its bound; raise what went wrong on the way."""
        return self.measure()


@dataclass(frozen=True)
class Outcome:
    """What came of a check: error and bound, or the words of what was raised; and the seconds it took."""

    group: str
    name: str
    error: float | None
    bound: float | None
    raised: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the bound; NaN is not."""
        return self.error is not None and self.error <= self.bound

    def record(self) -> dict[str, Any]:
        """Return what a JSON file has of it, which knows no NaN."""
        finite = self.error is not None and math.isfinite(self.error)
        error = self.error if finite or self.error is None else str(self.error)
        return {
            "group": self.group,
            "name": self.name,
            "passed": self.passed,
            "error": error,
            "bound": self.bound,
            "raised": self.raised,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        found = self.raised or f"error {self.error:.2e}, bound {self.bound:.2e}"
        return f"{'passed' if self.passed else 'FAILED'}  {self.group}: {self.name}: {found}"


def judge(check: Check) -> Outcome:
    """Return the outcome of a check, whatever it raises."""
    began, error, bound, raised = time.perf_counter(), None, None, ""
    try:
        error, bound = check.run()
    except Exception as problem:  # the next checks are to be heard too
        raised = f"{type(problem).__name__}: {' '.join(str(problem).split())[:500]}"
    return Outcome(check.group, check.name, error, bound, raised, time.perf_counter() - began)


def difference(got: Any, expected: Any) -> float:
    """Return ||got - expected|| / ||expected||, infinity for another shape; either may live on the GPU."""
    got, expected = (np.asarray(to_host(array), np.float64) for array in (got, expected))
    if got.shape != expected.shape:
        return math.inf
    return float(np.linalg.norm(np.ravel(got - expected)) / (np.linalg.norm(np.ravel(expected)) or 1.0))


def generator(*words: Any) -> np.random.Generator:
    """Return a random generator that belongs to those words."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, words)).encode()))
