"""Check a backward pass: does it return the gradient of what forward computes, everywhere, every time?

    backward(x, dy) = d/dx [ sum(forward(x) * dy) + loss ]

No single method sees every mistake. Differences of nearby values do not see what is wrong by a part in ten
thousand, a test with an upstream gradient of ones does not see a kernel that was not turned, and one at
random numbers does not see what happens to ties. So several look, each at what it is exact for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nst_manual.check.adjoint import check_adjoint, is_affine
from nst_manual.check.diagnosis import likely_cause, where
from nst_manual.check.gradient import check_gradient
from nst_manual.check.invariance import check_invariance, check_same_again
from nst_manual.check.kinks import check_kinks
from nst_manual.check.report import Check, Report
from nst_manual.check.subject import Subject
from nst_manual.errors import UsageError


def gradcheck(
    module: Any,
    x: Any,
    *,
    name: str | None = None,
    seed: int = 0,
    alternatives: Mapping[str, Any] | None = None,
    factors: Mapping[str, float] | None = None,
) -> Report:
    """Check the gradient of a module, a layer of one's own, a loss or a whole network.

    Parameters
    ----------
    module : object
        With `forward(x)` -> y and `backward(x, dy)` -> dx. A `loss` that it has after `forward` is part of
        the function, and backward is expected to add its gradient. It should compute in float64.
    x : array
        Where to check: random numbers of a small, not square shape see most. Images are (N, H, W, C).
    name : str, optional
        For the report; the type's name without it.
    seed : int
        Of the upstream gradient and the directions.
    alternatives : dict of str to array or callable, optional
        Wrong gradients that are known mistakes, by the words to say; see
        `nst_manual.check.diagnosis.likely_cause`. Those of convolutions are known.
    factors : dict of str to float, optional
        Numbers that may have been forgotten, by name.

    Returns
    -------
    Report
        `report.passed`; `print(report)` says what was checked, the error beside its bound, where it is wrong
        and the likely cause.

    Raises
    ------
    UsageError
        No `forward` or `backward`, or no array of real numbers comes out of forward; a loss whose gradients
        are normalised, which are the gradient of nothing.

    Examples
    --------
    >>> import numpy as np
    >>> class Square:
    ...     def forward(self, x):
    ...         return x**2
    ...     def backward(self, x, dy):
    ...         return x * dy
    >>> report = gradcheck(Square(), np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> report.passed
    False
    >>> report.failures[0].cause.split(":")[0]
    'it is half as large as it should be'
    """
    name = name or type(module).__name__
    for part in module.walk() if hasattr(module, "walk") else [module]:
        if getattr(part, "normalized", False):
            cause = f"{part.name or type(part).__name__} divides its gradient by its L1 norm"
            raise UsageError(name, cause, "that is the gradient of no loss: there is nothing to check")
    subject = Subject(module, x, seed)
    report = Report()
    dx, problem = _first_backward(name, subject)
    if dx is None:
        return Report([problem])
    report.checks.append(check_gradient(name, subject, dx, alternatives or {}, factors or {}))
    report.checks.append(check_same_again(name, subject, dx))
    if report.passed:  # else these would say the same once more
        if is_affine(subject):
            report.checks.append(check_adjoint(name, subject))
        report.extend(check_kinks(name, subject))
    report.extend(check_invariance(name, subject, dx))
    return report


def _first_backward(name: str, subject: Subject) -> tuple[np.ndarray | None, Check | None]:
    """Return the gradient, or what is wrong before any number is looked at."""
    dx = subject.backward()
    method = "what backward returns"
    if not isinstance(dx, np.ndarray):
        words = "nothing: is there a `return`?" if dx is None else type(dx).__name__
        return None, Check(name, method, np.inf, 0, False, f"expected an array, got {words}")
    if dx.shape != subject.x.shape:
        expected = f"shape {dx.shape}, expected that of x, {subject.x.shape}"
        cause = likely_cause(dx, np.zeros(subject.x.shape))
        return None, Check(name, method, np.inf, 0, False, expected, cause)
    if dx.dtype.kind not in "f":
        return None, Check(name, method, np.inf, 0, False, f"expected real numbers, got {dx.dtype}")
    if not np.isfinite(dx).all():
        zeros = np.zeros(dx.shape)
        return None, Check(name, method, np.inf, 0, False, where(dx, zeros), likely_cause(dx, zeros + 1))
    return dx.copy(), None  # a buffer that the next pass writes
