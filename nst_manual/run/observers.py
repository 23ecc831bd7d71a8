"""Observers that write files: the log, the pictures on the way, the contact sheet of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nst_manual.errors import OutputError
from nst_manual.images import contact_sheet, save_image, to_uint8
from nst_manual.run.events import Evaluation, Iteration, Observer, Start


class Log(Observer):
    """One JSON object an evaluation, on the disk at once: a run can be watched, and a killed one read."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.file = open(self.path, "w", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise OutputError(f"--log {path}", f"cannot be written, {error.strerror}") from error

    def evaluation(self, event: Evaluation) -> None:
        """Write a line."""
        try:
            self.file.write(json.dumps(event.record()) + "\n")
            self.file.flush()
        except OSError as error:
            raise OutputError(f"--log {self.path}", f"cannot be written, {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class SaveEvery(Observer):
    """Saves OUT-0010.png, OUT-0020.png, ... beside OUT.png."""

    def __init__(self, path: Path, every: int, iterations: int, texts: dict[str, str]) -> None:
        self.path, self.every, self.texts = path, every, texts
        self.digits = max(4, len(str(iterations)))  # so that the names sort

    def iteration(self, event: Iteration) -> None:
        """Save every so many iterations."""
        if event.number % self.every == 0:
            name = f"{self.path.stem}-{event.number:0{self.digits}d}{self.path.suffix}"
            save_image(self.path.with_name(name), event.image, self.texts)


class ProgressSheet(Observer):
    """A contact sheet of the start, of 1, 10, 20, 30 iterations and of every tenth of the run."""

    def __init__(self, path: Path, iterations: int) -> None:
        self.path = path
        tenth = max(10, round(iterations / 10))
        self.moments = {1, 10, 20, 30, iterations, *range(tenth, iterations, tenth)}
        self.pictures: list[tuple[str, np.ndarray]] = []

    def start(self, event: Start) -> None:
        """Keep the start."""
        self.pictures.append(("start", to_uint8(event.image)))

    def iteration(self, event: Iteration) -> None:
        """Keep the picture, and write the sheet anew: an interrupted run has one too."""
        if event.number in self.moments:
            unit = "iteration" if event.number == 1 else "iterations"
            self.pictures.append((f"{event.number} {unit}", to_uint8(event.image)))
            save_image(self.path, contact_sheet(self.pictures))
