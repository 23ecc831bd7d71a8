"""The process in which the student's file runs: every case in turn, what was found as lines of JSON.

    python -m nst_manual.check.exercises.worker NAME FILE RESULTS

Lines go to the file RESULTS, not to stdout: that is the student's, for prints. A line is written before each
case too, so that the parent knows where an endless loop or a crash was.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import sys
import threading
import time
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nst_manual.check.exercises.base import Case
from nst_manual.check.exercises.course import load
from nst_manual.check.exercises.judge import judge
from nst_manual.check.exercises.report import UNWRITTEN

PACKAGE = Path(__file__).resolve().parents[2]
# Of a traceback: the last ones say where it is, also in an endless recursion.
FRAMES = 4
ENDS = "the code ends the program (SystemExit, as from sys.exit or exit)"


def main(name: str, path: str, results: str) -> None:
    """Check a file and end the process, whatever threads the student's code has started."""
    if hasattr(os, "getppid"):
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    with open(results, "w", encoding="utf-8") as file:
        for event in events(name, path):
            file.write(json.dumps(event) + "\n")
            file.flush()
    for stream in (sys.stdout, sys.stderr):
        # closed by whoever reads, or by the student's code
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(0)


def _end_with_parent(parent: int) -> None:
    """End this process soon after the one that has started it: nobody else would end an endless loop."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def events(name: str, path: str) -> Iterator[dict[str, Any]]:
    """Yield what is begun and what is found; the last one is ``{"done": True}``."""
    cases = load(name).cases()
    student = Student(path)
    yield {"begin": "load"}
    problem = student.load()
    if problem:
        yield {"problem": problem}
    unwritten: set[str] = set()
    for case in cases if not problem else ():
        if case.function in unwritten:
            continue  # said once is enough
        yield {"begin": case.function, "case": str(case)}
        for finding in student.check(case):
            if finding.pop("unwritten", False):
                unwritten.add(case.function)
            yield {"finding": {"function": case.function, "case": str(case)} | finding}
    yield {"done": True}


class Student:
    """The student's file.

    Parameters
    ----------
    path : str
        As it is to be shown.
    """

    def __init__(self, path: str) -> None:
        self.shown, self.path = path, str(Path(path).resolve())
        self.module = types.ModuleType("exercise_file")
        self.module.__file__ = self.path

    def load(self) -> dict[str, Any] | None:
        """Run the file; return what is wrong with it."""
        sys.argv = [self.path]
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(Path(self.path).parent))  # what stands beside it can be imported
        sys.modules[self.module.__name__] = self.module
        try:
            # bytes: the file may declare its encoding
            code = compile(Path(self.path).read_bytes(), self.path, "exec", dont_inherit=True)
            exec(code, self.module.__dict__)  # noqa: S102 - the student's own code, on the student's machine
        except SystemExit:
            hint = 'put what is to run as a program under: if __name__ == "__main__"'
            return {"problem": f"while it is loaded, {ENDS}; {hint}", "traceback": []}
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is to be shown
            return {"problem": "the file cannot be loaded", "traceback": self.traceback(error)}
        return None

    def check(self, case: Case) -> Iterator[dict[str, Any]]:
        """Yield what is found of each result of a case."""
        function = getattr(self.module, case.function, None)
        if not callable(function):
            what = "is no function" if hasattr(self.module, case.function) else "is not in the file"
            yield _broken(f"{case.function} {what}", unwritten=True)
            return
        arguments = copy.deepcopy(dict(case.arguments))
        try:
            if case.run:
                got = case.run(function, *arguments.values())
            else:
                got = function(*arguments.values())
        except NotImplementedError as error:
            yield _broken(UNWRITTEN + self.at(error), unwritten=True)
            return
        except SystemExit:
            yield _broken(f"{ENDS}; a function ends with return")
            return
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is to be shown
            yield _broken("it raises an exception", traceback=self.traceback(error))
            return
        yield from _judged(case, got)
        changed = [name for name, value in case.arguments.items() if not _same(value, arguments[name])]
        if changed:
            names = " and ".join(changed)
            yield _broken(f"{names} {'are' if len(changed) > 1 else 'is'} overwritten: work on a copy")

    def traceback(self, error: BaseException) -> list[str]:
        """Return the lines of a traceback that are the student's, and what was raised."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if self.owns(frame.filename)]
        lines = "".join(traceback.format_list(frames[-FRAMES:])).splitlines()
        if len(frames) > FRAMES:
            lines.insert(0, f"  ... {len(frames) - FRAMES} calls before ...")
        lines += "".join(traceback.format_exception_only(error)).splitlines()
        if isinstance(error, EOFError) and "reading a line" in str(error):
            lines.append("input() has nothing to read here: write the value into the code")
        return [line.replace(self.path, self.shown).rstrip() for line in lines]

    def at(self, error: BaseException) -> str:
        """Say in which of the student's functions an error was raised."""
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if self.owns(frame.filename)]
        return f" (line {own[-1].lineno}, in {own[-1].name})" if own else ""

    def owns(self, filename: str) -> bool:
        """Whether a file is the student's: this one, or one beside it that is neither ours nor installed."""
        path, folder = Path(filename), Path(self.path).parent
        if str(path) == self.path:
            return True
        return folder in path.parents and PACKAGE not in path.parents and "site-packages" not in path.parts


def _broken(problem: str, **more: Any) -> dict[str, Any]:
    """Return a finding without a number."""
    return {"result": "", "passed": False, "error": None, "problem": problem, "where": "", "cause": ""} | more


def _judged(case: Case, got: Any) -> Iterator[dict[str, Any]]:
    """Yield what is to be said of each result."""
    if len(case.results) == 1:
        yield {"result": case.results[0].name} | judge(case.results[0], got)
        return
    names = ", ".join(result.name for result in case.results)
    if not isinstance(got, tuple | list) or len(got) != len(case.results):
        count = f"{len(got)} results" if isinstance(got, tuple | list) else f"a {type(got).__name__}"
        yield _broken(f"it returns {count}, expected {len(case.results)}: {names}")
        return
    for expected, value in zip(case.results, got, strict=True):
        yield {"result": expected.name} | judge(expected, value)


def _same(before: Any, after: Any) -> bool:
    """Whether an argument is as it was."""
    if isinstance(before, np.ndarray):
        return before.shape == after.shape and np.array_equal(before, after, equal_nan=True)
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_same, before, after))
    return True  # numbers and functions cannot be written to


if __name__ == "__main__":
    main(*sys.argv[1:])
