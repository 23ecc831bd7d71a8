"""The objective on a GPU: errors of the image gradient beside PyTorch's, a profile, an iteration."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np

from nst_manual.backend import to_host, wait_for_gpu
from nst_manual.bench.gpu_profile import counted_fetches, profile
from nst_manual.bench.gpu_rates import seconds_of
from nst_manual.bench.subjects import Ours, Torch
from nst_manual.check import relative_error
from nst_manual.config import RunConfig
from nst_manual.run.events import Observer
from nst_manual.threads import available_cpus

Size = tuple[int, int]


def subject(kind: type, config: RunConfig, size: Size) -> Any:
    """Return a subject of `bench` in this process."""
    options = {name: getattr(config, name) for name in config.__dataclass_fields__}
    options["threads"] = config.threads or available_cpus()
    return kind({"kind": "", "variant": "nchw", "size": size, "options": options, "warm_up": False})


def gradient_errors(config: RunConfig, size: Size, torch: bool, images: int = 3) -> dict[str, Any]:
    """Return the errors of the image gradient against float64, root mean squares over several noisy images.

    Float64 is our own network's, by shifted products, and PyTorch's: both are asked, and their difference is
    told too.
    """
    exact_ours = replace(config, dtype="float64", algorithm="cuda-shifted", tf32=False)
    exact = {"ours": _gradients(Ours, exact_ours, size, images)}
    kinds = {"ours": Ours} | ({"torch": Torch} if torch else {})
    if torch:
        exact["torch"] = _gradients(Torch, replace(config, dtype="float64", tf32=False), size, images)
    found: dict[str, Any] = {"images": images}
    for tf32 in (False, True):
        part = found["tf32" if tf32 else "float32"] = {}
        for name, kind in kinds.items():
            got = _gradients(kind, replace(config, tf32=tf32), size, images)
            part[name] = {f"against {which}": _rms(got, expected) for which, expected in exact.items()}
        if torch:
            part["ratio"] = part["ours"]["against torch"] / part["torch"]["against torch"]
    if torch:
        found["float64"] = {"ours against torch": _rms(exact["ours"], exact["torch"])}
    return found


def _rms(got: list[np.ndarray], expected: list[np.ndarray]) -> float:
    squares = [relative_error(a.astype(float), b) ** 2 for a, b in zip(got, expected, strict=True)]
    return math.sqrt(sum(squares) / len(squares))


def _gradients(kind: type, config: RunConfig, size: Size, images: int) -> list[np.ndarray]:
    """Return the gradients at the photograph with noise of several seeds, the same for every kind."""
    found = subject(kind, config, size)
    noise = np.random.default_rng(0)
    gradients = []
    for _ in range(images):
        x = found.objective.content + noise.normal(0, 10, (1, *found.objective.content.shape))
        x = x.astype(np.float32).astype(config.dtype)  # exactly the same in either precision
        gradients.append(to_host(found.objective(x)[1]))
    return gradients


def evaluation_profile(config: RunConfig, size: Size, repeat: int = 5) -> dict[str, Any]:
    """Return the seconds of an evaluation, by group of launches, and the multiplications of its products."""
    found = subject(Ours, config, size)
    for _ in range(2):
        found.loss()
    seconds = seconds_of(found.loss, repeat)
    with profile() as launched:
        wait_for_gpu()
        found.loss()
        wait_for_gpu()
    groups = launched.seconds(seconds)
    return {
        "seconds": seconds,
        "groups": groups,
        "launches": launched.launches(),
        "multiplications": launched.multiplications,
        "rate": launched.multiplications / seconds,
        "algorithms": found.objective.algorithms,
    }


class _Counter(Observer):
    """Remembers how many fetches there were at the end of the last iteration."""

    def __init__(self, fetches: list[int]) -> None:
        self.fetches, self.seen = fetches, 0

    def iteration(self, event: Any) -> None:
        """Count."""
        self.seen = len(self.fetches)


def iterations(config: RunConfig, size: Size, count: int = 10) -> dict[str, Any]:
    """Return optimiser -> seconds an iteration, evaluations, and how often the GPU was waited for.

    The first iterations, which allocate, count too: `median_seconds` of an evaluation says how little.
    `fetches` are those up to the end of the last iteration.
    """
    from nst_manual.run.job import run_job

    found = {}
    for optimizer in ("lbfgs", "adam"):
        run = replace(config, optimizer=optimizer, iterations=count, tolerance=0.0)
        ours = subject(Ours, run, size)
        start = ours.objective.content
        with counted_fetches() as fetches:
            counter = _Counter(fetches)
            began = time.perf_counter()
            outcome = run_job(ours.objective, start, ours.config, [counter])
            seconds = time.perf_counter() - began
        if outcome.stopped is not None:
            raise outcome.stopped
        done, evaluations = outcome.iterations, len(outcome.history)
        found[optimizer] = {
            "iterations": done,
            "evaluations": evaluations,
            "seconds": seconds / max(1, done),
            "seconds_of_evaluations": sum(record["seconds"] for record in outcome.history) / max(1, done),
            "median_seconds": statistics.median(record["seconds"] for record in outcome.history),
            "fetches": counter.seen / max(1, done),
            "fetches_an_evaluation": counter.seen / max(1, evaluations),
        }
    return found
