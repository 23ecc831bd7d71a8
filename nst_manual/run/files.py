"""A run that reads files and writes files: what the command line does."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_manual.config import CommandConfig, RunConfig
from nst_manual.errors import DivergedError, Interrupted, OutputError, UsageError, WeightsError
from nst_manual.images import check_output, check_target
from nst_manual.images.naming import shown
from nst_manual.objective import Objective
from nst_manual.run.account import Account
from nst_manual.run.checkpoint import Checkpoint, check_replaceable, previous_of
from nst_manual.run.command import command_of
from nst_manual.run.events import Observer
from nst_manual.run.inputs import described, named_files
from nst_manual.run.job import Outcome, StoppedError, prepare
from nst_manual.run.keeper import Keeper
from nst_manual.run.manifest import beside, check_beside, introduction, surroundings
from nst_manual.run.memory import check_memory
from nst_manual.run.observers import Log, ProgressSheet, SaveEvery
from nst_manual.run.optimizers import make_optimizer
from nst_manual.run.progress import Progress, duration, make_progress
from nst_manual.run.scales import Course, configurations, joined_history, paint, settled
from nst_manual.run.signals import StopRequest, stop_request
from nst_manual.threads import thread_limit


def run_to_files(
    content: str,
    styles: Sequence[str],
    target: Path,
    config: CommandConfig,
    checkpoint: Checkpoint | None = None,
    until: tuple[int, int] | None = None,
    enlarged: bool = True,
    network: Mapping[str, Any] | None = None,
    inputs: Sequence[Any] = (),
) -> Outcome:
    """Make the picture, write it to `target`, and write whatever else the configuration asks for.

    All that can be checked is checked before the work starts. A run that a signal or a loss without bounds
    has stopped saves its picture all the same; the outcome's `stopped` says why.

    Parameters
    ----------
    content, styles : paths
    target : Path
    config : CommandConfig
    checkpoint : Checkpoint, optional
        Where the run goes on.
    until, enlarged
        See `nst_manual.run.scales.Course`.
    network : mapping, optional
        What the manifest of an earlier run says of its weights, which must be the same.
    inputs : sequence of path
        Further files that must not be replaced.

    Raises
    ------
    NstError
        Wrong input, or an output that cannot be written; `Interrupted` while there is nothing to save.
    """
    network = checkpoint.command["network"] if checkpoint else network
    return _FileRun(content, styles, target, config, checkpoint, network, inputs).go(until, enlarged)


class _FileRun:
    """What the steps of such a run share."""

    def __init__(
        self,
        content: str,
        styles: Sequence[str],
        target: Path,
        config: CommandConfig,
        checkpoint: Checkpoint | None,
        network: Mapping[str, Any] | None,
        inputs: Sequence[Any],
    ) -> None:
        self.content, self.styles, self.target = content, styles, target
        self.config, self.checkpoint, self.network = config, checkpoint, network
        self.inputs = [content, *styles, *config.files, *inputs]

    def go(self, until: tuple[int, int] | None, enlarged: bool) -> Outcome:
        """Run."""
        make_optimizer(self.config)  # its options are checked before any file is opened
        with stop_request(at_once=True) as request:
            self._check_outputs()
            check_memory(self.content, self.styles, self.config)
            progress = make_progress(self.config.quiet)
            with thread_limit(self.config.threads):
                return self._go(progress, request, until, enlarged)

    def _go(
        self, progress: Progress, request: StopRequest, until: tuple[int, int] | None, enlarged: bool
    ) -> Outcome:
        """Read, paint and write."""
        config = settled(self.content, self.config)
        stages = configurations(config)
        first = self.checkpoint.scale if self.checkpoint else 0
        if not 0 <= first < len(stages):
            raise UsageError("checkpoint", f"is of scale {first + 1}, of which there are {len(stages)}")
        with progress.preparing():
            prepared = [prepare(self.content, self.styles, stages[first])]
            about = self._about(prepared[0][0], config)
        lines = self._introduction(prepared[0][0], stages)
        observers, account, keeper = self._observers(progress, stages, about)
        course = Course(prepared, request, keeper, self.checkpoint, until, enlarged)
        request.at_once = False  # from here on there is something to save
        outcome = paint(self.content, self.styles, config, observers, lambda objective: lines, course)
        self._save(account, outcome, keeper)
        if keeper is not None and outcome.stopped is None:
            keeper.done()
        _sum_up(progress, outcome)
        return self._ended(outcome, request, keeper)

    def _about(self, objective: Objective, config: RunConfig) -> dict[str, Any]:
        """Return what is known of the run before it starts, by the parts of a manifest."""
        loaded = objective.loaded
        network = {"name": loaded.name, "weights": Path(loaded.weights).name, "sha256": loaded.sha256}
        if self.network is not None and self.network["sha256"] != loaded.sha256:
            names = (f"{shown(str(n['weights']))} with sha256:{n['sha256']}" for n in (self.network, network))
            raise WeightsError("weights", "expected those of the run, {}, got {}".format(*names))
        files = named_files(self.content, self.styles, self.config)
        folder = self.target.parent
        return introduction(self.content, self.styles, config) | {
            "network": network,
            "files": described(files, folder),
            **surroundings(config),
        }

    def _observers(
        self, progress: Progress, stages: Sequence[RunConfig], about: dict[str, Any]
    ) -> tuple[list[Observer], Account, Keeper | None]:
        """Return who is told what happens, in the order in which they are told."""
        config, checkpoint = self.config, self.checkpoint
        total = sum(stage.iterations for stage in stages)
        before = checkpoint.before["seconds"] + checkpoint.snapshot.seconds if checkpoint else 0.0
        account = Account(None if config.no_manifest else about, before)
        observers: list[Observer] = [progress, account]
        if config.log:
            observers.append(Log(config.log, self._records()))
        if config.save_every:
            every = SaveEvery(self.target, config.save_every, total, account.save_on_the_way)
            observers.append(every)
        if config.progress_sheet:
            observers.append(ProgressSheet(Path(config.progress_sheet), total))
        if checkpoint is not None:
            for observer in observers:
                observer.take_back(checkpoint.kept)
        if not config.checkpoint:
            return observers, account, None
        command = command_of(self.content, self.styles, self.target, config, about)
        keeper = Keeper(Path(config.checkpoint), config.checkpoint_every, command, observers)
        if checkpoint is not None:
            keeper.goes_on(checkpoint)
        return observers, account, keeper

    def _records(self) -> list[dict]:
        """Return the log's lines of the process that this one goes on after."""
        if self.checkpoint is None:
            return []
        before = self.checkpoint.before
        return joined_history(before["iterations"], before["history"], self.checkpoint.snapshot.history)

    def _check_outputs(self) -> None:
        """Refuse outputs that cannot be written, or that would replace an input or one another."""
        config, inputs = self.config, self.inputs
        check_output(self.target, inputs, config.force)
        outputs = {"the picture": self.target}
        if not config.no_manifest and (there := beside(self.target)) is not None:
            check_target(there, inputs, config.force)
            check_beside(self.target, config.force)
            outputs["the manifest"] = there
        if config.progress_sheet:
            check_output(config.progress_sheet, inputs, config.force)
            outputs["--progress-sheet"] = Path(config.progress_sheet)
        if config.log:
            check_target(config.log, inputs, config.force)
            outputs["--log"] = Path(config.log)
        if config.checkpoint:
            check_target(config.checkpoint, inputs, config.force)
            outputs["--checkpoint"] = Path(config.checkpoint)
            outputs["the checkpoint before"] = previous_of(config.checkpoint)
            if self.checkpoint is None and not config.force:
                check_replaceable(config.checkpoint)
        places: dict[Path, str] = {}
        for what, path in outputs.items():
            other = places.setdefault(path.resolve(), what)
            if other != what:
                raise OutputError(str(path), f"is asked for twice, by {other} and {what}")

    def _introduction(self, objective: Objective, stages: Sequence[RunConfig]) -> list[str]:
        """Return the lines that say what is about to be done."""
        config, last = objective.config, stages[-1]
        height, width = (round(side * last.size / config.size) for side in objective.content.shape[:2])
        losses = ", ".join(module.name for module in objective.modules)
        sizes = ", ".join(f"{stage.iterations} at {stage.size}" for stage in stages)
        lines = [
            f"content  {shown(self.content)}, painted at {width} x {height} pixels"
            + (f" from coarse to fine: iterations {sizes}" if len(stages) > 1 else ""),
            *(f"style    {shown(style)}" for style in self.styles),
            f"network  {objective.note}",
            f"losses   {losses} (preset {config.preset})",
        ]
        if config.device != "cpu":
            words = "products in TF32" if config.tf32 and objective.device == "cuda" else config.dtype
            lines.append(f"device   {objective.device_note}, {words}")
        if config.normalize_gradients:
            lines.append(
                "gradient normalized: each content and style gradient over its L1 norm. It is the gradient "
                "of no loss, which may rise; where a line search of L-BFGS fails, --optimizer adam has none"
            )
        if self.checkpoint is not None:
            done = self.checkpoint.before["iterations"] + self.checkpoint.snapshot.iterations
            lines.append(f"resumed  after iteration {done}")
            if config.chosen("optimizer") == "lbfgs-scipy":
                lines.append(
                    "         SciPy's L-BFGS keeps its history to itself, and begins anew: the picture will "
                    "not be that of an uninterrupted run (--optimizer lbfgs, our own, goes on exactly)"
                )
        return lines

    def _save(self, account: Account, outcome: Outcome, keeper: Keeper | None) -> None:
        """Write the picture; where that fails, try to keep it elsewhere, for it may be the work of hours."""
        try:
            account.save(self.target, outcome)
        except OutputError as error:
            hints = [f"`nst-manual resume {keeper.path}` saves it again"] if keeper else []
            with contextlib.suppress(OSError):
                place = Path(tempfile.mkdtemp(prefix="nst_manual-")) / f"picture{self.target.suffix}"
                try:
                    account.save(place, outcome)
                    hints.insert(0, f"the picture is in {place}")
                except OSError:
                    place.parent.rmdir()
            raise OutputError(error.what, error.cause, "; ".join(hints) or error.hint) from error

    def _ended(self, outcome: Outcome, request: StopRequest, keeper: Keeper | None) -> Outcome:
        """Return the outcome, with how to go on where it was stopped."""
        stopped = outcome.stopped
        if isinstance(stopped, StoppedError):
            outcome.stopped = None
        elif stopped is None and request.signal is not None:  # the signal came while the picture was saved
            outcome.stopped = Interrupted(
                request.signal.name, request.signal.value, "the picture was complete"
            )
        elif keeper is not None and isinstance(stopped, Interrupted) and keeper.written:
            hint = f"`nst-manual resume {keeper.path}` goes on"
            outcome.stopped = Interrupted(request.signal.name, request.signal.value, hint)
        elif isinstance(stopped, DivergedError):
            outcome.stopped = DivergedError(
                stopped.what, f"{stopped.cause}; the best picture before is saved", stopped.hint
            )
        return outcome


def _sum_up(progress: Progress, outcome: Outcome) -> None:
    """Say what came of it."""
    history = outcome.history
    # losses of different sizes do not compare
    losses = [record["loss"] for record in history if record["size"] == history[-1]["size"]]
    first = f"{losses[0]:.6g} -> " if losses else ""
    height, width = outcome.pixels.shape[:2]
    progress.say(
        f"{outcome.iterations} iterations in {duration(outcome.seconds)}; at {width} x {height} pixels loss "
        f"{first}{outcome.loss:.6g}, of the picture as saved (8 bits a channel): {outcome.saved_loss:.6g}"
    )
    if losses and outcome.loss > losses[0]:
        progress.say("the loss is higher than at the start: the learning rate may be too large")
    if outcome.message:
        progress.say(f"stopped after {outcome.iterations} iterations: {outcome.message}")
