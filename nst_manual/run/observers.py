"""Observers that write files: the log, the pictures on the way, the contact sheet of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nst_manual.errors import OutputError
from nst_manual.images import contact_sheet, save_image, to_uint8
from nst_manual.run.events import Evaluation, Iteration, Observer, Start

_SHEET = "progress sheet "  # how the names of its pictures begin in a checkpoint


class Log(Observer):
    """One JSON object an evaluation, on the disk at once: a run can be watched, and a killed one read.

    Parameters
    ----------
    path : path
    records : sequence of dict
        Of the evaluations before the run went on.
    """

    def __init__(self, path: str | Path, records: Sequence[dict] = ()) -> None:
        self.path = Path(path)
        try:
            self.file = open(self.path, "w", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise OutputError(f"--log {path}", f"cannot be written, {error.strerror}") from error
        self._write(*records)

    def evaluation(self, event: Evaluation) -> None:
        """Write a line."""
        self._write(event.record())

    def _write(self, *records: dict) -> None:
        try:
            self.file.writelines(json.dumps(record) + "\n" for record in records)
            self.file.flush()
        except OSError as error:
            raise OutputError(f"--log {self.path}", f"cannot be written, {error.strerror}") from error

    def close(self) -> None:
        """Close the file; each line was written at once, so there is nothing left that could fail."""
        with contextlib.suppress(OSError):
            self.file.close()


class SaveEvery(Observer):
    """Saves OUT-0010.png, OUT-0020.png, ... beside OUT.png; `save` writes a picture."""

    def __init__(
        self, path: Path, every: int, iterations: int, save: Callable[[Path, Iteration], None]
    ) -> None:
        self.path, self.every, self.save = path, every, save
        self.digits = max(4, len(str(iterations)))  # so that the names sort

    def iteration(self, event: Iteration) -> None:
        """Save every so many iterations."""
        if event.number % self.every == 0:
            name = f"{self.path.stem}-{event.number:0{self.digits}d}{self.path.suffix}"
            self.save(self.path.with_name(name), event)


class ProgressSheet(Observer):
    """A contact sheet of the start, of 1, 10, 20, 30 iterations and of every tenth of the run."""

    def __init__(self, path: Path, iterations: int) -> None:
        self.path = path
        tenth = max(10, round(iterations / 10))
        self.moments = {1, 10, 20, 30, iterations, *range(tenth, iterations, tenth)}
        self.pictures: list[tuple[str, np.ndarray]] = []

    def start(self, event: Start) -> None:
        """Keep the start, unless the run goes on after one that did."""
        if not self.pictures:
            self.pictures.append(("start", to_uint8(event.image)))

    def iteration(self, event: Iteration) -> None:
        """Keep the picture, and write the sheet anew: an interrupted run has one too."""
        if event.number in self.moments:
            unit = "iteration" if event.number == 1 else "iterations"
            self.pictures.append((f"{event.number} {unit}", to_uint8(event.image)))
            save_image(self.path, contact_sheet(self.pictures))

    def kept(self) -> dict[str, np.ndarray]:
        """Return the pictures so far, in their order."""
        return {
            f"{_SHEET}{number:04d} {words}": picture for number, (words, picture) in enumerate(self.pictures)
        }

    def take_back(self, kept: dict[str, np.ndarray]) -> None:
        """Go on with those."""
        names = sorted(name for name in kept if name.startswith(_SHEET))
        self.pictures = [(name.removeprefix(_SHEET)[5:], kept[name]) for name in names]
