"""Where arrays live and how many threads work on them; the only file that imports CuPy."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np


def array_module(*arrays: Any) -> ModuleType:
    """Return `cupy` when any of the arrays lives on a GPU, else `numpy`.

    Kernels begin with ``xp = array_module(x)`` and then read the same for both. CuPy is never imported here: an array
    of its can only exist where the caller has imported it already.
    """
    cupy = sys.modules.get("cupy")
    if cupy is not None and any(isinstance(array, cupy.ndarray) for array in arrays):
        return cupy
    return np


def to_host(x: Any) -> np.ndarray:
    """Return `x` as a NumPy array: itself when it is one, a copy when it lives on a GPU."""
    return x.get() if array_module(x) is not np else np.asarray(x)


def available_cpus() -> int:
    """Return the number of processors that this process may use: affinity and cgroup quota, not the machine's count."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            count = min(count, max(1, -(-int(quota) // int(period))))  # rounded up
    return count


@contextlib.contextmanager
def thread_limit(threads: int | None) -> Iterator[None]:
    """Limit the threads of the BLAS library inside the context; None takes the processors that the process may use."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads or available_cpus(), user_api="blas"):
        yield
