"""Runs in which the Nth file call fails, and the rules that are held after each.

The exit code is 0, with the very picture of an undisturbed run, or that of the error, in one line; every file
is whole, old or new; no temporary file is left unless removing it is what failed; and once the fault is over
the run goes on, to the same picture.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from nth_call import KILL, Fault, NthCall
from smooth_pictures import smooth_picture
from whole_files import (
    TINY,
    call,
    checkpoint_fault,
    files_of,
    log_records,
    make_inputs,
    picture_fault,
    pixels_of,
    put_back,
    temporaries,
)

from nst_manual.images import save_image
from nst_manual.run.checkpoint import read_checkpoint

PICTURES = (".png", ".jpg")
KEEPS = ["--checkpoint", "run.h5", "--checkpoint-every", "0"]
SHOWS = ["--save-every", "1", "--log", "log.jsonl"]
SCENARIOS = ("run", "resume", "jpeg", "rerun")


@dataclass
class Trial:
    """One N: which call failed, how the program ended, and which rules did not hold."""

    scenario: str
    fault: Fault
    nth: int
    call: str
    code: int
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        where = f"{self.scenario}, {self.fault}, call {self.nth} ({self.call}), exit code {self.code}"
        return f"{where}: {'; '.join(self.problems) or 'nothing lost'}"


class Disturbed:
    """A command in a folder of files, again and again.

    Parameters
    ----------
    scenario : str
        "run" over an old picture and the checkpoint of an older run; "resume" of a run that was killed at its
        second size, with the checkpoint before beside it; "jpeg", whose manifest has a file of its own too;
        "rerun".
    folder : path
        Empty; what is outside `folder`/work never fails.
    """

    def __init__(self, scenario: str, folder: Path) -> None:
        self.scenario, self.work = scenario, folder.resolve() / "work"
        self.work.mkdir()
        inputs = make_inputs(self.work.parent / "inputs")
        self.target = "out.jpg" if scenario == "jpeg" else "again.png" if scenario == "rerun" else "out.png"
        for name in (self.target, "sheet.png", "out-0001.png"):
            save_image(self.work / name, smooth_picture(7, 20, 30))
        (self.work / "log.jsonl").write_text('{"iteration": 1, "seconds": 1}\n')
        sheet = ["--progress-sheet", "sheet.png"]
        self.resumes = ["resume", "run.h5", "--quiet"] if scenario != "rerun" else None
        self.unreadable = 0  # the code where what the command reads cannot be read
        run = ["run", *inputs, "-o", self.target, "--quiet", *TINY]
        if scenario == "rerun":
            self._hold(0, [*run[:4], "out.png", *run[5:]])
            self.arguments = ["rerun", "out.png", "-o", self.target, "--quiet", *SHOWS]
            self.unreadable = 3
        elif scenario == "resume":
            whole = ["run", *inputs, "-o", self.target, "--quiet", *TINY, *KEEPS, *SHOWS, *sheet]
            self._stop_after(3, whole)
            self.arguments, self.unreadable = [*self.resumes], 2
        else:
            self._hold(0, [*run, "--seed", "5", "--init", "noise", *KEEPS])
            if scenario == "run":
                save_image(self.work / self.target, smooth_picture(7, 20, 30))
            self.arguments = [*run, *KEEPS, *SHOWS, *(sheet if scenario == "run" else [])]
        self.before = files_of(self.work)
        self.code, said = self._call(self.arguments)
        if self.code:
            raise AssertionError(f"the undisturbed {scenario} ended with {said}")
        self.after = files_of(self.work)
        self.expected = pixels_of(self.work / self.target)
        self.records = log_records(self.work / "log.jsonl")

    def trials(self, fault: Fault, step: int = 1, first: int = 1) -> Iterator[Trial]:
        """Make every `step`-th call fail, and give what came of each."""
        nth = first
        while (trial := self.trial(fault, nth)) is not None:
            yield trial
            nth += step

    def count(self, fault: Fault) -> int:
        """Return how many calls there are to fail."""
        put_back(self.work, self.before)
        calls = NthCall(self.work, 0, fault)
        with calls():
            self._call(self.arguments)
        return len(calls.calls)

    def trial(self, fault: Fault, nth: int) -> Trial | None:
        """Make one call fail and hold the rules; None where there are fewer calls."""
        put_back(self.work, self.before)
        calls = NthCall(self.work, nth, fault)
        if fault.number == KILL:
            return self._killed(calls)
        with calls():
            code, said = self._call(self.arguments)
        if not calls.failed:
            return None
        trial = Trial(self.scenario, fault, nth, calls.failed[0], code)
        trial.problems += self._ended(code, said, calls)
        trial.problems += self._files(code, calls)
        trial.problems += self._goes_on()
        return trial

    def _killed(self, calls: NthCall) -> Trial | None:
        """Let a copy of this process run until its Nth call."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, that other threads are not copied: they only compute
            child = os.fork()
        if not child:
            code = 1
            try:
                with calls():
                    code, _ = self._call(self.arguments)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if code := os.WEXITSTATUS(status):
                raise AssertionError(f"the undisturbed {self.scenario} ended with {code}")
            return None
        trial = Trial(self.scenario, calls.fault, calls.nth, "", -os.WTERMSIG(status))
        if len(left := temporaries(os.listdir(self.work))) > 1:
            trial.problems.append(f"more than one temporary file: {left}")
        calls.failed = [
            "unlink",
            " log.jsonl",
        ]  # as if: a temporary file may be left, a line of the log be torn
        trial.problems += self._files(trial.code, calls)
        trial.problems += self._goes_on()
        return trial

    def _ended(self, code: int, said: str, calls: NthCall) -> Iterator[str]:
        """Hold exit code and message."""
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        allowed = {0, 5}
        if self.unreadable and any(
            name.split()[0] in ("open", "read", "seek", "stat") for name in calls.failed
        ):
            allowed.add(self.unreadable)
        if code not in allowed or len(errors) != (code != 0) or "Traceback" in said or "ignored: " in said:
            yield f"ended with {code}: {said!r}"

    def _files(self, code: int, calls: NthCall) -> Iterator[str]:
        """Hold that every file is whole, and that there are no others."""
        names = {entry.name for entry in self.work.iterdir()}
        allowed = self.before.keys() | self.after.keys() | {"run.previous.h5"}
        if self.scenario == "resume":
            allowed |= {"run.damaged.h5"}
        left = names - allowed
        if left and not any(call.startswith("unlink") for call in calls.failed):
            yield f"left behind: {sorted(left)}"
        if gone := self.before.keys() - names - {"run.previous.h5", "run.h5"}:
            yield f"gone: {sorted(gone)}"
        for name in sorted(names & allowed):
            path = self.work / name
            data = path.read_bytes()
            if data == self.before.get(name):
                continue
            if name.endswith(PICTURES) and (fault := picture_fault(path)):
                yield fault
            if name.endswith(".h5") and name != "run.damaged.h5" and (fault := checkpoint_fault(path)):
                yield fault
        if any(name in self.before for name in ("run.h5", "run.previous.h5")) and not names & {
            "run.h5",
            "run.previous.h5",
        }:
            yield "there is no checkpoint any more"
        yield from self._finished(names) if code == 0 else ()
        log = self.work / "log.jsonl"
        if "log.jsonl" in names and log.read_bytes() != self.before.get("log.jsonl"):
            torn = any(call.endswith(" log.jsonl") for call in calls.failed)
            try:
                found = log_records(log, torn)
            except ValueError:
                yield f"the log is torn: {log.read_text()!r}"
                return
            if found != self.records[: len(found)] or (code == 0 and found != self.records):
                yield "the log is not that of the run"

    def _finished(self, names: set[str]) -> Iterator[str]:
        """Hold what a run has made that says it is done."""
        for name in self.after:
            if name.endswith(PICTURES) and name not in names:
                yield f"{name} was not written"
            elif name.endswith(PICTURES):
                expected = self.after[name]
                path = self.work / name
                if name == self.target and not np.array_equal(pixels_of(path), self.expected):
                    yield "another picture"
                elif name != self.target and path.read_bytes() != expected and not self._same(path, expected):
                    yield f"{name} is another"

    def _same(self, path: Path, expected: bytes) -> bool:
        """Whether a picture has the pixels of another; their seconds differ."""
        other = self.work.parent / ("expected" + path.suffix)
        other.write_bytes(expected)
        return np.array_equal(pixels_of(path), pixels_of(other))

    def _goes_on(self) -> Iterator[str]:
        """Hold that the run goes on when the fault is over, or is begun again, and ends as it would have."""
        arguments = self.arguments
        if self.resumes is not None and self._is_of_this_run() or self.scenario == "resume":
            arguments = self.resumes
        elif "run.h5" in self.before and not self._unchanged("run.h5"):
            yield "the older checkpoint is not as it was, and there is no newer one"
        numbers = self._numbers()
        code, said = self._call(arguments)
        if code:
            yield f"{arguments[0]} after the fault ended with {code}: {said!r}"
            return
        if not np.array_equal(pixels_of(self.work / self.target), self.expected):
            yield f"another picture from {arguments[0]} after the fault"
        if log_records(self.work / "log.jsonl") != self.records:
            yield "another log after the fault"
        left = self._numbers().keys() - self.after.keys() - {"run.damaged.h5"}
        # a temporary file that could not be removed goes with the next one for the same path
        written = {name for name, number in self._numbers().items() if numbers.get(name) != number}
        if left := {name for name in left if name[1:-13] not in self.after or name[1:-13] in written}:
            yield f"still there after the fault: {sorted(left)}"

    def _numbers(self) -> dict[str, int]:
        """Return name -> what tells a file from one that has taken its place."""
        return {entry.name: entry.stat().st_ino for entry in self.work.iterdir()}

    def _is_of_this_run(self) -> bool:
        """Whether there is a checkpoint of it."""
        path = self.work / "run.h5"
        options = read_checkpoint(path).command["options"] if path.exists() else {}
        return "seed" not in options and bool(options)

    def _unchanged(self, name: str) -> bool:
        return (self.work / name).read_bytes() == self.before[name]

    def _hold(self, code: int, arguments: list[str]) -> None:
        ended, said = self._call(arguments)
        if ended != code:
            raise AssertionError(f"{' '.join(arguments)} ended with {ended}, {said}")

    def _stop_after(self, iterations: int, arguments: list[str]) -> None:
        """Leave a run where it would be after kill -9."""
        from nst_manual.run import keeper

        real, kept = keeper.write_checkpoint, []

        def write(path: Path, checkpoint: object) -> None:
            real(path, checkpoint)
            if len(kept) < iterations + 1:
                kept[:] = [*kept, files_of(self.work)]

        keeper.write_checkpoint = write
        try:
            self._hold(0, arguments)
        finally:
            keeper.write_checkpoint = real
        put_back(self.work, kept[-1])

    def _call(self, arguments: list[str]) -> tuple[int, str]:
        before = os.getcwd()
        os.chdir(self.work)
        try:
            return call(arguments)
        finally:
            os.chdir(before)
