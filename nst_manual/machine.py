"""What a measurement was made on, how much memory this process has needed, and how much it may still take."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from collections.abc import Iterator

from nst_manual.errors import ResourceError

MEBIBYTE = 2**20
# Addresses that a program needs beside its memory: of libraries to come, and of a thread's stack and the
# memory that its matrix products work in. Where addresses are limited, less than this in all is too little
# for Python, NumPy, Pillow and h5py alone.
LIBRARY_ADDRESSES, THREAD_ADDRESSES = 48 * MEBIBYTE, 40 * MEBIBYTE
LEAST_ADDRESSES = 256 * MEBIBYTE
M_ARENA_MAX = -8  # a name of <malloc.h>


def peak_memory() -> float | None:
    """Return the peak resident memory of this process in MiB, or None where the system does not tell."""
    # VmHWM first: Linux counts in ru_maxrss what the process held before it became this program
    if (peak := _status("VmHWM")) is not None:
        return peak / MEBIBYTE
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEBIBYTE if sys.platform == "darwin" else peak * 1024 / MEBIBYTE


def resident_memory() -> int:
    """Return the bytes that this process has in memory now, 0 where the system does not tell."""
    return _status("VmRSS") or 0


def available_memory(threads: int = 1) -> int | None:
    """Return how many bytes this process may still take, or None where the system does not tell.

    The least of what the machine has left, what the control groups of the process leave (Linux: containers,
    batch systems), and what its limits on address space (`ulimit -v`) and data leave. Pages that only hold
    files, which the system drops when it needs them, count as free. Of a limited address space the part is
    taken off that libraries and so many threads will need without using it.
    """
    found = [_free_of_machine(), *_free_of_groups(), *_free_of_limits(threads)]
    return max(0, min(known)) if (known := [amount for amount in found if amount is not None]) else None


def _status(name: str) -> int | None:
    """Return a line of /proc/self/status in bytes."""
    return _amount("/proc/self/status", rf"^{name}:\s*(\d+) kB", 1024)


def _free_of_machine() -> int | None:
    found = _amount("/proc/meminfo", r"^MemAvailable:\s*(\d+) kB", 1024)
    if found is not None:
        return found
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, macOS not this name
        return None


def _free_of_groups(proc: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> Iterator[int]:
    """Yield what each control group above this process leaves, of both versions of the interface."""
    for controllers, path in re.findall(r"^\d+:([^:]*):(.*)$", _text(proc), re.MULTILINE):
        if not controllers:
            top, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = os.path.join(root, "memory")
        else:
            continue
        # in a container the path may be that of the host; then only the top is there to be seen
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):
            folder = os.path.join(top, *parts[:depth])
            limit = _amount(os.path.join(folder, names[0]), r"^(\d+)$")
            usage = _amount(os.path.join(folder, names[1]), r"^(\d+)$")
            if limit is not None and usage is not None:
                files = _amount(os.path.join(folder, "memory.stat"), rf"^{names[2]} (\d+)$") or 0
                yield limit - usage + files


def _free_of_limits(threads: int) -> Iterator[int]:
    """Yield what the limits on address space and data leave."""
    reserved = LIBRARY_ADDRESSES + threads * THREAD_ADDRESSES
    for name, used in (("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData")):
        if (most := _limit(name)) is not None:
            yield most - (_status(used) or 0) - reserved


def _limit(name: str) -> int | None:
    """Return a limit of this process in bytes, or None."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrlimit(getattr(resource, name))[0]
    return None if most == resource.RLIM_INFINITY else most


def spare_addresses() -> None:
    """Take less address space where that is limited; to be called before NumPy is imported.

    BLAS reserves some for each thread of its own, of which this program uses one. The C library reserves
    64 MB for each thread that allocates.

    Raises
    ------
    ResourceError
        The limit is too low to begin with.
    """
    limits = [most for name in ("RLIMIT_AS", "RLIMIT_DATA") if (most := _limit(name)) is not None]
    if not limits:
        return
    if min(limits) < LEAST_ADDRESSES:
        cause = f"is limited to {min(limits) // MEBIBYTE} MB for this process, the least is "
        hint = "see `ulimit -v` and `ulimit -d`"
        raise ResourceError("memory", f"{cause}{LEAST_ADDRESSES // MEBIBYTE} MB", hint)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(AttributeError, OSError):  # not every C library has it
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def _text(path: str) -> str:
    """Return a file of the system as text, "" where it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _amount(path: str, pattern: str, unit: int = 1) -> int | None:
    """Return the number that a pattern finds in a file of the system, times the unit."""
    found = re.search(pattern, _text(path), re.MULTILINE)
    return int(found[1]) * unit if found else None


def cpu_model() -> str:
    """Return the processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            if found := re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE):
                return found[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions(*modules: str) -> dict[str, str]:
    """Return the versions of Python and of installed distributions, without importing them."""
    from importlib.metadata import version

    return {"python": platform.python_version()} | {name: version(name) for name in modules}
