"""What a backward pass does where forward has a kink: at the zeros of a ReLU, at the ties of a max-pool.

There the derivative is a choice, but not any choice. With an upstream gradient that is nowhere negative, it
has to lie between the slope to the left and the slope to the right of an element, whichever of the ties it
has won; and where equal values are moved together, so that ties stay ties, there is no kink, and the
derivative is exact. Random numbers never stand on a kink: here x is rounded to a few values, 0 among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nst_manual.check.derivatives import (
    Function,
    central_slope,
    complex_gradient,
    complex_slope,
    one_sided_gradients,
)
from nst_manual.check.diagnosis import likely_cause, relative_error, where, wrong_elements
from nst_manual.check.noise import DEVIATIONS, NEAR, OF_SLOPE, balanced_step, judged_with_noise, noise_of
from nst_manual.check.report import Check, judged
from nst_manual.check.subject import Subject

# Up to so many elements.
ELEMENTS = 2000
# Rounded to multiples of this; and a step much smaller.
GRID, STEP = 0.5, 1e-6
BOUND = 1e-6
KINK = 1e-3


def census(x: np.ndarray, near: float = 1e-6) -> dict[str, int]:
    """Count where a finite difference at x could step over a kink.

    Parameters
    ----------
    x : array (N, H, W, C) or any other shape
        What goes into a ReLU or a max-pool.
    near : float
        As a part of the largest absolute value.

    Returns
    -------
    dict
        `zeros`, `near_zeros`, and of images `ties` and `near_ties`: neighbours, down or to the right, that
        are equal or nearly.
    """
    reach = near * float(np.max(np.abs(x), initial=0.0))
    found = {"zeros": int((x == 0).sum()), "near_zeros": int(((x != 0) & (np.abs(x) <= reach)).sum())}
    if x.ndim == 4:
        steps = [np.abs(np.diff(x, axis=axis)) for axis in (1, 2)]
        found["ties"] = int(sum((step == 0).sum() for step in steps))
        found["near_ties"] = int(sum(((step != 0) & (step <= reach)).sum() for step in steps))
    return found


def check_kinks(name: str, subject: Subject) -> Iterator[Check]:
    """Yield the checks at zeros and ties; none where x is large or forward computes in float32.

    Parameters
    ----------
    name : str
    subject : Subject
    """
    if subject.x.size > ELEMENTS or subject.narrow:
        return
    x = np.round(subject.x / ((np.std(subject.x) or 1.0) * GRID)) * GRID
    dy = np.abs(subject.dy)

    def value(x: np.ndarray) -> Any:
        return subject.value(x, dy)

    dx = np.array(subject.backward(x, dy))
    check, kinks = _between(name, value, x, dx, STEP)
    if not check.passed and np.isfinite(check.error):
        noise = noise_of(value, x, np.random.default_rng([977, 6]).standard_normal(x.shape))
        size = float(np.max(np.abs(dx), initial=0.0)) or 1.0
        if DEVIATIONS * noise / STEP > BOUND * size / 10:
            # noise / h and h^2 are then alike
            h = max(STEP, min(GRID / 4, float(np.cbrt(noise / size))))
            check, kinks = _between(name, value, x, dx, h)
            words = f"the value has noise of {noise:.0e}, and is taken in steps of {h:.0e}"
            check = judged_with_noise(check, 2**0.5 * noise / (h * size), words)
    yield check
    yield _together(name, value, x, dx)
    if kinks and subject.takes_complex:
        yield from _own_choice(name, value, x, dx)


def _between(name: str, value: Function, x: np.ndarray, dx: np.ndarray, h: float) -> tuple[Check, int]:
    """Compare with the slopes to both sides; return the number of kinks as well."""
    right, left = one_sided_gradients(value, x, h)
    # where forward is smooth, its slope lies between these two as well, but for rounding, eps |f| / STEP
    scale = float(np.max(np.abs([right, left]), initial=0.0)) or 1.0
    slack = BOUND * scale / 10 + 1e-9 * abs(float(np.real(value(x))))
    low, high = np.minimum(right, left) - slack, np.maximum(right, left) + slack
    nearest = np.clip(dx, low, high)
    error = float(np.max(np.abs(dx - nearest), initial=0.0)) / scale
    kinks = int((np.abs(right - left) > KINK * scale).sum())  # a smooth function's slopes differ by STEP
    method = f"between the slopes on both sides, at {kinks} kink{'s' * (kinks != 1)}"
    words = {"where": where(dx, nearest, BOUND), "cause": _cause(x, dx, nearest)}
    return judged(name, method, error, BOUND, **words), kinks


def _together(name: str, value: Function, x: np.ndarray, dx: np.ndarray) -> Check:
    """Compare the slope where equal values move together and zeros stay: there is no kink on that way."""
    values, inverse = np.unique(x, return_inverse=True)
    speed = np.random.default_rng([977, 3]).standard_normal(len(values))
    speed[values == 0] = 0
    direction = speed[inverse].reshape(x.shape)
    expected = central_slope(value, x, direction, 1e-4)
    got = float(np.vdot(dx, direction))
    scale = abs(expected) + 1e-3 * float(np.linalg.norm(dx) * np.linalg.norm(direction)) or 1.0
    cause = "of equal values the first gets the gradient, once: here it is given more than once, or lost"
    words = f"slope {got:.6g} where {expected:.6g} is right, equal values moved together"
    check = judged(name, "ties moved together", abs(got - expected) / scale, 1e-5, where=words, cause=cause)
    if check.passed or not direction.any():
        return check
    noise = noise_of(value, x, direction)
    if not DEVIATIONS * OF_SLOPE * noise / 1e-4 > 1e-6 * scale:
        return check
    h, disturbed = balanced_step(value, x, direction, noise)
    largest = float(np.max(np.abs(direction), initial=0.0))
    expected = central_slope(value, x, direction, h)
    words = f"slope {got:.6g} where {expected:.6g} is right, equal values moved together"
    check = judged(name, check.method, abs(got - expected) / scale, 1e-5, where=words, cause=cause)
    return judged_with_noise(check, disturbed * largest / scale, f"the value has noise of {noise:.0e}")


def _own_choice(name: str, value: Function, x: np.ndarray, dx: np.ndarray) -> Iterator[Check]:
    """Compare with the choice that forward itself makes, where it chooses by the real part.

    Then a complex step up and one down agree even on a kink, since neither moves the real part; a forward
    that looks at the imaginary part has another answer for each, and has made no choice.
    """
    up = complex_gradient(value, x)
    down = -complex_gradient(lambda z: value(np.conj(z)), x)
    if not np.allclose(up, down, rtol=1e-9, atol=1e-12 * (float(np.abs(up).max(initial=0.0)) or 1.0)):
        return
    error = relative_error(dx, up, np.array([np.linalg.norm(up) or np.linalg.norm(dx)]))
    method = "zeros and ties as forward takes them"
    check = judged(name, method, error, 1e-11, where=where(dx, up), cause=_cause(x, dx, up))
    if not check.passed and np.isfinite(error):
        direction = np.random.default_rng([977, 7]).standard_normal(x.shape)
        noise = noise_of(lambda z: complex_slope(value, z, direction), x, direction, NEAR[:1])
        noise /= float(np.linalg.norm(up)) or 1.0
        check = judged_with_noise(
            check, noise, f"the value has noise, {noise:.0e} of its slope by complex step"
        )
    yield check


def _cause(x: np.ndarray, dx: np.ndarray, nearest: Any) -> str:
    wrong = wrong_elements(dx, nearest, BOUND)
    if wrong.any() and not x[wrong].any():
        return "all of the wrong ones are where x is 0: the ReLU's gradient there is 0"
    return likely_cause(dx, nearest)
