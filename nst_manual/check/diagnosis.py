"""Where an array is wrong, and what mistake would make it so: what a student needs besides the error.

`where` names the wrong elements as one would point at them (a channel, the border, every second column, one
element), `likely_cause` tries explanations and takes the first that turns the array into the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# Elements count as wrong from this part of the largest right one on, unless a bound asks for less.
NOTICEABLE = 1e-9
AXES = {
    4: ("image", "row", "column", "channel"),
    3: ("row", "column", "channel"),
    2: ("row", "column"),
    1: ("element",),
}
# Factors that are forgotten or applied twice.
FACTORS = {
    2.0: "twice as large as it should be: a square's derivative has its 2 once, and half a square's none",
    0.5: "half as large as it should be: the 2 of a square's derivative is missing, or a half too many",
    4.0: "four times as large as it should be: a factor 2 twice, or a quarter missing",
    0.25: "a quarter of what it should be",
    -1.0: "of the wrong sign: the difference is taken the other way round",
    -2.0: "of the wrong sign, and twice as large",
}


def relative_error(got: Any, expected: Any, magnitude: Any = None) -> float:
    """Return ||got - expected|| / ||expected||.

    It is infinite where the shapes differ or a value is not finite, and where zero is expected and something
    else has come.

    Parameters
    ----------
    got, expected : array
    magnitude : array, optional
        In place of expected in the divisor: what the same sums make of absolute values. Terms that happen to
        cancel leave a small result with a large relative error, and are right all the same.
    """
    got, expected = (_double(array) for array in (got, expected))
    if got.shape != expected.shape or not (np.isfinite(got).all() and np.isfinite(expected).all()):
        return np.inf
    scale = float(np.linalg.norm(expected if magnitude is None else magnitude))
    difference = float(np.linalg.norm(got - expected))
    if difference == 0:
        return 0.0
    return difference / scale if scale else np.inf


def _double(array: Any) -> np.ndarray:
    array = np.asarray(array)
    return array if array.dtype.kind == "c" else array.astype(np.float64, copy=False)


def finite(error: float) -> float | None:
    """Return the error, or None where it is infinite, for which JSON has no number."""
    return error if np.isfinite(error) else None


def wrong_elements(got: np.ndarray, expected: np.ndarray, bound: float = NOTICEABLE) -> np.ndarray:
    """Return where two arrays of one shape differ by more than the bound times the largest expected value."""
    with np.errstate(invalid="ignore"):
        scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0) or 1.0
        return ~(np.abs(got - expected) <= bound * scale) & ~(np.isnan(got) & np.isnan(expected))


def where(got: Any, expected: Any, bound: float = NOTICEABLE) -> str:
    """Say which elements of an array are wrong; nothing where none is.

    Arrays of four axes are taken as (N, H, W, C), of three as (H, W, C), of two as (rows, columns).
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    wrong = wrong_elements(got, expected, bound)
    if not wrong.any():
        return ""
    if wrong.all():
        return "everywhere"
    names = axis_names(wrong.ndim)
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    values = f"{got[first]:.6g} where {expected[first]:.6g} is right"
    place = place_of(first)
    count = int(wrong.sum())
    if count == 1:
        return f"at one element, {place}: {values}"
    patterns = _border(wrong, names) or "; ".join(filter(None, _along_axes(wrong, names)))
    amount = f"at {count} of {wrong.size} elements"
    return f"{amount}{': ' + patterns if patterns else ''}; the first, {place}: {values}"


def axis_names(axes: int) -> tuple[str, ...]:
    """Return what the axes of an array are called."""
    return AXES.get(axes, tuple(f"axis {axis}" for axis in range(axes)))


def place_of(index: tuple[int, ...]) -> str:
    """Return an element's index in words."""
    return ", ".join(f"{name} {i}" for name, i in zip(axis_names(len(index)), index, strict=True))


