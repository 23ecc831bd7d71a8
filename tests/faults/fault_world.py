"""What surrounds the program in the tests of faults: rights, limits, a small disk; and its peak of memory."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_PR_CAPBSET_DROP = 24
_OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def without_privilege() -> None:
    """Let permissions hold for the superuser too, once the next program starts; others have none to lose."""
    if os.geteuid() == 0:
        for right in _OVERRIDES:
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, right, 0, 0, 0)


def largest_file(size: int) -> Callable[[], None]:
    """Return what lets no file of the next program grow beyond so many bytes: writing fails with EFBIG."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@contextlib.contextmanager
def small_disk(at: Path, size: int) -> Iterator[Path]:
    """Mount a tmpfs of so many bytes; skip the test where nobody may."""
    at.mkdir()
    options = f"size={size},mode=0777"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"a disk of its own takes the superuser: {done.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def with_start(folder: Path, code: str) -> dict[str, str]:
    """Return the environment in which Python runs `code` before the program."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ["PYTHONPATH"]])}


class Peak:
    """The most memory that the program had: from its own /proc, since getrusage counts who started it too."""

    def __init__(self, folder: Path) -> None:
        self.file = folder.with_name(folder.name + "-peak")
        self.environment = with_start(
            folder.with_name(folder.name + "-start"),
            "import atexit, shutil\n"
            f"atexit.register(lambda: shutil.copyfile('/proc/self/status', {str(self.file)!r}))\n",
        )

    @property
    def bytes(self) -> int:
        """Of the program that has ended."""
        lines = self.file.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def picture_files() -> object:
    """Return the module that makes picture files byte by byte."""
    folder = str(Path(__file__).parents[1] / "images")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module("picture_files")
