"""What a backward pass must do whatever its formula is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nst_manual.check.diagnosis import relative_error, where
from nst_manual.check.report import Check, judged
from nst_manual.check.subject import Subject

ROUNDING, NARROW_ROUNDING = 1e-12, 1e-5


def check_invariance(name: str, subject: Subject, dx: np.ndarray) -> Iterator[Check]:
    """Yield the checks: inputs unwritten, nothing stale, linear in dy, and that images do not mix.

    Parameters
    ----------
    name : str
    subject : Subject
    dx : array
        What backward returned the first time.
    """
    yield _unwritten(name, subject)
    yield _other_shape_between(name, subject, dx)
    yield _linear_in_dy(name, subject)
    yield _zero_upstream(name, subject)
    yield _layouts(name, subject, dx)
    if subject.x.ndim > 1 and len(subject.x) > 1 and len(subject.y) == len(subject.x):
        yield from _images_apart(name, subject, dx)


def _bound(subject: Subject) -> float:
    return NARROW_ROUNDING if subject.narrow else ROUNDING


def check_same_again(name: str, subject: Subject, dx: np.ndarray) -> Check:
    """Return the check that the same call gives the same, to the last bit."""
    again, third = np.array(subject.backward()), np.array(subject.backward())
    cause = "something is kept from call to call"
    if relative_error(third - again, again - dx) <= _bound(subject):
        cause = "dx is added to what the last call has left in it: fill it with zeros first"
    error = max(relative_error(again, dx), relative_error(third, dx))
    return judged(name, "the same call again", error, 0.0, where=where(again, dx), cause=cause)


def _unwritten(name: str, subject: Subject) -> Check:
    """Forward and backward leave x and dy as they were."""
    x, dy = subject.x.copy(), subject.dy.copy()
    module = subject.module
    module.forward(x)
    wrote = [] if np.array_equal(x, subject.x) else ["forward writes to x"]
    x[...] = subject.x
    module.forward(x)
    module.backward(x, dy)
    if not np.array_equal(x, subject.x):
        wrote.append("backward writes to x")
    if not np.array_equal(dy, subject.dy):
        wrote.append("backward writes to dy")
    words = "; ".join(wrote)
    cause = "work on a copy: whoever called still needs the array" if wrote else ""
    return judged(name, "x and dy are not written", float(len(wrote)), 0.0, where=words, cause=cause)


def _other_shape_between(name: str, subject: Subject, dx: np.ndarray) -> Check:
    """A smaller input in between changes nothing: no buffer is stale."""
    method = "another input in between"
    other = subject.x[:1] * 0.5 + 0.25
    try:
        y = subject.module.forward(other.copy())
        subject.module.backward(other.copy(), np.ones_like(y))
    except Exception:  # noqa: BLE001 - a loss takes its target's shape alone; then one of the same shape
        other = subject.x[..., ::-1] * 0.5 + 0.25
        subject.backward(other)
    again = subject.backward()
    cause = "a buffer of the call before is read: it is stale"
    return judged(name, method, relative_error(again, dx), 0.0, where=where(again, dx), cause=cause)


def _own_gradient(subject: Subject) -> np.ndarray:
    """Return what backward adds whatever dy is: the gradient of a loss."""
    return np.array(subject.backward(dy=np.zeros(subject.y.shape)))


def _linear_in_dy(name: str, subject: Subject) -> Check:
    """Backward(a dy + b dy') = a backward(dy) + b backward(dy'), but for a loss's own gradient."""
    other, a, b = subject.rng.standard_normal(subject.y.shape), 0.75, -1.5
    own = _own_gradient(subject)
    parts = a * (subject.backward() - own) + b * (subject.backward(dy=other) - own)
    got = subject.backward(dy=a * subject.dy + b * other) - own
    size = np.array([np.linalg.norm(parts) + np.linalg.norm(own)])
    error = relative_error(got, parts, size)
    cause = "a backward pass is linear in dy; does something depend on its sign or size?"
    return judged(name, "linear in dy", error, _bound(subject), where=where(got, parts), cause=cause)


def _zero_upstream(name: str, subject: Subject) -> Check:
    """No gradient comes of none, unless there is a loss."""
    got = _own_gradient(subject)
    if subject.loss():
        return judged(name, "dy = 0 leaves the loss's gradient", float(not got.any()), 0.0)
    error = float(np.max(np.abs(got), initial=0.0))
    cause = "something is added that does not come from dy, nor of a loss that `loss` tells"
    return judged(name, "dy = 0 gives 0", error, 0.0, where=where(got, np.zeros_like(got)), cause=cause)


def _layouts(name: str, subject: Subject, dx: np.ndarray) -> Check:
    """Arrays that are not contiguous in memory give the same."""
    x, dy = (_strided(array) for array in (subject.x, subject.dy))
    subject.module.forward(x)
    got = np.array(subject.module.backward(x, dy))
    cause = "it depends on how the array lies in memory: a reshape or a view presumes an order"
    return judged(
        name,
        "arrays that are not contiguous",
        relative_error(got, dx),
        _bound(subject),
        where=where(got, dx),
        cause=cause,
    )


def _strided(array: np.ndarray) -> np.ndarray:
    """Return the same values, every second number of a larger array with its axes in reverse order."""
    wide = np.zeros((*array.shape[::-1], 2))
    wide[..., 0] = array.T
    return wide[..., 0].T


def _images_apart(name: str, subject: Subject, dx: np.ndarray) -> Iterator[Check]:
    """N images at once give what they give one by one."""
    try:
        parts = [_one(subject, n) for n in range(len(subject.x))]
    except Exception:  # noqa: BLE001 - a target for N images, a normalisation over them: not of this kind
        return
    y = np.concatenate([part[0] for part in parts])
    if relative_error(y, subject.y) > 1e-6 or subject.loss():
        return  # images are meant to meet here
    got = np.concatenate([part[1] for part in parts])
    cause = "images of a batch get mixed, or it is divided by their number"
    yield judged(
        name, "images one by one", relative_error(dx, got), _bound(subject), where=where(dx, got), cause=cause
    )


def _one(subject: Subject, n: int) -> tuple[Any, Any]:
    x, dy = subject.x[n : n + 1].copy(), subject.dy[n : n + 1].copy()
    y = np.array(subject.module.forward(x))
    return y, np.array(subject.module.backward(x, dy))
