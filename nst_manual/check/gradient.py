"""The gradient against derivatives of forward: each element of a small x, some directions of a large one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np

from nst_manual.check.causes import by_parts, known_mistakes, own_part
from nst_manual.check.derivatives import central_slope, complex_slope, step_size
from nst_manual.check.diagnosis import likely_cause, place_of, relative_error, where
from nst_manual.check.noise import DEVIATIONS, NEAR, OF_SLOPE, balanced_step, judged_with_noise, noise_of
from nst_manual.check.report import Check, judged
from nst_manual.check.subject import Subject

# Up to so many elements each has its own derivative; of more, some directions have.
ELEMENTS = 2000
DIRECTIONS = 4
# Relative errors that rounding explains: of a complex step in float64, of central differences, of anything
# that is computed in float32.
EXACT, DIFFERENCES, NARROW = 1e-11, 1e-6, 1e-3
Slope = Callable[[np.ndarray], float]  # direction -> derivative of forward along it


def check_gradient(
    name: str, subject: Subject, dx: np.ndarray, alternatives: Mapping, factors: Mapping
) -> Check:
    """Return the check that dx is the gradient.

    Parameters
    ----------
    name : str
    subject : Subject
    dx : array
        What backward has returned.
    alternatives, factors : dict
        As of `gradcheck`.
    """
    exact = subject.takes_complex
    bound = NARROW if subject.narrow else EXACT if exact else DIFFERENCES
    method = "complex step" if exact else "central differences"
    if subject.x.size > ELEMENTS:
        if exact:
            slope = functools.partial(complex_slope, subject.value, subject.x)
        else:
            slope = functools.partial(
                central_slope, subject.value, subject.x, h=20 * step_size(subject.x, subject.y.dtype.name)
            )
        check = _along_directions(name, subject, dx, slope, method, bound)
    else:
        expected = subject.gradient()
        error = relative_error(dx, expected, _size(subject, expected))
        check = judged(name, f"{method}, each element", error, bound)
        if not check.passed and not subject.narrow:
            check, expected = _elements_with_noise(check, subject, dx, expected)
        if not check.passed and not check.cause:  # a cause: it cannot be judged
            check = _diagnosed(check, subject, dx, expected, alternatives, factors)
    if subject.narrow:
        note = "forward computes in float32: a module in float64 is checked to ten digits more"
        check = dataclasses.replace(check, note=note)
    return check


def _size(subject: Subject, expected: np.ndarray) -> np.ndarray:
    """Return what an error is relative to: the gradient, or a part of the numbers that cancel in it."""
    x, y, dy = (np.linalg.norm(array) for array in (subject.x, subject.y, subject.dy))
    return np.array([max(np.linalg.norm(expected), 1e-6 * dy * y / x if x else 0.0)])


def _along_directions(
    name: str, subject: Subject, dx: np.ndarray, slope: Slope, method: str, bound: float
) -> Check:
    """Compare slopes along random directions; where one differs, find an element that does."""
    directions = subject.rng.standard_normal((DIRECTIONS, *dx.shape))
    right = np.array([slope(direction) for direction in directions])
    got = np.array([np.vdot(dx, direction) for direction in directions])
    scale = float(np.linalg.norm(dx) or np.abs(right).max() or 1.0)
    errors = np.abs(got - right) / scale
    check = judged(name, f"{method}, {DIRECTIONS} directions", errors.max(), bound)
    if not check.passed and not subject.narrow and np.isfinite(errors).all():
        # of a complex step, that of the direction with the most: the worst of four is judged
        along = directions if subject.takes_complex else directions[:1]
        noise, h = max(_noise(subject, direction, scale, bound) for direction in along)
        if h:
            slope = functools.partial(central_slope, subject.value, subject.x, h=h)
            right = np.array([slope(direction) for direction in directions])
            errors = np.abs(got - right) / scale
            check = judged(name, check.method, errors.max(), bound)
            noise *= float(np.abs(directions).max())
        check = judged_with_noise(check, noise, _words(noise, h))
    if check.passed or check.cause:  # a cause: it cannot be judged
        return check
    place = _bisect(dx, directions[np.argmax(errors)], slope)
    unit = np.zeros(dx.shape)
    unit[place] = 1
    words = f"found by bisection: at {place_of(place)}: {dx[place]:.6g} where {slope(unit):.6g} is right"
    ratios = got / right
    cause = "a smaller x (up to 2000 elements) is compared element by element, and says more"
    if np.allclose(ratios, ratios[0], rtol=1e-5):
        cause = likely_cause(ratios[:1], np.ones(1), bound=1e-5)
    return dataclasses.replace(check, where=words, cause=cause)


def _elements_with_noise(
    check: Check, subject: Subject, dx: np.ndarray, expected: np.ndarray
) -> tuple[Check, np.ndarray]:
    """Return the check judged by what noise explains, and the gradient that it was compared with."""
    size = _size(subject, expected)
    if not np.isfinite(check.error):
        return check, expected
    # every element moves as far as it does by itself, so that bends are seen as they will be
    direction = np.random.default_rng([977, 5]).choice([-1.0, 1.0], dx.shape)
    noise, h = _noise(subject, direction, float(size[0]) or 1.0, check.bound, dx.size)
    if h:
        expected = np.zeros(dx.shape)
        unit = np.zeros(dx.shape)
        for index in np.ndindex(dx.shape):
            unit[index] = 1
            expected[index] = central_slope(subject.value, subject.x, unit, h)
            unit[index] = 0
        check = judged(check.name, check.method, relative_error(dx, expected, size), check.bound)
    return judged_with_noise(check, noise, _words(noise, h)), expected


def _noise(
    subject: Subject, direction: np.ndarray, scale: float, bound: float, slopes: int = 1
) -> tuple[float, float]:
    """Return the noise of slopes as a part of scale, and the step of differences that it asks for or 0.

    Only the noise of forward: a backward pass that is computed with too few digits is not excused by them. Of
    a complex step it is that of the slope along the direction; of differences, along an element.
    """
    if subject.takes_complex:
        slope = functools.partial(complex_slope, subject.value, direction=direction)
        noise = noise_of(slope, subject.x, direction, NEAR[:1])
        return noise / scale, 0.0
    noise = noise_of(subject.value, subject.x, direction) * slopes**0.5
    if DEVIATIONS * OF_SLOPE * noise / step_size(subject.x) <= bound / 10 * scale:
        return 0.0, 0.0
    h, disturbed = balanced_step(subject.value, subject.x, direction, noise)
    return disturbed / scale, h


def _words(noise: float, h: float) -> str:
    if h:
        return f"the value has noise, {noise:.0e} of a slope by differences with h = {h:.0e}, the best"
    return f"the value has noise, {noise:.0e} of its slope by complex step"


def _bisect(dx: np.ndarray, direction: np.ndarray, slope: Slope) -> tuple[int, ...]:
    """Return an element at which dx is wrong: halves of the direction, each time the one that errs more."""
    elements = np.arange(direction.size)
    while len(elements) > 1:
        halves, errors = np.array_split(elements, 2), []
        for half in halves:
            part = np.zeros(direction.size)
            part[half] = direction.ravel()[half]
            part = part.reshape(direction.shape)
            errors.append(abs(slope(part) - np.vdot(dx, part)))
        elements = halves[int(errors[1] > errors[0])]
    return tuple(int(i) for i in np.unravel_index(elements[0], direction.shape))


def _diagnosed(
    check: Check,
    subject: Subject,
    dx: np.ndarray,
    expected: np.ndarray,
    alternatives: Mapping,
    factors: Mapping,
) -> Check:
    """Return the check with what can be said of the mistake."""
    mistakes = dict(alternatives) | known_mistakes(subject, expected)
    factors = _numbers(subject.x.shape) | dict(factors)
    bound = max(check.bound, 1e-9)
    cause = likely_cause(dx, expected, bound=bound, alternatives=mistakes, factors=factors)
    if subject.loss() and (not cause or "times what" in cause):
        # of a loss, what it adds is looked at by itself
        own = own_part(subject)
        cause = likely_cause(dx - (expected - own), own, bound=bound, factors=factors)
        cause = cause and f"of the gradient that the loss adds: {cause}"
    cause = cause or by_parts(subject, dx, expected, bound)
    return dataclasses.replace(check, where=where(dx, expected, max(check.bound, 1e-11)), cause=cause)


def _numbers(shape: tuple[int, ...]) -> dict[str, float]:
    """Return the numbers of a shape that may have been forgotten or taken twice."""
    found = {"the batch size": float(shape[0])} if len(shape) > 1 and shape[0] > 1 else {}
    if len(shape) == 4:
        found["the number of positions, H W"] = float(shape[1] * shape[2])
        found["the number of channels"] = float(shape[3])
    return found
