"""What a measurement was made on, and how much memory this process has needed."""

from __future__ import annotations

import platform
import re
import sys

MEBIBYTE = 2**20


def peak_memory() -> float | None:
    """Return the peak resident memory of this process in MiB, or None where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            # VmHWM first: Linux counts in ru_maxrss what the process held before it became this program
            if found := re.search(r"^VmHWM:\s*(\d+) kB", file.read(), re.MULTILINE):
                return int(found[1]) * 1024 / MEBIBYTE
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEBIBYTE if sys.platform == "darwin" else peak * 1024 / MEBIBYTE


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
