"""What a worker measures: our objective, PyTorch's, and processes that have only started.

Each has `evaluate()`, one evaluation of loss and gradient, and `run(iterations)`, a whole run; both return
what goes into the answer to the parent. `peak_mb()` is the memory that it has needed so far: of the process,
or of the GPU for arrays.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from nst_manual.backend import gpu_bytes_taken, wait_for_gpu
from nst_manual.bench.settings import GPU_EVALUATIONS
from nst_manual.config import RunConfig, run_config
from nst_manual.machine import MEBIBYTE, peak_memory
from nst_manual.threads import thread_limit

Job = dict[str, Any]


class Subject:
    """What all subjects share."""

    config: RunConfig

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.config.device == "cuda"

    def evaluate(self) -> dict:
        """Return seconds and loss of one evaluation; on a GPU the average seconds of several in a row."""
        times = GPU_EVALUATIONS if self.on_gpu else 1
        self.wait()
        began = time.perf_counter()
        for _ in range(times):
            loss = self.loss()
        self.wait()
        return {"seconds": (time.perf_counter() - began) / times, "loss": loss}

    def loss(self) -> float:
        """Evaluate loss and gradient once; return the loss."""
        raise NotImplementedError

    def wait(self) -> None:
        """Wait until all work is done that was given to a GPU."""

    def peak_mb(self) -> float | None:
        """Return the peak resident memory of this process, MiB."""
        return peak_memory()


class Idle(Subject):
    """An interpreter with NumPy, or with PyTorch: the memory that a process needs before it does anything."""

    def __init__(self, job: Job) -> None:
        if job["variant"]:
            from nst_manual.check.torch_network import import_torch

            import_torch()

    def about(self) -> dict:
        """Return nothing: nothing was built."""
        return {}


class Ours(Subject):
    """`nst_manual.Objective`."""

    def __init__(self, job: Job) -> None:
        from nst_manual.objective import Objective

        self.config, content, style = _job(job)
        self.objective = Objective(content, [style], config=self.config)
        self.image = self.objective.place(_image(self.objective.content, self.config))

    def about(self) -> dict:
        """Return which weights and which algorithm each convolution has, and where it computes."""
        found = self.objective
        about = {"note": found.note, "algorithm": found.algorithms, "size": found.shape[1:3]}
        return about | {"device_note": found.device_note}

    def evaluate(self) -> dict:
        """Return seconds and loss of one evaluation, or the average of several."""
        with thread_limit(self.config.threads):
            return super().evaluate()

    def loss(self) -> float:
        """Evaluate once. On a GPU image and gradient stay there."""
        return self.objective(self.image)[0]

    def wait(self) -> None:
        """Wait for the GPU."""
        if self.on_gpu:
            wait_for_gpu()

    def peak_mb(self) -> float | None:
        """Return what this process has needed; on a GPU what it holds there for arrays, which it keeps."""
        return gpu_bytes_taken() / MEBIBYTE if self.on_gpu else super().peak_mb()

    def run(self, iterations: int) -> dict:
        """Return seconds, evaluations and final loss of a whole run."""
        from nst_manual.bench.runs import our_run

        return our_run(self.objective, self.config, iterations)


class Torch(Subject):
    """`nst_manual.check.torch_objective.TorchObjective`."""

    def __init__(self, job: Job) -> None:
        from nst_manual.check.torch_network import import_torch
        from nst_manual.check.torch_objective import TorchObjective

        self.config, content, style = _job(job)
        self.torch = import_torch()
        self.torch.set_num_threads(self.config.threads)
        self.objective = TorchObjective(content, [style], variant=job["variant"], config=self.config)
        # a tensor from the start, as a program in PyTorch would have it: no conversion is charged to it
        self.image = self.objective.tensor(_image(self.objective.content, self.config))

    def about(self) -> dict:
        """Return which weights were taken."""
        return {"note": self.objective.network.note, "size": self.objective.shape[1:3]}

    def loss(self) -> float:
        """Evaluate once."""
        return self.objective.evaluate(self.image)[0].item()

    def wait(self) -> None:
        """Wait for the GPU."""
        if self.on_gpu:
            self.torch.cuda.synchronize()

    def peak_mb(self) -> float | None:
        """Return what this process has needed; on a GPU what its allocator has held there at most."""
        return self.torch.cuda.max_memory_reserved() / MEBIBYTE if self.on_gpu else super().peak_mb()

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