def _border(wrong: np.ndarray, names: tuple[str, ...]) -> str:
    """Say that all wrong elements are at the border of the image, if it is more than one side."""
    axes = [axis for axis, name in enumerate(names) if name in ("row", "column") and wrong.shape[axis] > 2]
    if len(axes) != 2:
        return ""
    inner = tuple(slice(1, -1) if axis in axes else slice(None) for axis in range(wrong.ndim))
    if wrong[inner].any():
        return ""
    others = tuple(axis for axis in range(wrong.ndim) if axis not in axes)
    plane = wrong.any(axis=others)
    sides = {
        "first row": plane[0],
        "last row": plane[-1],
        "first column": plane[:, 0],
        "last column": plane[:, -1],
    }
    touched = [name for name, side in sides.items() if side.mean() > 0.5]
    return "on the border" + (f" ({', '.join(touched)})" if touched else "") if len(touched) != 1 else ""


def _along_axes(wrong: np.ndarray, names: tuple[str, ...]) -> list[str]:
    """Say what is common to the places along each axis."""
    said = []
    for axis, name in enumerate(names):
        length = wrong.shape[axis]
        others = tuple(other for other in range(wrong.ndim) if other != axis)
        places = np.flatnonzero(wrong.any(axis=others))
        if len(places) == length:
            continue
        said.append(_places(name, places, length))
    return said


def _places(name: str, places: np.ndarray, length: int) -> str:
    """Say which places of an axis these are."""
    if len(places) == 1:
        last = f", the last of {length}" if places[0] == length - 1 and length > 1 else ""
        return f"{name} {places[0]} alone{last}"
    steps = np.diff(places)
    if (steps == 1).all():
        end = " to the last" if places[-1] == length - 1 else f" to {places[-1]}"
        return f"{name}s {places[0]}{end}"
    if (steps == steps[0]).all():
        return f"every {_ordinal(int(steps[0]))} {name} from {places[0]} on"
    return f"{name}s " + ", ".join(str(place) for place in places) if len(places) <= 4 else ""


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number if number < 20 else number % 10, 'th') }"


