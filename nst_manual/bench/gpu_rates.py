"""What a GPU is, and what it can do at best: a large product, a copy."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from nst_manual.backend import array_module, gpu_memory, product, to_device, wait_for_gpu
from nst_manual.check.torch_network import import_torch
from nst_manual.errors import UsageError


def gpu_module() -> Any:
    """Return CuPy."""
    return array_module(to_device(np.zeros(1)))


def machine() -> dict[str, Any]:
    """Return what a measurement was made on."""
    from nst_manual.machine import cpu_model

    xp = gpu_module()
    runtime = xp.cuda.runtime
    free, total = gpu_memory()
    about = {
        "gpu": runtime.getDeviceProperties(xp.cuda.Device().id)["name"].decode(),
        "compute_capability": str(xp.cuda.Device().compute_capability),
        "driver": runtime.driverGetVersion(),
        "cuda": runtime.runtimeGetVersion(),
        "free_mb": free / 2**20,
        "total_mb": total / 2**20,
        "cpu": cpu_model(),
        "python": platform.python_version(),
        "cupy": xp.__version__,
        "numpy": np.__version__,
    }
    try:
        torch = import_torch()
        about["torch"], about["torch_cuda"] = torch.__version__, torch.version.cuda
        about["cudnn"] = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    except UsageError:
        about["torch"] = None
    return about


def seconds_of(work: Callable[[], Any], repeat: int = 5, times: int = 1) -> float:
    """Return the median seconds of work on the GPU by events, of several in a row, after a first time."""
    xp, found = gpu_module(), []
    work()
    for _ in range(repeat):
        begin, end = xp.cuda.Event(), xp.cuda.Event()
        wait_for_gpu()
        begin.record()
        for _ in range(times):
            work()
        end.record()
        wait_for_gpu()
        found.append(xp.cuda.get_elapsed_time(begin, end) / 1000 / times)
    return statistics.median(found)


def matrix_rates(side: int, repeat: int = 5) -> dict[str, float]:
    """Return multiplications a second of a product of square matrices, in float32, with TF32 and in float64.

    The matrices are random: a GPU that multiplies zeros draws less power, and is faster.
    """
    found, rng = {}, np.random.default_rng(0)
    for kind in ("float32", "tf32", "float64"):
        dtype = np.dtype("float64" if kind == "float64" else "float32")
        # of float64, whose rate is lower on most, a smaller one is as good
        n = side // 2 if kind == "float64" else side
        a, b = (to_device(rng.standard_normal((1, n, n), dtype)) for _ in range(2))
        found[kind] = n**3 / seconds_of(_product(a, b, kind == "tf32"), repeat)
    return found


def _product(a: Any, b: Any, tf32: bool) -> Callable[[], None]:
    out = array_module(a).empty_like(a)
    return lambda: product(a, b, out, tf32=tf32)


def copy_bandwidth(size: int = 2**30, repeat: int = 5) -> float:
    """Return the bytes a second that are read and written by a copy of that many bytes."""
    xp = gpu_module()
    a, b = xp.zeros(size // 4, xp.float32), xp.empty(size // 4, xp.float32)

    def copy() -> None:
        b[...] = a

    return 2 * size / seconds_of(copy, repeat)
