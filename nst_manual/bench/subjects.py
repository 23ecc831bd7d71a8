"""What a worker measures: our objective, PyTorch's, and processes that have only started.

Each has `evaluate()`, one evaluation of loss and gradient, and `run(iterations)`, a whole run; both return
what goes into the answer to the parent.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from nst_manual.config import RunConfig, run_config

Job = dict[str, Any]


class Idle:
    """An interpreter with NumPy, or with PyTorch: the memory that a process needs before it does anything."""

    def __init__(self, job: Job) -> None:
        if job["variant"]:
            from nst_manual.check.torch_network import import_torch

            import_torch()

    def about(self) -> dict:
        """Return nothing: nothing was built."""
        return {}


class Ours:
    """`nst_manual.Objective`."""

    def __init__(self, job: Job) -> None:
        from nst_manual.objective import Objective

        self.config, content, style = _job(job)
        self.objective = Objective(content, [style], config=self.config)
        self.image = _image(self.objective.content, self.config)

    def about(self) -> dict:
        """Return which weights and which algorithm each convolution has."""
        found = self.objective
        return {"note": found.note, "algorithm": found.algorithms, "size": found.shape[1:3]}

    def evaluate(self) -> dict:
        """Return seconds and loss of one evaluation."""
        from nst_manual.backend import thread_limit

        with thread_limit(self.config.threads):
            began = time.perf_counter()
            loss, _ = self.objective(self.image)
            return {"seconds": time.perf_counter() - began, "loss": loss}

    def run(self, iterations: int) -> dict:
        """Return seconds, evaluations and final loss of a whole run."""
        from nst_manual.bench.runs import our_run

        return our_run(self.objective, self.config, iterations)


class Torch:
    """`nst_manual.check.torch_objective.TorchObjective`."""

    def __init__(self, job: Job) -> None:
        from nst_manual.check.torch_network import import_torch
        from nst_manual.check.torch_objective import TorchObjective

        self.config, content, style = _job(job)
        import_torch().set_num_threads(self.config.threads)
        self.objective = TorchObjective(content, [style], variant=job["variant"], config=self.config)
        # a tensor from the start, as a program in PyTorch would have it: no conversion is charged to it
        self.image = self.objective.tensor(_image(self.objective.content, self.config))

    def about(self) -> dict:
        """Return which weights were taken."""
        return {"note": self.objective.network.note, "size": self.objective.shape[1:3]}

    def evaluate(self) -> dict:
        """Return seconds and loss of one evaluation."""
        began = time.perf_counter()
        loss, _ = self.objective.evaluate(self.image)
        loss = loss.item()
        return {"seconds": time.perf_counter() - began, "loss": loss}

    def run(self, iterations: int) -> dict:
        """Return seconds, evaluations and final loss of a whole run."""
        from nst_manual.bench.runs import torch_run

        return torch_run(self.objective, self.config, iterations)


SUBJECTS = {"idle": Idle, "ours": Ours, "torch": Torch}


def _job(job: Job) -> tuple[RunConfig, np.ndarray, np.ndarray]:
    """Return the options, and the sample photograph and painting (H, W, 3) at the size of the job."""
    height, width = job["size"]
    from nst_manual.samples import CONTENT, DEFAULT_STYLE

    pictures = (_sample(name, (height, width)) for name in (CONTENT, DEFAULT_STYLE))
    return run_config(job["options"] | {"size": max(height, width)}), *pictures


def _sample(name: str, size: tuple[int, int]) -> np.ndarray:
    """Return a sample cropped around its centre to the proportion of `size`, then scaled to it exactly.

    An array whose longer side is the objective's `size` is not scaled again there.
    """
    from nst_manual.images import read_image, resize, to_uint8
    from nst_manual.samples import sample_path

    pixels = read_image(sample_path(name), name)
    height, width = pixels.shape[:2]
    scale = min(height / size[0], width / size[1])
    h, w = min(height, max(1, round(size[0] * scale))), min(width, max(1, round(size[1] * scale)))
    top, left = (height - h) // 2, (width - w) // 2
    return to_uint8(resize(pixels[top : top + h, left : left + w], size))


def _image(content: np.ndarray, config: RunConfig) -> np.ndarray:
    """Return the image to evaluate: the photograph with noise, since without it the content loss is 0."""
    noise = np.random.default_rng(config.seed).normal(0, 10, (1, *content.shape))
    return (content + noise).astype(config.dtype)
