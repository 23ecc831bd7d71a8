"""What was found, for a terminal and as JSON."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from nst_manual.check.exercises.base import BOUND
from nst_manual.check.exercises.course import COMMAND

INDENT = " " * 7
UNWRITTEN = "not written yet"


@dataclass(frozen=True)
class Finding:
    """One result of one call.

    Attributes
    ----------
    function, case : str
        What was called, and with what, in words.
    result : str
        Which of several results.
    passed : bool
    error : float or None
        Relative error; None where there was nothing to compare.
    problem, where, cause : str
        What is wrong, at which elements, and the likely mistake; empty where there is nothing to say.
    traceback : list of str
        The student's lines.
    """

    function: str
    case: str
    result: str = ""
    passed: bool = False
    error: float | None = None
    problem: str = ""
    where: str = ""
    cause: str = ""
    traceback: list[str] = field(default_factory=list)

    @property
    def why(self) -> tuple[Any, ...]:
        """What two failures have in common that need not be told twice."""
        what = (self.cause,) if self.cause and not self.traceback else (self.problem, *self.traceback)
        return (self.function, self.result, what)


@dataclass
class Report:
    """The findings of one file.

    Attributes
    ----------
    exercise, path : str
    findings : list of Finding
    problem : str
        Why nothing could be checked: the file does not load.
    traceback : list of str
        To the problem.
    """

    exercise: str
    path: str
    findings: list[Finding] = field(default_factory=list)
    problem: str = ""
    traceback: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything is right, and something was checked."""
        return bool(self.findings) and not self.problem and all(finding.passed for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints; an error that is not finite is None there."""
        checks = [dataclasses.asdict(finding) | {"bound": BOUND} for finding in self.findings]
        for check in checks:
            if check["error"] is not None and not math.isfinite(check["error"]):
                check["error"] = None
        return {
            "exercise": self.exercise,
            "file": self.path,
            "passed": self.passed,
            "problem": self.problem,
            "traceback": self.traceback,
            "checks": checks,
        }

    def lines(self, width: int = 80) -> list[str]:
        """Return the report as text of that many columns."""
        lines = [f"{self.exercise}  {self.path}", ""]
        if self.problem:
            return (
                lines
                + _wrapped(f"{'WRONG':7}", self.problem, width)
                + [f"{INDENT}{s}" for s in self.traceback]
            )
        alike = Counter(finding.why for finding in self.findings if not finding.passed)
        for finding in self.findings:
            if finding.passed or finding.why in alike:
                lines += _finding(finding, alike.pop(finding.why, 1) - 1, width)
        hint = [] if self.passed else [f"A hint: {COMMAND} hint {self.exercise}"]
        return [*lines, "", self.summary(), *hint]

    def summary(self) -> str:
        """Return how many have passed."""
        count = len(self.findings)
        wrong = sum(not finding.passed for finding in self.findings)
        if not wrong:
            return f"All {count} checks passed."
        return f"{count - wrong} of {count} checks passed."


def _finding(finding: Finding, others: int, width: int) -> list[str]:
    """Return the lines of one finding, which stands for so many others too."""
    if finding.problem.startswith(UNWRITTEN):
        return _wrapped("TODO   ", f"{finding.function}: {finding.problem}", width)
    what = finding.function + (f", {finding.result}" if finding.result else "")
    lines = _wrapped("ok     " if finding.passed else "WRONG  ", f"{what}: {finding.case}", width)
    if finding.passed:
        return lines
    if finding.problem:
        lines += _wrapped(INDENT, finding.problem, width)
    if finding.error is not None:
        lines += _wrapped(INDENT, f"relative error {finding.error:.1e}, allowed {BOUND:.0e}", width)
    if finding.where:
        lines += _wrapped(f"{INDENT}where   ", finding.where, width)
    if finding.cause:
        lines += _wrapped(f"{INDENT}likely  ", finding.cause, width)
    lines += [f"{INDENT}{line}" for line in finding.traceback]
    if others:
        lines.append(f"{INDENT}and {others} more for the same reason")
    return lines


def _wrapped(start: str, text: str, width: int) -> list[str]:
    """Return text in lines that begin below one another."""
    rest = " " * len(start)
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )
