"""One result beside the right one: its kind, shape, type and values, in words."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from nst_manual.check.diagnosis import likely_cause, relative_error, where, wrong_elements
from nst_manual.check.exercises.base import BOUND, Expected

RETURNS_NONE = "it is None: is a `return` missing?"


def judge(expected: Expected, got: Any) -> dict[str, Any]:
    """Return what is to be said of a result.

    Returns
    -------
    dict
        `passed`; `error` (relative, None where there is no number to compare); `problem`, `where` and `cause`
        in words, empty where there is nothing to say.
    """
    if got is None:
        return _found(problem=RETURNS_NONE)
    if isinstance(expected.value, np.ndarray):
        return _array(expected, got)
    if isinstance(expected.value, list):
        return _numbers(expected, got)
    return _number(expected, got)


def _found(
    error: float | None = None, *, problem: str = "", where: str = "", cause: str = "", passed: bool = False
) -> dict[str, Any]:
    return {"passed": passed, "error": error, "problem": problem, "where": where, "cause": cause}


def _array(expected: Expected, got: Any) -> dict[str, Any]:
    right = expected.value
    if not isinstance(got, np.ndarray):
        return _found(problem=f"it is {_kind(got)}, expected an array of shape {right.shape}")
    got = np.asarray(got)
    if got.shape != right.shape:
        problem = f"shape {got.shape}, expected {right.shape}"
        return _found(problem=problem, cause=_shape_cause(expected, got))
    if got.dtype != right.dtype:
        reason = "float32 has half the digits" if got.dtype == np.float32 else "the arrays given are float64"
        return _found(problem=f"its numbers are {got.dtype}, expected float64 ({reason})")
    return _values(expected, got)


def _values(expected: Expected, got: np.ndarray) -> dict[str, Any]:
    """Judge the values of an array of the right shape."""
    right = expected.value
    error = relative_error(got, right)
    if error <= BOUND:
        return _found(error, passed=True)
    cause = likely_cause(
        got, right, bound=BOUND, alternatives=expected.alternatives, factors=expected.factors
    )
    place, where_right, prefix = got, right, ""
    if expected.by_image:
        image = int(np.flatnonzero(wrong_elements(got, right).reshape(len(right), -1).any(axis=1))[0])
        place, where_right = got[image], right[image]
        prefix = f"image {image}: " if len(right) > 1 else ""
    return _found(error, where=prefix + where(place, where_right), cause=cause)


def _shape_cause(expected: Expected, got: np.ndarray) -> str:
    """Say where a wrong shape comes from, or that the values are right in another shape."""
    right = expected.value
    if got.size == right.size and got.dtype.kind == "f":
        for words, array in (
            (f"the values are right; return it with .reshape{right.shape}", got),
            ("the values are right but transposed: .T, then reshape", got.T),
        ):
            if relative_error(array.reshape(right.shape), right) <= BOUND:
                return words
    if got.shape in expected.shapes:
        return expected.shapes[got.shape]
    ends_differ = got.ndim == right.ndim and (got.shape[0], got.shape[-1]) != (
        right.shape[0],
        right.shape[-1],
    )
    if ends_differ and sorted(got.shape) != sorted(right.shape):
        return ""  # in images or channels: no matter of padding or of windows
    return likely_cause(got, right)


def _number(expected: Expected, got: Any) -> dict[str, Any]:
    problem = _no_number(got)
    if problem:
        return _found(problem=f"{problem}, expected a number")
    got = float(got)
    error = relative_error(got, expected.value)
    if error <= BOUND:
        return _found(error, passed=True)
    if not math.isfinite(got):
        return _found(
            problem=f"it is {got}, expected {expected.value:.10g}", cause="a division by 0, or an overflow"
        )
    cause = likely_cause(
        got, expected.value, bound=BOUND, alternatives=expected.alternatives, factors=expected.factors
    )
    return _found(error, problem=f"it is {got:.10g}, expected {expected.value:.10g}", cause=_of_number(cause))


def _of_number(cause: str) -> str:
    """Return the cause, but for those that say of one number what the message before has said."""
    return "" if cause.startswith(("all of it is", "it is zero everywhere")) else cause


def _numbers(expected: Expected, got: Any) -> dict[str, Any]:
    if not isinstance(got, list | tuple | np.ndarray):
        return _found(problem=f"it is {_kind(got)}, expected a list of {len(expected.value)} numbers")
    if len(got) != len(expected.value):
        cause = expected.shapes.get((len(got),), "")
        return _found(problem=f"it has {len(got)} numbers, expected {len(expected.value)}", cause=cause)
    for index, value in enumerate(got):
        problem = _no_number(value)
        if problem:
            return _found(problem=f"number {index} of it: {problem}, expected a number")
    array = np.array([float(value) for value in got])
    return _values(Expected(np.array(expected.value), alternatives=expected.alternatives), array)


def _no_number(got: Any) -> str:
    """Say what it is in place of a real number; nothing if it is one."""
    if isinstance(got, np.ndarray) and got.shape == () and got.dtype.kind in "fiu":
        return ""
    if isinstance(got, numbers.Real) and not isinstance(got, bool):
        return ""
    return RETURNS_NONE if got is None else f"it is {_kind(got)}"


def _kind(got: Any) -> str:
    """Return what a value is, in words."""
    if isinstance(got, np.ndarray):
        return f"an array of shape {got.shape}"
    if isinstance(got, list | tuple):
        return f"a {type(got).__name__} of length {len(got)}"
    if isinstance(got, numbers.Number):
        return f"the number {got}"
    name = type(got).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
