"""Compares the stand-in with the real CuPy: every name and every parameter of ours must be there.

In tests/cuda, where CuPy is installed, `python -m standin.real` shows the differences; it needs no GPU.
"""

from __future__ import annotations

import inspect
import re
import sys
from types import ModuleType
from typing import Any

import standin

WITHOUT = "no signature"


def parameters(function: Any) -> list[tuple[str, str]] | str:
    """Return the names and defaults of the parameters, from the signature or from what Cython wrote of it.

    Stars stand before the names that take any number.
    """
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return _documented((getattr(function, "__doc__", None) or "").strip().partition("\n")[0])
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = [each for each in found if each.name != "self"]
    return [(stars.get(each.kind, "") + each.name, _default(each.default)) for each in found]


def _documented(line: str) -> list[tuple[str, str]] | str:
    """Return the same from a line like "_ndarray_base.sum(self, axis=None) -> _ndarray_base"."""
    match = re.match(r"[\w.]+\((.*)\)( -> .*)?$", line)
    if match is None:
        return WITHOUT
    depth, texts = 0, [""]
    for letter in match[1]:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            texts.append("")
        else:
            texts[-1] += letter
    pairs = [text.strip().partition("=") for text in texts if text.strip() not in ("", "*", "/", "self")]
    return [(name.split()[-1], default or "-") for name, _, default in pairs if not name.endswith(" self")]


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "-"
    return value.__name__ if value in (float, int) and isinstance(value, type) else repr(value)


def compare(ours: Any, real: Any, name: str) -> list[str]:
    """Return what is wrong with a function or a class."""
    wrong = []
    mine = getattr(ours, "__module__", None) or ""
    if inspect.isclass(ours) and mine.startswith("standin") and not issubclass(ours, Exception):
        for each in vars(ours):
            if (each.startswith("_") and not each.startswith("__")) or each in SPECIAL:
                continue
            if not hasattr(real, each):
                wrong.append(f"{name}.{each} is not there")
            elif callable(getattr(ours, each)) and not each.startswith("__"):
                wrong += compare(getattr(ours, each), getattr(real, each), f"{name}.{each}")
    if isinstance(ours, standin.Ufunc):
        if type(real).__name__ != "ufunc" or (real.nin, real.nout) != (ours.nin, ours.nout):
            wrong.append(f"{name} is another kind of thing: {type(real).__name__}")
    elif callable(ours) and mine.startswith("standin") and ours is not standin.Ufunc:
        wrong += signatures(parameters(ours), parameters(real), name)
    return wrong


def signatures(mine: Any, theirs: Any, name: str) -> list[str]:
    """Return whether ours takes anything that CuPy's does not; it may take less."""
    if WITHOUT in (mine, theirs):
        return []
    rest = iter(theirs)
    if all(each in rest for each in mine):  # the same, in the same order
        return []
    if name.endswith("matmul"):  # CuPy's takes x1 and x2 as *args
        mine = [each for each in mine if each[0] not in ("x1", "x2", "out", "**kwargs")]
    if theirs[-1][0].startswith("**") and all(each in theirs for each in mine if each[1] == "-"):
        return []  # what the keywords are called is only in CuPy's text
    if name == "cupy.ndarray" or (name.endswith("matmul") and not mine):
        return []
    return [f"{name}: ours {mine}, CuPy's {theirs}"]


SPECIAL = ("__module__", "__qualname__", "__slots__", "__weakref__", "__dict__", "__annotations__", "__doc__",
           "__deepcopy__", "__copy__", "__firstlineno__", "__static_attributes__")  # fmt: skip


def differences() -> list[str]:
    """Return everything in which the stand-in has more than CuPy, or other parameters."""
    import importlib

    wrong = []
    for name, ours in standin.modules().items():
        try:
            real = importlib.import_module(name)
        except ImportError:
            parent, _, last = name.rpartition(".")
            real = getattr(importlib.import_module(parent), last)
        for each, value in vars(ours).items():
            if each.startswith("__") and each != "__version__":
                continue
            full = f"{name}.{each}"
            if not hasattr(real, each):
                wrong.append(f"{full} is not there")
            elif isinstance(value, ModuleType):
                continue
            elif isinstance(value, int) and not isinstance(value, bool) and getattr(real, each) != value:
                wrong.append(f"{full}: {value}, CuPy's {getattr(real, each)}")
            else:
                wrong += compare(value, getattr(real, each), full)
    return wrong


if __name__ == "__main__":
    found = differences()
    print("\n".join(found) or "no differences")
    sys.exit(bool(found))
