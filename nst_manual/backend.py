"""Where arrays live and how many threads work on them; the only file that imports CuPy."""

from __future__ import annotations

import collections
import contextlib
import contextvars
import functools
import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np


def array_module(*arrays: Any) -> ModuleType:
    """Return `cupy` when any of the arrays lives on a GPU, else `numpy`.

    Kernels begin with ``xp = array_module(x)`` and then read the same for both. CuPy is never imported here:
    an array of its can only exist where the caller has imported it already.
    """
    cupy = sys.modules.get("cupy")
    if cupy is not None and any(isinstance(array, cupy.ndarray) for array in arrays):
        return cupy
    return np


@functools.cache
def available_cpus() -> int:
    """Return how many processors this process may use: affinity and cgroup quota count."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            count = min(count, max(1, -(-int(quota) // int(period))))  # rounded up
    return count


@contextlib.contextmanager
def thread_limit(threads: int | None) -> Iterator[None]:
    """Set the number of threads of `parallel` inside the context; None takes the processors of the process.

    The BLAS library is kept to one thread meanwhile: its own threads wait for one another by spinning, and
    where another program wants the processor too, that costs more than they gain (measured: ten times more).
    """
    before, _pool.threads = _pool.threads, threads
    _blas.cache_clear()  # SciPy brings a BLAS library of its own, and may have come since
    with _blas().limit(limits=1):
        try:
            yield
        finally:
            _pool.threads = before


def parallel(function: Callable[..., Any], items: Iterable[tuple]) -> None:
    """Call function(*item) for all items, on several threads where that is allowed.

    For work that spends its time in NumPy, which lets go of the interpreter's lock, and whose parts write to
    places of their own. How the work is cut into items must not depend on the number of threads: then neither
    do the results.
    """
    items = list(items)
    threads = min(_pool.threads or available_cpus(), len(items))
    with _blas().limit(limits=1):
        if threads < 2:
            for item in items:
                function(*item)
        else:
            # Each thread takes the next item when it is done with one, this one too: a thread that wakes up
            # late (a tenth of a millisecond is usual) finds less to do. A context each, since NumPy keeps
            # there what it does about overflow.
            left = collections.deque(items)
            executor = _pool.get(threads - 1)
            jobs = [
                executor.submit(contextvars.copy_context().run, _work, function, left)
                for _ in range(threads - 1)
            ]
            try:
                _work(function, left)
            finally:
                errors = [job.exception() for job in jobs if not job.cancel()]
            for error in filter(None, errors):
                raise error


def _work(function: Callable[..., Any], left: collections.deque) -> None:
    """Call function(*item) until no item is left; after an error the other threads find none."""
    try:
        while True:
            try:
                item = left.popleft()
            except IndexError:
                return
            function(*item)
    except BaseException:
        left.clear()
        raise


def scratch(name: str, shape: tuple[int, ...], dtype: Any, like: Any = None) -> Any:
    """Return an array to work in, whose content is whatever the last user of that name in this thread left.

    Kernels call it inside their bands: the memory is the thread's, kept from band to band and from call to
    call, so that nothing large is allocated again. It never leaves the band. `like` says where it lives.
    """
    if array_module(like) is not np:
        return array_module(like).empty(shape, dtype)  # CuPy has a pool of its own
    key = name, shape, dtype  # a band asks a dozen times, mostly for what the last band asked
    if (array := _scratch.last.get(key)) is not None:
        return array
    dtype = np.dtype(dtype)
    wanted = math.prod(shape) * dtype.itemsize
    held = _scratch.bytes.get(name)
    if held is None or held.size < wanted:
        held = None  # as in the two below: the old goes before the new is asked for
        _scratch.last.clear()
        _scratch.bytes.pop(name, None)
        held = _scratch.bytes[name] = np.empty(wanted, np.uint8)
    elif len(_scratch.last) > 100:
        _scratch.last.clear()
    array = held[:wanted].view(dtype).reshape(shape)
    _scratch.last[key] = array
    return array


class _Scratch(threading.local):
    """A thread's memory by name, and the arrays that were last made of it."""

    def __init__(self) -> None:
        self.bytes: dict[str, np.ndarray] = {}
        self.last: dict[tuple, np.ndarray] = {}


_scratch = _Scratch()


class _Pool:
    """The worker threads, kept from call to call."""

    def __init__(self) -> None:
        self.threads: int | None = None
        self.executor: ThreadPoolExecutor | None = None
        self.size = 0

    def get(self, threads: int) -> ThreadPoolExecutor:
        """Return an executor with that many threads."""
        if self.executor is None or self.size != threads:
            if self.executor is not None:
                self.executor.shutdown(wait=False)
            self.executor, self.size = ThreadPoolExecutor(threads, "nst_manual"), threads
        return self.executor


_pool = _Pool()


@functools.cache
def _blas() -> Any:
    """Return the control of the BLAS threads; looking for the library takes milliseconds, so once."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
