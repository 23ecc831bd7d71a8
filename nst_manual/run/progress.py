"""What a run shows on standard error: a live bar on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from nst_manual.run.events import Evaluation, Iteration, Observer, Start


def make_progress(quiet: bool) -> Progress:
    """Return the observer that fits: silent, live, or plain."""
    if quiet:
        return Progress()
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return LiveProgress(console) if console.is_terminal and not console.is_dumb_terminal else PlainProgress()


def loss_line(losses: dict[str, float]) -> str:
    """Return the losses by name in a line: "content/relu4_2 1.23e+04  style/relu1_1 4.56e+03"."""
    return "  ".join(f"{name} {loss:.3g}" for name, loss in losses.items())


def duration(seconds: float) -> str:
    """Return seconds as "7 s", "2:05" or "1:02:05"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class Progress(Observer):
    """Silent; and the clock that the others share."""

    iterations = 0
    done = 0
    before = 0  # iterations of the process that this one goes on after
    began = 0.0

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """Surround the reading of images and weights."""
        yield

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def start(self, event: Start) -> None:
        """Begin to count."""
        self.iterations, self.began = event.iterations, time.monotonic()
        self.done = self.before = event.done
        for line in event.lines:
            self.say(line)

    def iteration(self, event: Iteration) -> None:
        """Count."""
        self.done = event.number

    @property
    def pace(self) -> float:
        """Seconds an iteration, so far."""
        return (time.monotonic() - self.began) / max(1, self.done - self.before)

    @property
    def left(self) -> str:
        """The time that the rest takes at this pace."""
        if self.done >= self.iterations:
            return "done"
        return f"{duration(self.pace * (self.iterations - self.done))} left"


class PlainProgress(Progress):
    """A line for the first iterations and then for every twentieth part, for logs and pipes."""

    last: Evaluation | None = None

    def say(self, line: str) -> None:
        """Print the line; whoever closed standard error does not want it."""
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)

    def evaluation(self, event: Evaluation) -> None:
        """Remember what to print."""
        self.last = event

    def iteration(self, event: Iteration) -> None:
        """Print a line now and then."""
        super().iteration(event)
        step = max(1, self.iterations // 20)
        if self.last is not None and (event.number in (1, 2, 5, self.iterations) or event.number % step == 0):
            self.say(
                f"iteration {event.number}/{self.iterations}  loss {self.last.loss:.6g}  "
                f"{loss_line(self.last.losses)}  {self.pace:.2f} s/iteration  {self.left}"
            )


class LiveProgress(Progress):
    """A bar with iteration, loss, pace and time left, and the losses by name under it."""

    def __init__(self, console) -> None:  # noqa: ANN001 - rich.console.Console, imported late
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self.console = console
        self.bar = Bar(
            TextColumn("painting"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss [bold]{task.fields[loss]}"),
            TextColumn("{task.fields[pace]}"),
            TextColumn("[cyan]{task.fields[left]}"),
            console=console,
            expand=True,
        )
        self.live = Live(console=console, refresh_per_second=8, transient=False)
        self.task = self.bar.add_task("", total=1, loss="-", pace="", left="")
        self.losses: dict[str, float] = {}

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """Show a spinner: reading the weights takes a second."""
        with self.console.status("reading images and weights"):
            yield

    def say(self, line: str) -> None:
        """Print the line above the bar."""
        self.console.print(line, markup=False)

    def start(self, event: Start) -> None:
        """Show the bar."""
        super().start(event)
        self.bar.update(self.task, total=event.iterations, completed=event.done)
        self.live.start()
        self._draw()

    def evaluation(self, event: Evaluation) -> None:
        """Show the new losses."""
        self.losses = event.losses
        self.bar.update(self.task, loss=f"{event.loss:.4g}")
        self._draw()

    def iteration(self, event: Iteration) -> None:
        """Move the bar."""
        super().iteration(event)
        self.bar.update(
            self.task, completed=event.number, pace=f"{self.pace:.2f} s/iteration", left=self.left
        )
        self._draw()

    def _draw(self) -> None:
        from rich.console import Group
        from rich.text import Text

        self.live.update(Group(self.bar, Text(loss_line(self.losses), style="dim")))

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.live.stop()
