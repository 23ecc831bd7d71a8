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
from nst_manual.check.causes import by_parts, known_mistakes, own_part
from nst_manual.check.derivatives import (
    central_gradient,
    central_slope,
    complex_gradient,
    complex_slope,
    step_size,
)
from nst_manual.check.diagnosis import likely_cause, relative_error, where
from nst_manual.check.invariance import check_invariance, check_same_again
from nst_manual.check.kinks import check_kinks
from nst_manual.check.report import Check, Report, judged
from nst_manual.check.subject import Subject

# Up to so many elements each has its own derivative; of more, some directions have.
ELEMENTS = 2000
DIRECTIONS = 4
# Relative errors that rounding explains: of a complex step in float64, of central differences, of anything
# that is computed in float32.
EXACT, DIFFERENCES, NARROW = 1e-11, 1e-6, 1e-3


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
        No `forward` or `backward`, or no array of real numbers comes out of forward.

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
    subject = Subject(module, x, seed)
    report = Report()
    dx, problem = _first_backward(name, subject)
    if dx is None:
        return Report([problem])
    report.checks.append(_gradient(name, subject, dx, alternatives or {}, factors or {}))
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
    return dx.copy(), None  # a buffer that the next pass writes


def _gradient(name: str, subject: Subject, dx: np.ndarray, alternatives: Mapping, factors: Mapping) -> Check:
    """Compare dx with derivatives of forward."""
    exact = subject.takes_complex()
    bound = NARROW if subject.narrow else EXACT if exact else DIFFERENCES
    method = "complex step" if exact else "central differences"
    note = ""
    if subject.narrow:
        note = "forward computes in float32: a module in float64 is checked to ten digits more"
    if subject.x.size <= ELEMENTS:
        expected = _derivatives(subject, exact)
        error = relative_error(dx, expected, _size(subject, expected))
        check = judged(name, f"{method}, each element", error, bound)
        if not check.passed:
            check = _diagnosed(check, subject, dx, expected, bound, alternatives, factors)
        return _with_note(check, note)
    return _with_note(_along_directions(name, subject, dx, exact, bound, alternatives, factors), note)


def _derivatives(subject: Subject, exact: bool) -> np.ndarray:
    if exact:
        return complex_gradient(subject.value, subject.x)
    return central_gradient(subject.value, subject.x, step_size(subject.x, subject.y.dtype.name))


def _size(subject: Subject, expected: np.ndarray) -> np.ndarray:
    """Return what an error is relative to: the gradient, or eps of the numbers that cancel in it."""
    scale = np.linalg.norm(expected)
    floor = (
        1e-6 * np.linalg.norm(subject.dy) * np.linalg.norm(subject.y) / max(np.linalg.norm(subject.x), 1e-300)
    )
    return np.array([max(scale, floor)])


def _along_directions(
    name: str,
    subject: Subject,
    dx: np.ndarray,
    exact: bool,
    bound: float,
    alternatives: Mapping,
    factors: Mapping,
) -> Check:
    """Compare slopes along random directions of signs; where one differs, find an element that does."""
    slope = complex_slope if exact else central_slope
    method = "complex step" if exact else "central differences"
    worst, x = 0.0, subject.x
    bad = None
    for _ in range(DIRECTIONS):
        direction = subject.rng.standard_normal(x.shape)
        expected = slope(subject.value, x, direction)
        error = abs(expected - np.vdot(dx, direction)) / (np.linalg.norm(dx) or abs(expected) or 1.0)
        if error > worst:
            worst, bad = error, direction
    check = judged(name, f"{method}, {DIRECTIONS} directions", worst, bound)
    if check.passed or bad is None:
        return check
    place = _bisect(subject, dx, bad, slope)
    unit = np.zeros(x.shape)
    unit[place] = 1
    right = slope(subject.value, x, unit)
    words = f"found by bisection: at {_indices(place)}: {dx[place]:.6g} where {right:.6g} is right"
    cause = _constant_factor(subject, dx, slope) or _small_copy_cause()
    return Check(name, check.method, check.error, check.bound, False, words, cause)


def _bisect(subject: Subject, dx: np.ndarray, direction: np.ndarray, slope: Any) -> tuple[int, ...]:
    """Return an element at which dx is wrong: halves of the direction, each time the one that errs more."""
    elements = np.arange(direction.size)
    while len(elements) > 1:
        halves, errors = np.array_split(elements, 2), []
        for half in halves:
            part = np.zeros(direction.size)
            part[half] = direction.ravel()[half]
            part = part.reshape(direction.shape)
            errors.append(abs(slope(subject.value, subject.x, part) - np.vdot(dx, part)))
        elements = halves[int(errors[1] > errors[0])]
    return tuple(int(i) for i in np.unravel_index(elements[0], direction.shape))


def _constant_factor(subject: Subject, dx: np.ndarray, slope: Any) -> str:
    """Say that dx is a multiple of the gradient, if all directions have the same ratio."""
    ratios = []
    for _ in range(3):
        direction = subject.rng.standard_normal(dx.shape)
        ratios.append(np.vdot(dx, direction) / slope(subject.value, subject.x, direction))
    if not np.allclose(ratios, ratios[0], rtol=1e-5):
        return ""
    return likely_cause(np.array([1.0]) * np.mean(ratios), np.array([1.0]), bound=1e-5)


def _small_copy_cause() -> str:
    return "a smaller x (up to 2000 elements) is compared element by element, and says more"


def _diagnosed(
    check: Check,
    subject: Subject,
    dx: np.ndarray,
    expected: np.ndarray,
    bound: float,
    alternatives: Mapping,
    factors: Mapping,
) -> Check:
    """Return the check with what can be said of the mistake."""
    noticeable = max(bound, 1e-11)
    mistakes = dict(alternatives) | known_mistakes(subject, expected)
    numbers = (
        {"the batch size": float(subject.x.shape[0])} if subject.x.ndim > 1 and len(subject.x) > 1 else {}
    )
    if subject.x.ndim == 4:
        numbers |= {"the number of positions, H W": float(np.prod(subject.x.shape[1:3]))}
        numbers |= {"the number of channels": float(subject.x.shape[3])}
    numbers |= factors
    bound = max(bound, 1e-9)
    cause = likely_cause(dx, expected, bound=bound, alternatives=mistakes, factors=numbers)
    if subject.loss() and (not cause or "times what" in cause):
        # of a loss, what it adds is looked at by itself
        own = own_part(subject)
        cause = likely_cause(dx - (expected - own), own, bound=bound, factors=numbers)
        cause = cause and f"of the gradient that the loss adds: {cause}"
    cause = cause or by_parts(subject, dx, expected, bound)
    return Check(
        check.name, check.method, check.error, check.bound, False, where(dx, expected, noticeable), cause
    )


def _with_note(check: Check, note: str) -> Check:
    return Check(**{**vars(check), "note": note}) if note else check


def _indices(place: tuple[int, ...]) -> str:
    from nst_manual.check.diagnosis import AXES

    names = AXES.get(len(place), tuple(f"axis {axis}" for axis in range(len(place))))
    return ", ".join(f"{name} {i}" for name, i in zip(names, place, strict=True))
