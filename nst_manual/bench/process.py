"""A worker seen from the parent: start it, ask it, end it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from nst_manual import errors

COMMAND = (sys.executable, "-m", "nst_manual.bench.worker")


class Worker:
    """A process that measures one subject, ready when the constructor returns.

    Parameters
    ----------
    name : str
        For messages.
    job : dict
        `kind` (a key of `nst_manual.bench.subjects.SUBJECTS`), `variant`, `size`, `options`, `warm_up`.

    Attributes
    ----------
    about : dict
        Its first answer: what was built.
    peak_mb : float or None
        Its peak resident memory at the last answer, MiB.

    Raises
    ------
    NstError
        What the subject raised; or the process has died.
    """

    def __init__(self, name: str, job: dict[str, Any]) -> None:
        self.name = name
        self.peak_mb: float | None = None
        # a file, not a pipe: nobody reads it while the worker works
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        # the same package as here, installed or not
        here = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
        # torch.compile would start a pool of processes, which take memory and may outlive the worker
        ours = {"PYTHONPATH": path, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=os.environ | ours,
            encoding="utf-8",
        )
        try:
            self.about = self.ask(job)
        except BaseException:
            self.close()
            raise

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a message."""
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError:  # a broken pipe
            line = ""
        if not line.endswith("\n"):
            raise self._died()
        answer = json.loads(line)
        if "error" in answer:
            kind, *arguments = answer["error"]
            raise _error(kind, arguments)
        self.peak_mb = answer.pop("peak_mb")
        return answer

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):  # it has died, and something was still to be written
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.stderr.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _died(self) -> errors.NstError:
        """Return the error for a process that answers no more."""
        code = self.process.wait()
        self.stderr.seek(0)
        lines = self.stderr.read().decode("utf-8", "replace").strip().splitlines()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        said = f": {lines[-1].strip()}" if lines else ""
        return errors.ResourceError(f"bench, process {self.name}", f"has ended {how}{said}")


def _error(kind: str, arguments: list) -> errors.NstError:
    """Return the worker's error as it was raised there."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, errors.NstError) and len(arguments) == 3:
        return found(*arguments)
    return errors.NstError("bench", ": ".join(str(argument) for argument in arguments if argument))
