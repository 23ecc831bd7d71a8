"""All targets and all planted mistakes, run: what `gradcheck` on the command line does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from nst_manual.check.gradcheck import gradcheck
from nst_manual.check.mutations import Mutation, mutations
from nst_manual.check.report import Report
from nst_manual.check.targets import Target, targets
from nst_manual.errors import UsageError, unknown_name

GROUPS = ("kernels", "modules", "losses", "networks")

# What is no gradient, and no check would pass: name -> why.
LEFT_OUT = {
    "normalized gradients (--normalize-gradients)": "a gradient over its L1 norm is that of no loss",
}


@dataclass(frozen=True)
class Caught:
    """What became of a planted mistake.

    Attributes
    ----------
    name : str
    caught : bool
        By at least one check.
    methods : list of str
        Which checks have seen it.
    cause : str
        What was said of it.
    """

    name: str
    caught: bool
    methods: list[str]
    cause: str


def chosen(wanted: Iterable[str]) -> list[Target]:
    """Return the targets of some groups or whose names begin with one of some words; all without any.

    Parameters
    ----------
    wanted : iterable of str
        "losses", "conv", "StyleLoss, paper"; capitals do not count.

    Raises
    ------
    UsageError
        A word that nothing begins with.
    """
    everything = list(targets())
    found: list[Target] = []
    for word in wanted:
        low = word.lower()
        some = [t for t in everything if low == t.group or t.name.lower().startswith(low)]
        if not some:
            raise unknown_name("gradcheck", word, (*GROUPS, *(target.name for target in everything)))
        found += [target for target in some if target not in found]
    return found or everything


def check_targets(wanted: Iterable[Target], seed: int = 0) -> Iterator[tuple[Target, Report]]:
    """Yield each target with its report."""
    for target in wanted:
        module, x = target.make(np.random.default_rng(seed))
        yield target, gradcheck(module, x, name=target.name, seed=seed)


def check_mutations(seed: int = 0, wanted: Iterable[Mutation] | None = None) -> Iterator[Caught]:
    """Yield what became of each planted mistake."""
    for mutation in mutations() if wanted is None else wanted:
        module, x = mutation.make(np.random.default_rng(seed))
        failures = gradcheck(module, x, name=mutation.name, seed=seed).failures
        cause = next((check.cause for check in failures if check.cause), "")
        yield Caught(mutation.name, bool(failures), [check.method for check in failures], cause)


def seeds(count: int) -> range:
    """Return the seeds to run; raise `UsageError` for less than one."""
    if count < 1:
        raise UsageError("--seeds", f"expected a whole number of at least 1, got {count}")
    return range(count)
