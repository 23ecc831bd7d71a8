"""The fixture that puts the stand-in for CuPy in CuPy's place."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest


def _forget() -> None:
    """Clear what the backend keeps of CuPy: modules, kernels."""
    backend = sys.modules.get("nst_manual.backend")
    for value in list(vars(backend).values()) if backend else ():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


@functools.cache
def _standin() -> Any:
    """Return the stand-in, made once: a test changes only what `reset` and its monkeypatch bring back."""
    from standin import Standin

    return Standin()


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Return the stand-in; `standin.cupy` is the module, which `import cupy` finds during the test."""
    from standin.compiler import compiler

    if compiler() is None:
        why = "no C++ compiler was found: the stand-in's kernels need g++"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    _forget()
    made = _standin()
    made.reset()
    for name in [name for name in sys.modules if name.startswith(("cupy.", "cupyx", "cupy_backends"))]:
        monkeypatch.delitem(sys.modules, name)
    for name, module in made.modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    yield made
    _forget()
    made.reset()
