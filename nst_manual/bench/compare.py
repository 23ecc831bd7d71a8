"""The comparison: one process a subject, asked in turn, medians."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from nst_manual.bench.process import Worker
from nst_manual.bench.settings import DEFAULT_VARIANT, Settings
from nst_manual.errors import NstError
from nst_manual.machine import cpu_model, versions

# Between two turns, in seconds. When a parallel part is over, OpenMP's threads spin for a while, waiting for
# the next; whoever has its turn then would share the processors with those of the one before.
PAUSE = 0.2


@dataclass
class Measured:
    """A subject's worker and its answers."""

    worker: Worker
    answers: list[dict] = field(default_factory=list)

    def turn(self, settings: Settings) -> None:
        """Ask for one more evaluation or run."""
        do = "run" if settings.iterations else "evaluate"
        message = {"do": do, "iterations": settings.iterations}
        self.answers.append(self.worker.ask(message))
        time.sleep(PAUSE)

    @property
    def loss(self) -> float:
        """The loss of the last turn: of the image evaluated, or at the end of the run."""
        return self.answers[-1]["loss"]

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(self.all_seconds)

    @property
    def all_seconds(self) -> list[float]:
        """Of each turn."""
        return [answer["seconds"] for answer in self.answers]

    def report(self) -> dict[str, Any]:
        """Return what the JSON has of a subject."""
        # of the run that took the median: its numbers belong together
        chosen = sorted(self.answers, key=lambda answer: answer["seconds"])[(len(self.answers) - 1) // 2]
        return chosen | {
            "seconds": self.seconds,
            "peak_mb": self.worker.peak_mb,
            "all_seconds": self.all_seconds,
            "least_seconds": min(self.all_seconds),
            "loss": self.loss,
        }


def compare(settings: Settings) -> dict[str, Any]:
    """Return the report: `network`, `size`, `ours`, and with variants `torch`, `ratio` and `variants`.

    Seconds are medians, memory is the peak resident memory of a process in MiB, or on a GPU what it has taken
    there for arrays; ratios are PyTorch's number divided by ours. Where other programs want the processors
    too, the medians say more of them than of the subjects; `least_seconds`, `ratio_of_least` then say more.
    `loss_difference` is relative to our loss; of whole runs, it is that of their first evaluations.
    """
    with ExitStack() as stack:

        def start(name: str, *job: str | None) -> Measured:
            return Measured(stack.enter_context(Worker(name, settings.job(*job))))

        # before anything else, and gone before anything is timed
        idle = {"ours": _idle(settings, None)}
        if settings.variants:
            idle["torch"] = _idle(settings, DEFAULT_VARIANT)
        ours = start("ours", "ours")
        theirs: dict[str, Measured] = {}
        failures: dict[str, NstError] = {}
        for variant in settings.all_variants:
            try:
                theirs[variant] = start(f"torch {variant}", "torch", variant)
            except NstError as error:
                if not settings.optional or variant == DEFAULT_VARIANT:
                    raise
                failures[variant] = error
        time.sleep(PAUSE)
        for _ in range(settings.repeat):
            for subject in (ours, *theirs.values()):
                subject.turn(settings)
        return _report(settings, idle, ours, theirs, failures)


def _idle(settings: Settings, variant: str | None) -> float | None:
    """Return the memory of a process that has only started; on a GPU it has none for arrays."""
    if settings.config.device == "cuda":
        return 0.0
    with Worker("idle", settings.job("idle", variant)) as worker:
        return worker.peak_mb


def _report(
    settings: Settings,
    idle: dict[str, float | None],
    ours: Measured,
    theirs: dict[str, Measured],
    failures: dict[str, NstError],
) -> dict[str, Any]:
    about = ours.worker.about
    report = {
        "network": settings.config.network,
        "size": list(about["size"]),
        "ours": ours.report() | {"idle_mb": idle["ours"]},
        "weights": about["note"],
        "preset": settings.config.preset,
        "algorithm": about["algorithm"],
        "threads": settings.threads,
        "dtype": settings.config.dtype,
        "repeat": settings.repeat,
        "end_to_end": settings.iterations is not None,
        "versions": versions("numpy", *(["torch"] if theirs else [])),
        "cpu": cpu_model(),
        "device": settings.config.device,
        "device_name": about["device_note"] if settings.config.device == "cuda" else cpu_model(),
        "tf32": settings.config.tf32,
    }
    if not theirs:
        return report
    variants = {name: _against(ours, measured) for name, measured in theirs.items()}
    default = variants[DEFAULT_VARIANT]
    shared = ("ratio", "ratio_of_least", "ratio_per_evaluation", "loss_difference")
    return report | {
        "torch": {key: value for key, value in default.items() if key not in shared}
        | {"idle_mb": idle["torch"]},
        **{key: default[key] for key in shared if key in default},
        "best": min(variants, key=lambda name: variants[name]["seconds"]),
        "variants": variants | {name: {"error": str(error)} for name, error in failures.items()},
    }


def _against(ours: Measured, other: Measured) -> dict[str, Any]:
    """Return a variant's report, with its ratios to ours."""
    report, reference = other.report(), ours.report()
    report["ratio"] = report["seconds"] / reference["seconds"]
    report["ratio_of_least"] = report["least_seconds"] / reference["least_seconds"]
    if "evaluations" in report:
        key = "seconds_per_evaluation"
        report["ratio_per_evaluation"] = report[key] / reference[key]
    # two runs end at different places; what they begin with is comparable
    loss = "first_loss" if "first_loss" in report else "loss"
    report["loss_difference"] = abs(report[loss] - reference[loss]) / abs(reference[loss])
    return report
