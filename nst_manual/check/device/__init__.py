"""What a GPU has to pass: every kernel, module, loss, network and optimiser against NumPy in float64.

    >>> from nst_manual.check.device import available, checks
    >>> available() or [check.run() for check in checks()]               # doctest: +SKIP

Plain functions, so that they run where no test runner is installed. The CPU's answers are what the package's
own tests hold against loops, complex steps and other frameworks.
"""

from __future__ import annotations

from collections.abc import Iterator

from nst_manual.check.device.case import Check, Outcome, judge

__all__ = ["Check", "Outcome", "available", "checks", "judge"]


def available() -> str:
    """Return why there is no GPU to check, or ""."""
    from nst_manual.backend import open_device
    from nst_manual.errors import UsageError

    try:
        open_device("cuda")
    except UsageError as error:
        return error.cause
    return ""


def checks(quick: bool = False) -> Iterator[Check]:
    """Yield all checks, the simplest first; nothing is computed before one is run.

    Parameters
    ----------
    quick : bool
        Fewer whole networks, and fewer layers of them: a minute where there is no GPU but a stand-in.
    """
    from nst_manual.check.device import convolutions, fused, memory, modules, networks, optimizers, products

    for part in (products, convolutions, fused, modules):
        yield from part.checks()
    yield from networks.checks(quick)
    for part in (optimizers, memory):
        yield from part.checks()
