"""Compiles C++ with g++ to a library in a cache, safely for several processes at once."""

from __future__ import annotations

import ctypes
import functools
import getpass
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

FLAGS = (
    "-O0", "-std=c++17", "-shared", "-fPIC", "-fvisibility=hidden", "-fno-semantic-interposition",
    "-fno-strict-aliasing", "-ffp-contract=fast", "-w", "-fno-gnu-unique",
)  # fmt: skip
SHIM = Path(__file__).with_name("shim.h").read_text(encoding="utf-8")


class CompileError(Exception):
    """The text does not compile; CuPy's is cupy.cuda.compiler.CompileException."""


@functools.cache
def compiler() -> str | None:
    """Return a C++ compiler, or None."""
    names = (os.environ.get("CXX") or "g++", "g++", "c++", "clang++")
    return next(filter(None, map(shutil.which, names)), None)


def _folder() -> Path:
    """Return the folder of the compiled libraries, which belongs to this user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "user"
    folder = Path(tempfile.gettempdir()) / f"cuda_standin_{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def preprocess(text: str, options: tuple[str, ...]) -> str:
    """Return the text with its macros replaced."""
    return _run((*options, "-std=c++17", "-E", "-P", "-x", "c++", "-"), text)


def _run(arguments: tuple[str, ...], text: str) -> str:
    done = subprocess.run([compiler(), *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(done.stderr)
    return done.stdout


@functools.cache
def build(text: str, defines: tuple[str, ...] = ()) -> ctypes.PyDLL:
    """Return the library of a text, which stands behind the shim; the shim does not see the `-D` options.

    The interpreter's lock is held while its functions run: where a thread stands, static variables say.
    """
    if compiler() is None:
        raise RuntimeError("no C++ compiler was found: the stand-in's kernels need g++")
    macros = "".join(
        f"#define {name} {value if equals else 1}\n"
        for name, equals, value in (option.removeprefix("-D").partition("=") for option in defines)
    )
    text = f'{macros}#line 1 "kernel.cu"\n{text}'
    header = str(_header())
    path = _made(".so", (*FLAGS, "-include", header, "-x", "c++"), text)
    return ctypes.PyDLL(str(path))


@functools.cache
def _header() -> Path:
    """Return the shim as a file, beside which it lies compiled: reading it costs more than most kernels."""
    name = hashlib.sha256("\n".join((compiler(), *FLAGS, SHIM)).encode()).hexdigest()[:32]
    path = _folder() / f"{name}.h"
    _write(path, lambda part: part.write_text(SHIM, encoding="utf-8"))
    compiled = path.with_suffix(".h.gch")
    _write(compiled, lambda part: _run((*FLAGS, "-x", "c++-header", "-o", str(part), str(path)), ""))
    return path


def _made(suffix: str, arguments: tuple[str, ...], text: str) -> Path:
    """Return the file that the compiler makes of a text, made unless it is there."""
    whole = "\n".join((compiler(), *arguments, text))
    path = _folder() / (hashlib.sha256(whole.encode()).hexdigest()[:32] + suffix)
    _write(path, lambda part: _run((*arguments, "-o", str(part), "-"), text))
    return path


def _write(path: Path, make: Callable[[Path], object]) -> None:
    """Make a file whole or not at all, unless it is there; other processes may be at it too."""
    if path.exists():
        return
    handle, name = tempfile.mkstemp(suffix=".part", dir=path.parent)
    os.close(handle)
    try:
        make(Path(name))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
