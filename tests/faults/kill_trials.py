"""A run that is killed at random moments, resumed, killed again: what it leaves, and what comes of it.

Most moments are drawn while it paints and saves, some while it starts. What a kill has interrupted is told by
the temporary file that it left; the time that a run spends in saving is measured beside it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smooth_pictures import smooth_picture
from whole_files import (
    call,
    checkpoint_fault,
    files_of,
    log_records,
    make_inputs,
    picture_fault,
    put_back,
    quick_runs,
    temporaries,
)

from nst_manual import atomic
from nst_manual.images import save_image

RUN = ["--network", "squeezenet", "--size", "90", "--scales", "2", "--scale-factor", "1.4", "--threads", "1"]
RUN += [
    "--iterations",
    "30",
    "--style-layers",
    "relu1",
    "--content-layers",
    "relu1",
    "--no-manifest",
    "--quiet",
]
FILES = ["--checkpoint", "run.h5", "--checkpoint-every", "0", "--save-every", "10", "--log", "log.jsonl"]
IN_STARTING = 0.1  # share of the kills
MOST_KILLS = 5  # of one picture


@dataclass
class Killed:
    """What came of the trials.

    Attributes
    ----------
    trials : int
        Kills.
    in_a_save : int
        Those that left a temporary file.
    in_starting : int
        Those before the first evaluation.
    pictures : int
        Runs that were killed, went on, and ended.
    share_of_saving : float
        Of the time of an undisturbed run.
    problems : list of str
        Rules that did not hold.
    """

    trials: int = 0
    in_a_save: int = 0
    in_starting: int = 0
    pictures: int = 0
    share_of_saving: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lost = "; ".join(self.problems) or "nothing lost"
        return (
            f"{self.trials} kills of {self.pictures} pictures, {self.in_a_save} of them within a save, "
            f"{self.in_starting} before the first evaluation; saving takes {self.share_of_saving:.0%} of a "
            f"run: {lost}"
        )


class KillTrials:
    """Kills a run until it has been killed so many times.

    Parameters
    ----------
    folder : path
        Empty.
    seed : int
        Of the moments.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.work, self.random = folder.resolve() / "work", random.Random(seed)
        self.work.mkdir()
        inputs = make_inputs(self.work.parent / "inputs")
        self.run = ["run", *inputs, "-o", "out.png", *RUN, *FILES]
        self.found = Killed()
        save_image(self.work / "out.png", smooth_picture(7, 20, 30))
        self.before = files_of(self.work)
        self.seconds = self._measure()
        self.after = files_of(self.work)
        self.records = log_records(self.work / "log.jsonl")

    def trials(self, count: int) -> Killed:
        """Kill so many times, and return what came of it."""
        while self.found.trials < count:
            self._picture(min(self.random.randint(1, MOST_KILLS), count - self.found.trials))
        return self.found

    def _picture(self, kills: int) -> None:
        """Begin anew, be killed so many times, go on each time, and end."""
        put_back(self.work, self.before)
        command, left = self.run, 0
        for _ in range(kills):
            if not self._killed(command):
                break  # it was faster
            self.found.trials += 1
            names = os.listdir(self.work)
            found = temporaries(names)
            self.found.in_a_save += len(found) > left
            if len(found) > left + 1:
                self._problem(f"more than one temporary file: {found}")
            left = len(found)
            for name in names:
                self._hold(name)
            if any(name.endswith(".h5") for name in names):
                command = ["resume", "run.h5", "--quiet"]
            elif command is not self.run:
                self._problem("there is no checkpoint any more")
        process = self._start(command)
        _, said = process.communicate(timeout=120)
        if process.returncode:
            self._problem(f"{command[0]} ended with {process.returncode}: {said!r}")
        self.found.pictures += 1
        self._hold_end()

    def _hold(self, name: str) -> None:
        """Hold that a file is whole."""
        path = self.work / name
        if name.endswith(".tmp") or path.read_bytes() == self.before.get(name):
            return
        fault = checkpoint_fault(path) if name.endswith(".h5") else ""
        if name.endswith(".png"):
            fault = picture_fault(path)
        if name.endswith(".jsonl"):
            with contextlib.suppress(ValueError):
                found = log_records(path, torn=True)
                fault = "" if found == self.records[: len(found)] else "the log is another"
        if fault:
            self._problem(fault)

    def _hold_end(self) -> None:
        """Hold that every file is that of the run that nobody disturbed."""
        files = files_of(self.work)
        if files.keys() != self.after.keys():
            self._problem(f"other files at the end: {sorted(files.keys() ^ self.after.keys())}")
        for name in files.keys() & self.after.keys():
            if name.endswith(".png") and files[name] != self.after[name]:
                self._problem(f"{name} is another at the end")
        if log_records(self.work / "log.jsonl") != self.records:
            self._problem("the log is another at the end")

    def _problem(self, text: str) -> None:
        self.found.problems.append(f"after {self.found.trials} kills, {text}")

    def _killed(self, command: list[str]) -> bool:
        """Start, and kill at a random moment; return whether it was in time."""
        starting = self.random.random() < IN_STARTING
        moment = self.random.uniform(0, 0.5 if starting else self.seconds)
        before = self._log_time()
        process = self._start(command)
        while not starting and process.poll() is None and self._log_time() == before:
            time.sleep(0.002)
        time.sleep(moment)
        in_time = process.poll() is None
        process.kill()
        process.communicate()
        began = self._log_time() != before
        in_time = in_time and process.returncode == -signal.SIGKILL
        self.found.in_starting += in_time and not began
        return in_time

    def _start(self, command: list[str]) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "nst_manual", *command],
            cwd=self.work,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _log_time(self) -> int:
        try:
            return (self.work / "log.jsonl").stat().st_mtime_ns
        except OSError:
            return 0

    def _measure(self) -> float:
        """Run undisturbed in this process, and return how many seconds it took."""
        spent = [0.0]
        real = atomic.replacing

        @contextlib.contextmanager
        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                with real(*arguments) as temporary:
                    yield temporary
            finally:
                spent[0] += time.perf_counter() - began

        from nst_manual.run import checkpoint

        at = os.getcwd()
        os.chdir(self.work)
        atomic.replacing = checkpoint.replacing = timed
        try:
            with quick_runs():
                call(self.run)
                put_back(self.work, self.before)
                spent[0], began = 0.0, time.perf_counter()
                code, said = call(self.run)
                seconds = time.perf_counter() - began
        finally:
            atomic.replacing = checkpoint.replacing = real
            os.chdir(at)
        if code:
            raise AssertionError(f"the undisturbed run ended with {code}: {said}")
        self.found.share_of_saving = spent[0] / seconds
        return seconds
