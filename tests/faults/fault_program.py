"""The program as a user runs it, and the rules that hold after every fault."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SMALL = ["--network", "squeezenet", "--size", "48", "--iterations", "2"]


@dataclass(frozen=True)
class Finished:
    """What a run of the program left: exit code, the text of both streams, seconds."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def error(self) -> str:
        """The one line of the error; fails where there is none, another, or a traceback."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0]


class Program:
    """Runs commands in a folder, and holds the rules of every fault.

    Attributes
    ----------
    seen : list of str
        What came of each command, for the table.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, []

    def __call__(
        self,
        *arguments: str | bytes,
        environment: dict[str, str | None] | None = None,
        options: Sequence[str] = (),
        seconds: float | None = None,
        before: Callable[[], None] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> Finished:
        """Run `python OPTIONS -m nst_manual ARGUMENTS`; an environment of None takes the variable away.

        `before` runs in the new process ahead of the program: limits of the system are set there. Where
        nothing is asked of the process, and no limit of time, it is this one: a start takes longer than most
        faults.
        """
        began = time.monotonic()
        plain = all(isinstance(argument, str) for argument in arguments) and stdin == subprocess.DEVNULL
        if plain and environment is None and not options and seconds is None and before is None:
            code, streams = self._here([str(argument) for argument in arguments])
        else:
            done = subprocess.run(
                [sys.executable, *options, "-m", "nst_manual", *arguments],
                cwd=self.folder,
                env=self.environment(environment),
                stdin=stdin,
                capture_output=True,
                timeout=seconds or 300,
                preexec_fn=before,
            )
            code, streams = done.returncode, (done.stdout, done.stderr)
        texts = (stream.decode("utf-8", "backslashreplace") for stream in streams)
        finished = Finished(code, *texts, time.monotonic() - began)
        self.note(finished)
        return finished

    @staticmethod
    def _here(arguments: list[str]) -> tuple[int, tuple[bytes, bytes]]:
        """Run in this process, with streams and warnings as a process of its own has them."""
        from nst_manual.cli import main

        raw = io.BytesIO(), io.BytesIO()
        out, err = (io.TextIOWrapper(stream, encoding="utf-8", write_through=True) for stream in raw)
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(arguments)
        return code, (raw[0].getvalue(), raw[1].getvalue())

    @staticmethod
    def environment(changes: dict[str, str | None] | None = None) -> dict[str, str]:
        """Return this process's environment with changes."""
        changed = {**os.environ, **(changes or {})}
        return {name: value for name, value in changed.items() if value is not None}

    def note(self, finished: Finished) -> None:
        """Keep for the table: exit code, and the error or warning in a line."""
        lines = [line for line in finished.err.splitlines() if line.startswith(("error: ", "warning: "))]
        line = lines[-1].replace(str(self.folder), ".") if lines else ""
        self.seen.append(f"{finished.code} {line}".strip())

    def snapshot(self) -> dict[str, bytes | None]:
        """Return the folder's files, by their names below it, with their bytes; None for what is no file."""
        return {
            os.path.relpath(path, self.folder): path.read_bytes() if path.is_file() else None
            for path in map(Path, _below(self.folder))
        }

    def refuses(self, code: int, *arguments: str | bytes, **more: object) -> str:
        """Run; hold exit code, one line, every file as it was and none beside; return the line."""
        before = self.snapshot()
        finished = self(*arguments, **more)
        error = finished.error
        assert finished.code == code, (finished.code, error)
        assert self.snapshot() == before
        return error

    def paints(self, *arguments: str | bytes, **more: object) -> Finished:
        """Run; hold that it succeeded and left no temporary file."""
        finished = self(*arguments, **more)
        assert finished.code == 0, finished.err
        assert not [name for name in self.snapshot() if name.endswith(".tmp")]
        return finished


def _below(folder: Path) -> list[str]:
    return [os.path.join(at, name) for at, folders, names in os.walk(folder) for name in [*folders, *names]]
