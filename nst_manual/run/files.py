"""A run that reads files and writes files: what the command line does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nst_manual.config import CommandConfig, RunConfig
from nst_manual.errors import OutputError
from nst_manual.images import check_output, check_target, save_image
from nst_manual.objective import Objective
from nst_manual.run.events import Observer
from nst_manual.run.job import Outcome, prepare
from nst_manual.run.observers import Log, ProgressSheet, SaveEvery
from nst_manual.run.progress import Progress, duration, make_progress
from nst_manual.run.record import record
from nst_manual.run.scales import configurations, paint, settled


def run_to_files(content: str, styles: Sequence[str], target: Path, config: CommandConfig) -> Outcome:
    """Make the picture, write it to `target`, and write whatever else the configuration asks for.

    All that can be checked is checked before the work starts. A run that a signal or a loss without bounds
    has stopped saves its picture all the same; the outcome's `stopped` says why.

    Raises
    ------
    NstError
        Wrong input, or an output that cannot be written.
    """
    _check_outputs([content, *styles], target, config)
    progress = make_progress(config.quiet)
    config = settled(content, config)
    stages = configurations(config)
    with progress.preparing():
        prepared = prepare(content, styles, stages[0])
    texts = record(content, styles, config)
    observers: list[Observer] = [progress]
    total = sum(stage.iterations for stage in stages)
    if config.log:
        observers.append(Log(config.log))
    if config.save_every:
        observers.append(SaveEvery(target, config.save_every, total, texts))
    if config.progress_sheet:
        observers.append(ProgressSheet(Path(config.progress_sheet), total))

    def introduction(objective: Objective) -> list[str]:
        return _introduction(content, styles, objective, stages)

    outcome = paint(content, styles, config, observers, introduction, prepared)
    save_image(target, outcome.pixels, texts)
    _sum_up(progress, outcome)
    return outcome


def _check_outputs(inputs: list[str], target: Path, config: CommandConfig) -> None:
    """Refuse outputs that cannot be written, or that would replace an input or one another."""
    inputs = [*inputs, *config.files]
    check_output(target, inputs, config.force)
    outputs = {"the picture": target}
    if config.progress_sheet:
        check_output(config.progress_sheet, inputs, config.force)
        outputs["--progress-sheet"] = Path(config.progress_sheet)
    if config.log:
        check_target(config.log, inputs, config.force)
        outputs["--log"] = Path(config.log)
    places: dict[Path, str] = {}
    for what, path in outputs.items():
        other = places.setdefault(path.resolve(), what)
        if other != what:
            raise OutputError(str(path), f"is asked for twice, by {other} and {what}")


def _introduction(
    content: str, styles: Sequence[str], objective: Objective, stages: Sequence[RunConfig]
) -> list[str]:
    """Return the lines that say what is about to be done."""
    config = objective.config
    last = stages[-1]
    height, width = (round(side * last.size / config.size) for side in objective.content.shape[:2])
    losses = ", ".join(module.name for module in objective.modules)
    sizes = ", ".join(f"{stage.iterations} at {stage.size}" for stage in stages)
    lines = [
        f"content  {content}, painted at {width} x {height} pixels"
        + (f" from coarse to fine: iterations {sizes}" if len(stages) > 1 else ""),
        *(f"style    {style}" for style in styles),
        f"network  {objective.note}",
        f"losses   {losses} (preset {config.preset})",
    ]
    if config.normalize_gradients:
        lines.append(
            "gradient normalized: each content and style gradient over its L1 norm. It is the gradient of no "
            "loss, which may rise; where a line search of L-BFGS fails, --optimizer adam has none"
        )
    return lines


def _sum_up(progress: Progress, outcome: Outcome) -> None:
    """Say what came of it."""
    first = "" if progress.first_loss is None else f"{progress.first_loss:.6g} -> "
    height, width = outcome.pixels.shape[:2]
    progress.say(
        f"{outcome.iterations} iterations in {duration(outcome.seconds)}; at {width} x {height} pixels loss "
        f"{first}{outcome.loss:.6g}, of the picture as saved (8 bits a channel): {outcome.saved_loss:.6g}"
    )
    if outcome.message:
        progress.say(f"stopped early: {outcome.message}")