def likely_cause(
    got: Any,
    expected: Any,
    *,
    bound: float = NOTICEABLE,
    alternatives: Mapping[str, Any] | None = None,
    factors: Mapping[str, float] | None = None,
) -> str:
    """Say which mistake would make `got` of what is expected; nothing where none is known.

    Parameters
    ----------
    got, expected : array
    bound : float
        Of `relative_error`, below which two arrays are the same.
    alternatives : dict of str to array or callable, optional
        What known mistakes would have given, by what to say; a callable is called for the array.
    factors : dict of str to float, optional
        Numbers that may be forgotten or applied twice, by name: ``{"the batch size": 4}``.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        return _shape_cause(got.shape, expected.shape)
    if relative_error(got, expected) <= bound:
        return ""
    if not np.isfinite(got).all() and np.isfinite(expected).all():
        return (
            f"{int((~np.isfinite(got)).sum())} elements are NaN or infinite: a division by 0, or an overflow"
        )
    if not got.any():
        return "it is zero everywhere: nothing was written to it"
    for words, alternative in (alternatives or {}).items():
        other = alternative() if callable(alternative) else alternative
        if np.shape(other) == got.shape and relative_error(got, other) <= bound:
            return words
    return (
        _factor_cause(got, expected, bound, factors or {})
        or _precision_cause(got, expected)
        or _arrangement_cause(got, expected, bound)
        or _elements_cause(got, expected)
    )


def _shape_cause(got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    if len(got) != len(expected):
        return f"it has {len(got)} axes, expected {len(expected)}"
    if sorted(got) == sorted(expected):
        return "its axes are in another order"
    image = range(len(got) - 3, len(got) - 1) if len(got) > 2 else ()  # the axes of rows and columns
    off = [axis for axis in range(len(got)) if got[axis] != expected[axis]]
    if all(axis in image and abs(got[axis] - expected[axis]) == 1 for axis in off):
        return "it is off by one: the padding, or the rounding in the number of windows"
    return ""


def _factor_cause(got: np.ndarray, expected: np.ndarray, bound: float, factors: Mapping[str, float]) -> str:
    """Say by which factor all of it is wrong."""
    power = np.vdot(expected, expected).real
    factor = float(np.vdot(expected, got).real / power) if power else 0.0
    if not factor or relative_error(got, factor * expected) > bound:
        return ""
    close = max(bound, 1e-9)
    for value, words in FACTORS.items():
        if abs(factor / value - 1) <= close:
            named = [
                f"it has {name} as a factor" for name, n in factors.items() if abs(n / value - 1) <= close
            ]
            named += [
                f"it is divided by {name}" for name, n in factors.items() if abs(n * value - 1) <= close
            ]
            return f"it is {words}" + (f"; or {named[0]}" if named else "")
    for name, number in factors.items():
        for value, words in (
            (number, "has {} as a factor too many"),
            (1 / number, "lacks {} as a factor, or is divided by it"),
        ):
            if value and abs(factor / value - 1) <= close:
                return "it " + words.format(f"{name} ({number:g})")
    if abs(factor - 1) < 1e-2:
        return f"all of it is {factor - 1:+.3g} of itself off: a constant with too few digits"
    return f"all of it is {factor:.6g} times what it should be: a factor is missing or too many"


def _precision_cause(got: np.ndarray, expected: np.ndarray) -> str:
    """Say that it has the digits of float32."""
    error = relative_error(got, expected)
    narrow = np.asarray(got, dtype=np.complex64 if np.iscomplexobj(got) else np.float32)
    if got.dtype.itemsize > 4 and np.array_equal(narrow, got):
        return "its numbers have the digits of float32: it was computed or stored in that precision"
    if 1e-9 < error < 1e-5 and wrong_elements(got, expected, 1e-12).mean() > 0.5:
        return "it is right to some six digits: something inside is computed in float32"
    return ""


def _arrangement_cause(got: np.ndarray, expected: np.ndarray, bound: float) -> str:
    """Say that it is the right one, turned or transposed."""
    if got.ndim not in (3, 4):
        if got.ndim == 2 and got.shape[0] == got.shape[1] and relative_error(got.T, expected) <= bound:
            return "it is transposed"
        return ""
    rows, columns = got.ndim - 3, got.ndim - 2
    changes: dict[str, Callable[[], np.ndarray]] = {
        "it is upside down": lambda: np.flip(got, rows),
        "left and right are exchanged": lambda: np.flip(got, columns),
        "it is turned by 180 degrees": lambda: np.flip(got, (rows, columns)),
        "the order of the channels is reversed": lambda: np.flip(got, -1),
    }
    if got.shape[rows] == got.shape[columns]:
        changes["rows and columns are exchanged"] = lambda: np.swapaxes(got, rows, columns)
    for axis, name in ((rows, "row"), (columns, "column")):
        for shift in (1, -1):
            way = (
                "down"
                if (shift, name) == (1, "row")
                else "up"
                if name == "row"
                else "right"
                if shift > 0
                else "left"
            )
            words = f"it is shifted {way} by one: the padding is off by one"
            changes[words] = lambda axis=axis, shift=shift: _shifted_back(got, expected, axis, shift)
    return next(
        (words for words, change in changes.items() if relative_error(change(), expected) <= bound), ""
    )


def _shifted_back(got: np.ndarray, expected: np.ndarray, axis: int, shift: int) -> np.ndarray:
    """Return got moved back along an axis; what came from outside is taken as right."""
    back = np.roll(got, -shift, axis)
    edge = [slice(None)] * got.ndim
    edge[axis] = -1 if shift > 0 else 0
    back[tuple(edge)] = expected[tuple(edge)]
    return back


def _elements_cause(got: np.ndarray, expected: np.ndarray) -> str:
    """Say what the wrong elements have in common in their values."""
    wrong = wrong_elements(got, expected)
    if not wrong.any() or wrong.all():
        return ""
    bad, good = got[wrong], expected[wrong]
    if np.max(np.abs(bad)) <= NOTICEABLE * np.max(np.abs(expected)):
        return "what is wrong is zero: these elements were left out"
    if np.max(np.abs(good)) <= NOTICEABLE * np.max(np.abs(got)):
        return "what is wrong should be zero: a gradient passes where it is to be stopped"
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = bad / good
    if np.allclose(ratio, 2, rtol=1e-6):
        return (
            "what is wrong is twice what it should be: it is counted twice (a tie, or an overlap of windows)"
        )
    if np.allclose(ratio, ratio.flat[0], rtol=1e-6):
        return f"what is wrong is {ratio.flat[0]:.6g} times what it should be"
    return ""
