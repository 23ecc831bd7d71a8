"""Compare the kinds of L-BFGS: the loss after equal numbers of evaluations, and the time that each takes for
itself.

    python tools/compare_optimizers.py [--size PIXELS] [--evaluations NUMBER] [--network NAME]
        [--history NUMBER] [--preset NAME] [--init START] [--threads NUMBER] [--optimizers NAME ...]

The sample photograph with three of the sample paintings. A number under 1 in the last lines of a painting
means a lower loss than SciPy's; the last table has the geometric means over the paintings.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable

import numpy as np

from nst_manual.config import RunConfig, run_config
from nst_manual.errors import DivergedError
from nst_manual.optim import LBFGS, Optimizer, ScipyLBFGS
from nst_manual.run.job import prepare
from nst_manual.samples import CONTENT, STYLES, sample_path
from nst_manual.threads import thread_limit

PAINTINGS = STYLES[:3]


def always_one(along, loss: float, slope: float) -> float:  # noqa: ANN001 - as strong_wolfe
    """Take the step 1, whatever the loss there: the rule of neural-style."""
    along(1.0)
    return 1.0


class UnitSteps(LBFGS):
    """Our L-BFGS without line search, and with our first step."""

    search = staticmethod(always_one)


class PeersSteps(UnitSteps):
    """The same with the first step of neural-style and PyTorch: the gradient, of absolute sum 1 at most."""

    @staticmethod
    def first_scale(gradient: np.ndarray) -> float:
        """Return the factor on the first gradient."""
        return min(1.0, 1.0 / float(np.abs(gradient).sum(dtype=np.float64)))


OPTIMIZERS = {"scipy": ScipyLBFGS, "own": LBFGS, "unit-steps": UnitSteps, "peers-steps": PeersSteps}


class EnoughError(Exception):
    """The evaluations are used up."""


def losses_of(optimizer: Optimizer, config: RunConfig, style: str, evaluations: int) -> tuple[list, float]:
    """Return the losses of all evaluations, and the optimiser's own time as a share of the whole."""
    objective, start = prepare(sample_path(CONTENT), [sample_path(style)], config)
    losses, inside = [], 0.0

    def f(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal inside
        if len(losses) == evaluations:
            raise EnoughError
        began = time.perf_counter()
        loss, gradient = objective(x)
        inside += time.perf_counter() - began
        losses.append(loss)
        return loss, gradient

    with thread_limit(config.threads):
        began = time.perf_counter()
        try:
            result = optimizer.minimize(f, start[None].astype(config.dtype), evaluations)
            print(f"  ended early: {result.message}")
        except EnoughError:
            pass
        except DivergedError as error:
            print(f"  diverged: {error}")
        share = 1 - inside / (time.perf_counter() - began)
    return losses, share


def lowest(losses: list, counts: Iterable[int]) -> list[float]:
    """Return the lowest of the first so many losses."""
    return [min(losses[:count]) for count in counts]


def main() -> None:
    """Run and print."""
    arguments = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    arguments.add_argument("--size", type=int, default=128)
    arguments.add_argument("--evaluations", type=int, default=100)
    arguments.add_argument("--network", default="vgg16")
    arguments.add_argument("--history", type=int, default=10)
    arguments.add_argument("--preset", default="gatys")
    arguments.add_argument("--init", default=None)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), choices=OPTIMIZERS)
    given = arguments.parse_args()
    options = {name: getattr(given, name) for name in ("size", "network", "preset", "init", "threads")}
    config = run_config(options)
    counts = [count for count in (25, 50, 100) if count < given.evaluations] + [given.evaluations]

    print(f"{given.preset}, {given.size} px, history {given.history}")
    print("lowest loss after", *counts, "evaluations")
    ratios: dict[str, list] = {}
    for style in PAINTINGS:
        print(style)
        base = None
        for name in given.optimizers:
            losses, share = losses_of(OPTIMIZERS[name](given.history), config, style, given.evaluations)
            found = lowest(losses, counts)
            base = base or found
            ratios.setdefault(name, []).append([math.log(a / b) for a, b in zip(found, base, strict=True)])
            numbers = " ".join(f"{loss:12.6g}" for loss in found)
            relative = " ".join(f"{math.exp(ratio):7.4f}" for ratio in ratios[name][-1])
            print(f"  {name:12} {numbers}   {relative}   own time {share:.1%}", flush=True)
    print(f"geometric mean of the losses, {given.optimizers[0]} = 1")
    for name, rows in ratios.items():
        print(f"  {name:12}", " ".join(f"{value:7.4f}" for value in np.exp(np.mean(rows, axis=0))))


if __name__ == "__main__":
    main()
