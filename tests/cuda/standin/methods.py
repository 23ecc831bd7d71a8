"""The methods of the stand-in's arrays, as lines of text; see `table`."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from standin import adapters
from standin.array import fresh, inside, ndarray, operand, shown, view, wrap
from standin.counts import counts
from standin.table import make, new, several, shows, waiting

NEW = """
all(self: A, axis=None, out: O = None, keepdims=False)
any(self: A, axis=None, out: O = None, keepdims=False)
argmax(self: A, axis=None, out: O = None, dtype=None, keepdims=False)
argmin(self: A, axis=None, out: O = None, dtype=None, keepdims=False)
argpartition(self: A, kth, axis=-1)
argsort(self: A, axis=-1, kind=None)
clip(self: A, min: S = None, max: S = None, out: O = None)
conj(self: A)
conjugate(self: A)
copy(self: A, order='C')
cumprod(self: A, axis=None, dtype=None, out: O = None)
cumsum(self: A, axis=None, dtype=None, out: O = None)
dot(self: A, b: A, out: O = None)
flatten(self: A, order='C')
max(self: A, axis=None, out: O = None, keepdims=False)
mean(self: A, axis=None, dtype=None, out: O = None, keepdims=False)
min(self: A, axis=None, out: O = None, keepdims=False)
prod(self: A, axis=None, dtype=None, out: O = None, keepdims=None)
ptp(self: A, axis=None, out: O = None, keepdims=False)
repeat(self: A, repeats, axis=None)
round(self: A, decimals=0, out: O = None)
searchsorted(self: A, v: A, side='left', sorter: O = None)
std(self: A, axis=None, dtype=None, out: O = None, ddof=0, keepdims=False)
sum(self: A, axis=None, dtype=None, out: O = None, keepdims=False)
take(self: A, indices: I, axis=None, out: O = None)
trace(self: A, offset=0, axis1=0, axis2=1, dtype=None, out: O = None)
var(self: A, axis=None, dtype=None, out: O = None, ddof=0, keepdims=False)
"""

VIEWS = """
diagonal(self: A, offset=0, axis1=0, axis2=1)
ravel(self: A, order='C')
squeeze(self: A, axis=None)
swapaxes(self: A, axis1, axis2)
"""


def _numpys(name: str) -> Any:
    if name in ("argmax", "argmin", "diagonal"):
        adapted = getattr(adapters, f"numpy_{name}")
        return lambda self, *args, **kwargs: adapted(self, *args, **kwargs)
    if name == "prod":
        return lambda self, keepdims=None, **kwargs: self.prod(keepdims=bool(keepdims), **kwargs)
    return getattr(np, name, None) if name == "ptp" else getattr(np.ndarray, name)


def reshape(self: ndarray, *shape: Any, order: str = "C", copy: bool | None = None) -> ndarray:
    """Return a view if it can be, else a copy."""
    if len(shape) == 1 and hasattr(shape[0], "__len__"):
        (shape,) = shape
    return shown(self._a.reshape(tuple(map(operator.index, shape)), order=order, copy=copy), self)


def transpose(self: ndarray, *axes: Any) -> ndarray:
    """Return a view with the axes in another order."""
    return view(self._a.transpose(*axes), self)


def view_as(self: ndarray, dtype: Any = None, type: Any = None) -> ndarray:
    """Return a view, of another dtype."""
    if type is not None:
        raise TypeError("the stand-in has no subclasses")
    return view(self._a.view() if dtype is None else self._a.view(dtype), self)


def astype(
    self: ndarray, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
) -> ndarray:
    """Return the values in another dtype."""
    if subok is not None:
        raise TypeError("CuPy has no subok")
    if not copy and self._a.dtype == dtype and order == "K":
        return self
    return fresh(self._a.astype, dtype, order, casting or "unsafe")


def fill(self: ndarray, value: Any) -> None:
    """Write a number everywhere."""
    counts.launches += 1
    self._a[...] = operand(value)


def sort(self: ndarray, axis: int = -1, kind: Any = None) -> None:
    """Sort in place."""
    counts.launches += 1
    self._a.sort(axis, kind)


def partition(self: ndarray, kth: Any, axis: int = -1) -> None:
    """Sort in part, in place."""
    counts.launches += 1
    self._a.partition(kth, axis)


def choose(self: ndarray, choices: Any, out: Any = None, mode: str = "raise") -> ndarray:
    """Return elements of the choices."""
    return new(np.choose, out, (self._a, [inside(each) for each in choices]), {"mode": mode})


def attach() -> None:
    """Give the class its methods."""
    found = make(NEW, new, _numpys, method=True)
    found |= make(VIEWS, shows, _numpys, method=True)
    found |= make("nonzero(self: A)", waiting(several), _numpys, method=True)
    for function in (reshape, transpose, astype, fill, sort, partition, choose):
        found[function.__name__] = function
    found["view"] = view_as
    for name, function in found.items():
        setattr(ndarray, name, function)
    clip = found["clip"]

    def clip_with_none(self, min=None, max=None, out=None):
        if min is None:
            return wrap(np.array(self._a)) if max is None else _limit(np.minimum, self, max, out)
        return _limit(np.maximum, self, min, out) if max is None else clip(self, min, max, out)

    ndarray.clip = clip_with_none


def _limit(function: Any, array: ndarray, value: Any, out: ndarray | None) -> ndarray:
    """Return the array limited on one side."""
    kwargs = {} if out is None else {"out": inside(out)}
    return new(function, out, (array._a, operand(value)), kwargs)
