"""A check seen from the parent: start the process, wait no longer than allowed, gather what it found."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from nst_manual.check.exercises.course import TIME_LIMIT, exercise_of, load
from nst_manual.check.exercises.report import Finding, Report

# -P: a file called numpy.py or random.py in the current folder is not what our own imports are to find
COMMAND = (sys.executable, "-P", "-m", "nst_manual.check.exercises.worker")


def check_file(
    path: str | Path,
    exercise: str | None = None,
    *,
    time_limit: float = TIME_LIMIT,
    stdout: int | None = None,
) -> Report:
    """Check a student's file in a process of its own.

    Parameters
    ----------
    path : path
    exercise : str, optional
        Its name; without, the file says it (`course.exercise_of`).
    time_limit : float
        Seconds for the whole file, after which the process and its children are killed.
    stdout : int, optional
        File descriptor for what the student's code prints; without, that of this process.

    Raises
    ------
    UsageError
        The file cannot be read, or no exercise is known by that name.
    """
    named = exercise_of(path) if exercise is None else exercise
    load(named)
    if exercise is not None:
        _expect_readable(path)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results")
        ended = _run([named, str(path), str(results)], time_limit, stdout)
        lines = (
            results.read_bytes().split(b"\n")[:-1] if results.exists() else []
        )  # the last may be half a line
    events = [json.loads(line) for line in lines]
    return _report(named, str(path), events, ended)


def _expect_readable(path: str | Path) -> None:
    from nst_manual.errors import UsageError

    try:
        Path(path).read_bytes()
    except OSError as error:
        raise UsageError(str(path), f"cannot be read, {error.strerror or error}") from None


def _run(arguments: list[str], time_limit: float, stdout: int | None) -> str:
    """Run the worker; return how it ended, in words, if not as it should."""
    here = str(Path(__file__).resolve().parents[3])  # the same package as here, installed or not
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    sys.stdout.flush()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # a group of its own, which can be killed with all that it has started
    )
    try:
        code = process.wait(time_limit)
    except subprocess.TimeoutExpired:
        passed = f"the time limit of {time_limit:g} s has passed: an endless loop?"
        return f"{passed} What comes after it was not tried"
    finally:
        _kill(process)
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the process was ended by {signal.Signals(-code).name}: a crash, or too much memory"
    return f"the process ended with exit code {code}"


def _kill(process: subprocess.Popen) -> None:
    """End the process and what it has started and left behind."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(tree, capture_output=True, check=False)
    process.kill()
    process.wait()


def _report(name: str, path: str, events: list[dict[str, Any]], ended: str) -> Report:
    """Return the report for the lines of a worker and the way in which it ended."""
    report = Report(name, path)
    begun: dict[str, Any] = {}
    for event in events:
        if "problem" in event:
            report.problem, report.traceback = event["problem"]["problem"], event["problem"]["traceback"]
        elif "finding" in event:
            report.findings.append(Finding(**event["finding"]))
        elif "begin" in event:
            begun = event
    if events and "done" in events[-1]:
        return report
    if "case" in begun:
        report.findings.append(Finding(begun["begin"], begun["case"], problem=ended))
    else:
        report.problem = f"while the file is loaded, {ended}"
    return report
