"""What a check found: the error beside its bound, where it is wrong, and the likely cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nst_manual.check.diagnosis import finite


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes
    ----------
    name : str
        What: a kernel, a module, a loss, a network.
    method : str
        How, as "complex step" or "adjoint identity".
    error : float
        Relative unless the method says otherwise.
    bound : float
        The largest error that rounding explains.
    passed : bool
    where : str
        Which elements are wrong, in words.
    cause : str
        The likely mistake, in words, where one is known.
    note : str
        What else is worth knowing, as what was left out and why.
    """

    name: str
    method: str
    error: float
    bound: float
    passed: bool
    where: str = ""
    cause: str = ""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what the JSON has; an error that is not finite is None there."""
        values = dataclasses.asdict(self)
        return values | {"error": finite(self.error)}


def judged(name: str, method: str, error: float, bound: float, **words: str) -> Check:
    """Return a check that has passed where the error is within the bound; NaN is not."""
    error = float(error)
    passed = error <= bound
    return Check(name, method, error, bound, passed, **({} if passed else words))


@dataclass
class Report:
    """The checks of one subject, or of several.

    Attributes
    ----------
    checks : list of Check
    """

    checks: list[Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all passed, and there was at least one."""
        return bool(self.checks) and not self.failures

    @property
    def failures(self) -> list[Check]:
        """The checks that have not passed."""
        return [check for check in self.checks if not check.passed]

    def extend(self, checks: Iterable[Check]) -> None:
        """Add checks."""
        self.checks.extend(checks)

    def __str__(self) -> str:
        """Return a table for a terminal of 80 columns, and below it what is wrong."""
        if not self.checks:
            return "nothing was checked"
        lines = [f"{'':6} {'error':>9} {'bound':>9}  {'what, and how'}"]
        for check in self.checks:
            mark = "ok" if check.passed else "WRONG"
            lines.append(f"{mark:6} {check.error:9.1e} {check.bound:9.0e}  {check.name}: {check.method}")
            for words in (check.where, check.cause and f"likely: {check.cause}", check.note):
                if words:
                    lines.append(f"{'':26}  {words}")
        count = len(self.failures)
        lines.append(f"{len(self.checks)} checks, " + (f"{count} failed" if count else "all passed"))
        return "\n".join(lines)
