"""Learning-rate schedules: the factor on the rate in iteration t of T, both counted from 1.

constant            1
step                factor^floor((t - 1) / every)
exponential         factor^(t - 1)
cosine              floor + (1 - floor) (1 + cos(pi (t - 1) / T)) / 2
warm-up             min(1, t / length)

Cosine: I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
equation 5, without restarts. Warm-up: P. Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.2.

As text: NAME:FACTOR@ITERATIONS, such as "step:0.5@100", "exponential:0.99", "cosine", "cosine:0.1@500",
"warm-up@20". Several with commas are multiplied: "warm-up@20,cosine".
"""

from __future__ import annotations

import math
from collections.abc import Callable

from nst_manual.errors import UsageError, unknown_name

Schedule = Callable[[int, int], float]

# name -> what FACTOR and ITERATIONS are: "must" be given, "may" be, or "" where there is none
FORMS = {
    "constant": ("", ""),
    "step": ("must", "must"),
    "exponential": ("must", ""),
    "cosine": ("may", "may"),
    "warm-up": ("", "must"),
}
EXAMPLES = "constant, step:0.5@100, exponential:0.99, cosine, cosine:0.1@500, warm-up@20,cosine"


def constant(iteration: int, iterations: int) -> float:
    """Return 1."""
    return 1.0


def step(factor: float, every: int) -> Schedule:
    """Multiply by a factor after every so many iterations."""
    return lambda iteration, iterations: factor ** ((iteration - 1) // every)


def exponential(factor: float) -> Schedule:
    """Multiply by a factor after each iteration."""
    return lambda iteration, iterations: factor ** (iteration - 1)


def cosine(floor: float = 0.0, length: int | None = None) -> Schedule:
    """Fall along half a wave, from 1 to `floor`.

    Parameters
    ----------
    floor : float
        What is left at the end.
    length : int, optional
        Iterations that it takes; without, those of the run. A run that is made in parts, each asked for
        alone, needs it: a part does not know how many will follow.
    """

    def factor(iteration: int, iterations: int) -> float:
        share = min(1.0, (iteration - 1) / (length or iterations))
        return floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2

    return factor


def warm_up(length: int) -> Schedule:
    """Rise in equal steps, to 1 in that iteration."""
    return lambda iteration, iterations: min(1.0, iteration / length)


def product(*schedules: Schedule) -> Schedule:
    """Multiply the factors of several."""
    return lambda iteration, iterations: math.prod(s(iteration, iterations) for s in schedules)


def parse_schedule(text: str) -> Schedule:
    """Return the schedule of a text.

    Raises
    ------
    UsageError
        A name that is unknown, a number that is missing, too many or out of range.
    """
    parts = [_parse(part.strip(), text) for part in text.split(",")]
    return parts[0] if len(parts) == 1 else product(*parts)


def _parse(part: str, text: str) -> Schedule:
    """Return the schedule of one part of a text."""
    front, _, count = part.partition("@")
    name, _, number = front.partition(":")
    if name not in FORMS:
        raise unknown_name("schedule", name, FORMS)
    for mark, what, given, form in zip(
        ":@", ("factor", "number of iterations"), (number, count), FORMS[name], strict=True
    ):
        if (not given and form == "must") or (mark in part and not (form and given)):
            cause = f"{name} takes {'a' if form else 'no'} {what} after {mark!r}, got {text!r}"
            raise UsageError("schedule", cause, _HINT)
    factor = _factor(number, text, zero=name == "cosine") if number else None
    length = _iterations(count, text) if count else None
    if name == "step":
        return step(factor, length)
    if name == "exponential":
        return exponential(factor)
    if name == "cosine":
        return cosine(factor or 0.0, length)
    return warm_up(length) if name == "warm-up" else constant


_HINT = f"such as {EXAMPLES}"


def _factor(number: str, text: str, zero: bool) -> float:
    """Return a factor up to 1; 0 only where it is a floor."""
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (0 <= value <= 1 and (value or zero)):
        least = "from 0" if zero else "above 0,"
        raise UsageError("schedule", f"expected a factor {least} up to 1, got {number!r} in {text!r}", _HINT)
    return value


def _iterations(number: str, text: str) -> int:
    """Return a number of iterations, 1 or more."""
    if not (number.isascii() and number.isdigit() and int(number)):
        raise UsageError("schedule", f"expected 1 or more iterations, got {number!r} in {text!r}", _HINT)
    return int(number)
