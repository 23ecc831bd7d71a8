"""When a run writes a checkpoint: now and then, at the end of each scale, and when it is stopped."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nst_manual.errors import OutputError
from nst_manual.run.checkpoint import Checkpoint, Snapshot, mark_saved, previous_of, write_checkpoint
from nst_manual.run.events import Observer


class Keeper:
    """Writes the checkpoints of a run.

    A checkpoint that cannot be written is a warning, not the end: the run goes on, and the last one that
    could be is still there.

    Parameters
    ----------
    path : path
    every : float
        Seconds between two; 0 is after every iteration.
    command : dict
        What the run is, as JSON holds it.
    observers : sequence of Observer
        Whose pictures belong to the state.
    """

    def __init__(
        self, path: Path, every: float, command: dict[str, Any], observers: Sequence[Observer] = ()
    ) -> None:
        self.path, self.every, self.command, self.observers = path, every, command, observers
        self.scale = 0
        self.before: dict[str, Any] = {"iterations": 0, "seconds": 0.0, "history": []}
        self._last = time.monotonic()
        self._written: tuple[int, int, str] | None = None

    def begin(self, scale: int, iterations: int, seconds: float, history: list[dict]) -> None:
        """Remember what was done at the scales before this one."""
        self.scale = scale
        self.before = {"iterations": iterations, "seconds": seconds, "history": history}

    def goes_on(self, checkpoint: Checkpoint) -> None:
        """Know the checkpoint that the run goes on from: it need not be written again."""
        snapshot = checkpoint.snapshot
        self._written = checkpoint.scale, snapshot.iterations, snapshot.message

    @property
    def written(self) -> bool:
        """Whether the checkpoint at `path` is of this run, not an older one that could not be replaced."""
        return self._written is not None

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.every

    def keep(self, snapshot: Snapshot | Callable[[], Snapshot]) -> None:
        """Write a checkpoint, unless the last one says the same."""
        snapshot = snapshot() if callable(snapshot) else snapshot
        at = self.scale, snapshot.iterations, snapshot.message
        if at == self._written:
            return
        kept = {name: values for observer in self.observers for name, values in observer.kept().items()}
        try:
            write_checkpoint(self.path, Checkpoint(self.command, self.scale, self.before, snapshot, kept))
            if not self.written:  # what it has replaced is another run's, to which nobody wants to fall back
                previous_of(self.path).unlink(missing_ok=True)
            self._written = at
        except OSError as error:
            cause = f"{error.what}: {error.cause}" if isinstance(error, OutputError) else str(error)
            text = f"--checkpoint {cause}; the run goes on, the one before is kept"
            warnings.warn(text, stacklevel=2)
        self._last = time.monotonic()

    def done(self) -> None:
        """Note that the picture is saved, and remove the checkpoint before the last one."""
        if not self.written:
            return
        with contextlib.suppress(OSError):  # the picture is there; a note that is missing harms nobody
            mark_saved(self.path)
            previous_of(self.path).unlink(missing_ok=True)
