"""`plan`: the memory and the time of a run before it starts."""

from __future__ import annotations

import json
import math
import time
from dataclasses import fields
from typing import Annotated, Any

import typer

from nst_manual.cli.config_file import ConfigFile, options_for
from nst_manual.cli.options import given, with_options
from nst_manual.config import CommandConfig, RunConfig, command_config

OPTIONS = (*(field.name for field in fields(RunConfig)), "checkpoint")
# Of photograph and paintings where none are given: height and width in pixels.
USUAL = 1000, 1500
MEBIBYTE = 2**20
# The measurement: side of a square in pixels, and how long.
SMALL, MEASURED_SECONDS = 160, 0.7
EVALUATIONS = 1.1  # an iteration; L-BFGS makes a few more than one
OF_THE_NETWORK = (
    "network",
    "pooling",
    "dtype",
    "algorithm",
    "device",
    "tf32",
    "plain",
    "preset",
    "style_representation",
    "content_layers",
    "style_layers",
    "content_weight",
    "style_weight",
    "tv_weight",
)


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(with_options(CommandConfig, OPTIONS)(plan))


def plan(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONTENT STYLE",
            help="The photograph and the paintings, of which the headers are read. "
            "[dim]\\[default: pictures of 3:2][/dim]",
            show_default=False,
        ),
    ] = None,
    config_file: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    *,
    options: dict[str, Any],
) -> None:
    """Print how much memory and time a run will need, and the largest size that fits.

    Options are those of run. Nothing is painted: memory follows from the sizes, and the time is an estimate
    from a short measurement of this machine with a small picture.
    """
    config = command_config(options_for(config_file, CommandConfig, OPTIONS, "plan") | given(options))

    from nst_manual.errors import ImageError
    from nst_manual.run.estimate import largest_size, stages_of
    from nst_manual.run.memory import greediest, source_sizes

    content, paintings = USUAL, [USUAL]
    if images:
        found = source_sizes(images[0], images[1:])
        if found is None:
            raise ImageError("content", "has no pixels")
        content, paintings = found[0], found[1] or paintings
    estimated, limit, words = greediest(config)
    needed = estimated(config, content, paintings)
    fits = limit is None or needed.bytes <= limit
    largest = None if limit is None else largest_size(config, content, paintings, limit, estimated)
    stages = stages_of(config, content)
    second = evaluations_a_second(config, stages[-1][1])
    iteration = EVALUATIONS / second if second else None
    pixels = math.prod(stages[-1][1])
    whole = iteration and sum(iteration * n * math.prod(size) / pixels for n, size in stages)
    if as_json:
        report = {
            "estimate_mb": round(needed.bytes / MEBIBYTE, 1),
            "fits": fits,
            "tiles": 1,
            "largest_size": largest,
            "available_mb": None if limit is None else round(limit / MEBIBYTE, 1),
            "size": list(stages[-1][1]),
            "stage": needed.stage,
            "parts_mb": {name: round(number / MEBIBYTE, 1) for name, number in needed.parts.items()},
            "seconds_per_iteration": iteration and round(iteration, 3),
            "seconds": whole and round(whole, 1),
        }
        print(json.dumps(report))
        return
    height, width = stages[-1][1]
    lines = [f"{words}: {'it fits' if fits else 'it does not fit'}"]
    if largest is not None and config.size_rule != "original":
        lines.append(f"largest --size that fits: {largest}" if largest else "no size fits")
    if iteration:
        count = sum(iterations for iterations, _ in stages)
        lines.append(
            f"about {_time(iteration)} an iteration at that size, {_time(whole)} for all {count}; estimated "
            "from a small picture, with this machine as busy as it is now"
        )
    _print(f"{width} x {height} pixels; most memory is taken while {needed.stage}", needed.parts, lines)


def evaluations_a_second(config: RunConfig, size: tuple[int, int]) -> float | None:
    """Return how many evaluations of loss and gradient this machine makes a second at a size (H, W).

    A small picture is evaluated for about a second, with random weights; time goes with the pixels. None
    where there is not the memory for it.
    """
    import numpy as np

    from nst_manual.config import objective_config
    from nst_manual.errors import NstError
    from nst_manual.objective import Objective
    from nst_manual.threads import thread_limit

    noise = np.random.default_rng(0).integers(0, 256, (SMALL, SMALL, 3), dtype=np.uint8)
    values = {name: getattr(config, name) for name in OF_THE_NETWORK}
    try:
        with thread_limit(config.threads):
            objective = Objective(
                noise, [noise], config=objective_config(values | {"size": SMALL, "weights": "random"})
            )
            image = objective.place(noise[None].astype(config.dtype))
            objective(image)  # the first one allocates
            count, began = 0, time.perf_counter()
            while time.perf_counter() - began < MEASURED_SECONDS:
                objective(image)
                count += 1
            seconds = (time.perf_counter() - began) / count
    except (MemoryError, NstError):
        return None
    return SMALL**2 / math.prod(size) / seconds


def _print(title: str, parts: dict[str, int], lines: list[str]) -> None:
    from rich.table import Table

    from nst_manual.cli.console import stdout
    from nst_manual.run.memory import amount

    table = Table()
    table.add_column("part")
    table.add_column("memory", justify="right")
    for name, number in parts.items():
        table.add_row(name, amount(number))
    table.add_section()
    table.add_row("in all", amount(sum(parts.values())))
    console = stdout()
    console.print(title, soft_wrap=True)
    console.print(table)
    for line in lines:
        console.print(line, soft_wrap=True)


def _time(seconds: float) -> str:
    """Return seconds in words, to two digits or so."""
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
