"""Coarse to fine beside painting at once, for the same time: which ends with the lower loss?

    python tools/compare_scales.py [--size PIXELS] [--seconds NUMBER] [--pair CONTENT STYLE]... [--out FOLDER]

Each run has `--seconds` of wall time, all scales and the reading of pictures together; losses are those of
the picture as saved, at the full size, under the same objective. Coarse to fine is as `run` has it, with few
iterations between the first scale and the last; `--all` adds as many iterations at each scale, sizes that
double, and an optimiser that carries its state over. Without pairs, the sample photograph and three of the
sample paintings. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from nst_manual.config import run_config
from nst_manual.errors import Interrupted
from nst_manual.images import contact_sheet, resize, save_image, to_network, to_uint8
from nst_manual.run import prepare, run_job
from nst_manual.run.events import Iteration, Observer
from nst_manual.run.job import Part
from nst_manual.run.scales import BETWEEN, configurations
from nst_manual.samples import CONTENT, sample_path

PAINTINGS = ("flow.jpg", "mosaic.jpg", "woodcut.jpg")
MANY = 1_000_000


class Deadline(Observer):
    """Ends a run at a moment."""

    def __init__(self, moment: float) -> None:
        self.moment = moment

    def iteration(self, event: Iteration) -> None:
        """Stop where the next iteration would begin too late."""
        if time.perf_counter() >= self.moment:
            raise Interrupted("SIGALRM", 14)


def timed_run(content: str, style: str, options: dict, seconds: float, between: float) -> tuple:
    """Return the last outcome, its objective, iterations of each scale, and the seconds.

    Between the first and the last scale a run makes `between` times as many iterations as at those, as nearly
    as seconds in proportion to pixels bring that about.
    """
    config = run_config(options | {"iterations": MANY})
    stages = configurations(config)
    weights = [stage.size**2 * (1 if stage in (stages[0], stages[-1]) else between) for stage in stages]
    began = time.perf_counter()
    outcome, counts = None, []
    for number, stage in enumerate(stages):
        objective, start = prepare(content, [style], stage)
        memory = None
        if outcome is not None:
            start = resize(outcome.moved, objective.content.shape[:2])
            memory = outcome.memory
        end = began + seconds * sum(weights[: number + 1]) / sum(weights)
        outcome = run_job(objective, start, stage, [Deadline(end)], part=Part(memory=memory))
        counts.append(outcome.iterations)
    return outcome, objective, counts, time.perf_counter() - began


def main() -> None:
    """Measure, print, and make sheets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--network", default="vgg16")
    parser.add_argument("--preset", default="gatys")
    parser.add_argument("--pair", nargs=2, action="append", metavar=("CONTENT", "STYLE"))
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--out", type=Path, help="folder for a sheet of each pair")
    given = parser.parse_args()
    samples = [[str(sample_path(CONTENT)), str(sample_path(painting))] for painting in PAINTINGS]
    base = {"network": given.network, "preset": given.preset, "size": given.size}
    ways = {"at once": ({"scales": 1}, 1.0), "coarse to fine": ({}, BETWEEN)}
    if given.all:
        ways |= {
            "coarse to fine, as many iterations": ({}, 1.0),
            "coarse to fine, sizes that double": ({"scale_factor": 2}, 1.0),
            "coarse to fine, state carried over": ({"scale_state": "carried"}, BETWEEN),
        }
    for content, style in given.pair or samples:
        print(
            f"{Path(content).name}, {Path(style).name}: {given.size} pixels, {given.seconds:g} s", flush=True
        )
        pictures, first = [], None
        for name, (options, between) in ways.items():
            outcome, objective, counts, seconds = timed_run(
                content, style, base | options, given.seconds, between
            )
            saved = objective.measure_picture(to_network(to_uint8(outcome.pixels)))
            first = first or saved
            print(
                f"  {name:38s} {saved:12.6g}  {saved / first:.3f} of that at once  "
                f"iterations {', '.join(map(str, counts)):12s} {seconds:.0f} s",
                flush=True,
            )
            pictures.append((f"{name}: {saved:.4g}", outcome.pixels))
        if given.out:
            sheet = given.out / f"{Path(content).stem}-{Path(style).stem}.png"
            save_image(sheet, contact_sheet(pictures, columns=2))


if __name__ == "__main__":
    main()
