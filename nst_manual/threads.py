"""How many threads work, and the work shared out among them."""

from __future__ import annotations

import collections
import contextlib
import contextvars
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any


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
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # a plain copy of the files, on a machine for GPUs
        return _NoControl()
    return ThreadpoolController().select(user_api="blas")


class _NoControl:
    def limit(self, limits: int) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()
