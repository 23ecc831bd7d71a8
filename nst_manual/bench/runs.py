"""A whole run from the preset's start, with a log: ours with our default optimiser, PyTorch's with its."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nst_manual.check.torch_network import import_torch
from nst_manual.config import RunConfig
from nst_manual.images import start_image

# of neural-style and its port to PyTorch: corrections that L-BFGS keeps
TORCH_HISTORY = 100


class Timed:
    """An objective that keeps count of its evaluations and of the seconds spent in it; else the same."""

    def __init__(self, objective: Any) -> None:
        self.objective = objective
        self.evaluations, self.seconds = 0, 0.0
        self.first_loss: float | None = None

    def __call__(self, image: Any) -> Any:
        """Return loss and gradient."""
        self.evaluations += 1
        loss, gradient = self.timed(self.objective, image)
        if self.first_loss is None:
            self.first_loss = float(loss)
        return loss, gradient

    def measured(self, image: Any, measures: Any) -> Any:
        """Return loss, gradient and measures: what a run on a GPU calls in place of the objective itself."""
        self.evaluations += 1
        loss, gradient, values = self.timed(self.objective.measured, image, measures)
        if self.first_loss is None:
            self.first_loss = float(loss)
        return loss, gradient, values

    def measure(self, image: Any) -> Any:
        """Return the loss; its time counts, the evaluation does not."""
        return self.timed(self.objective.measure, image)

    def timed(self, function: Any, *arguments: Any) -> Any:
        """Return function(*arguments), and count its seconds."""
        began = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            self.seconds += time.perf_counter() - began

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def answer(self, total: float, final_loss: float) -> dict:
        """Return what the report says of a run that took `total` seconds.

        The first loss is that of the start: it tells whether two runs minimise the same function.
        """
        return {
            "seconds": total,
            "loss": final_loss,
            "first_loss": self.first_loss,
            "evaluations": self.evaluations,
            "objective_seconds": self.seconds,
            "optimizer_share": 1 - self.seconds / total,
            "seconds_per_evaluation": total / max(1, self.evaluations),
        }


def our_run(objective: Any, config: RunConfig, iterations: int) -> dict:
    """Run `nst_manual.run.job.run_job` with the default optimiser and a log.

    The two losses measured behind the last iteration (of the picture, and of the picture rounded to bytes)
    are part of the run.
    """
    from nst_manual.run.job import run_job
    from nst_manual.run.observers import Log

    start = _start(objective.content, config, objective.mean_colour)
    timed = Timed(objective)
    config = replace(config, iterations=iterations)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_job(timed, start, config, [Log(Path(folder) / "log.jsonl")])
    if outcome.stopped is not None:
        raise outcome.stopped
    return timed.answer(outcome.seconds, outcome.loss) | {"iterations": outcome.iterations}


def torch_run(objective: Any, config: RunConfig, iterations: int) -> dict:
    """Run `torch.optim.LBFGS` as neural-style-pt does: no line search, no tolerances, a log line each.

    The loss behind the last step is measured at the end, as in our runs.
    """
    torch = import_torch()
    mean = (objective.network.shift / objective.network.factor).flatten().cpu().numpy()
    start = _start(objective.content, config, mean[::-1] if objective.network.reverse else mean)
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log.jsonl", "w") as log:
        x = objective.tensor(start[None])
        timed = Timed(objective.evaluate)
        optimizer = torch.optim.LBFGS(
            [x], max_iter=iterations, history_size=TORCH_HISTORY, tolerance_change=-1, tolerance_grad=0
        )

        def closure() -> Any:
            loss, gradient = timed(x)
            x.grad = gradient.contiguous()  # in one row of numbers: the optimiser wants it so
            record = {"loss": loss.item(), "losses": objective.losses, "gradient_norm": x.grad.norm().item()}
            log.write(json.dumps({"evaluation": timed.evaluations} | record) + "\n")
            log.flush()
            return loss

        began = time.perf_counter()
        optimizer.step(closure)
        final = timed.timed(objective.measure, x)
        total = time.perf_counter() - began
    return timed.answer(total, final) | {"iterations": optimizer.state[x]["n_iter"]}


def _start(content: np.ndarray, config: RunConfig, mean_colour: np.ndarray) -> np.ndarray:
    """Return the start (H, W, 3) that the preset names; the same one for both, by the seed."""
    noise_std = config.chosen("noise_std")
    return start_image(config.chosen("init"), content, config.seed, noise_std, None, mean_colour)
