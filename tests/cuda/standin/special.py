"""Functions of the module that make arrays, move them, or take more than one kind of thing."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from standin.array import SCALARS, fresh, inside, ndarray, operand, shown, view, wrap
from standin.counts import counts
from standin.memory import allocate
from standin.table import new, out_of


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(map(operator.index, shape)) if hasattr(shape, "__len__") else (operator.index(shape),)


def empty(shape, dtype=float, order="C"):
    """Return an array whose content is NaN, or bytes of 0xA5."""
    array = ndarray.__new__(ndarray)
    array._a, array._memory = allocate(_shape(shape), np.dtype(dtype), order or "C")
    array._base = None
    return array


def zeros(shape, dtype=float, order="C"):
    """Return an array of zeros."""
    array = empty(shape, dtype, order)
    counts.launches += 1
    array._a.fill(0)
    return array


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    """Return an array like another, whose content is NaN, or bytes of 0xA5."""
    like = inside(prototype)
    shape = like.shape if shape is None else _shape(shape)
    dtype = np.dtype(like.dtype if dtype is None else dtype)
    if order in "KA" and like.flags.f_contiguous and not like.flags.c_contiguous and len(shape) == like.ndim:
        return empty(shape, dtype, "F")
    if order == "K" and like.ndim == len(shape) and not like.flags.c_contiguous:
        axes = sorted(range(like.ndim), key=lambda axis: -abs(like.strides[axis]))  # the longest stride first
        array = empty([shape[axis] for axis in axes], dtype)
        return view(array._a.transpose(np.argsort(axes)), array)
    return empty(shape, dtype, "C" if order in "KA" else order)


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """Return a new array; NumPy's arrays and numbers go over the bus."""
    if type(obj) is ndarray:
        if not copy and (dtype is None or obj.dtype == dtype) and order in ("K", None):
            return obj if obj.ndim >= ndmin else view(np.array(obj._a, copy=False, ndmin=ndmin), obj)
        return fresh(np.array, obj._a, dtype, copy=True, order=order, ndmin=ndmin)
    if isinstance(obj, (list, tuple)) and _holds_arrays(obj):
        return fresh(np.array, _gathered(obj), dtype, order=order, ndmin=ndmin)
    if not isinstance(obj, (list, tuple, np.ndarray, *SCALARS)):
        raise TypeError(f"Unsupported type {type(obj)}")
    values = np.array(obj, dtype, order=order, ndmin=ndmin)
    counts.sent(values.nbytes)
    return wrap(values)


def _holds_arrays(values: Any) -> bool:
    return any(
        type(each) is ndarray or (isinstance(each, (list, tuple)) and _holds_arrays(each)) for each in values
    )


def _gathered(values: Any) -> Any:
    return [_gathered(each) if isinstance(each, (list, tuple)) else inside(each) for each in values]


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """Return the array itself, or one that is made of something else."""
    if type(a) is ndarray and not copy:
        result = a._a.astype(a.dtype if dtype is None else dtype, order or "K", copy=False)
        return a if result is a._a else fresh(np.array, result, copy=None, order="K")
    return array(a, dtype, True, order or "K")


def ascontiguousarray(a, dtype=None):
    """Return a C-contiguous array, the same one if it is."""
    result = asarray(a, dtype, "C")
    return result if result.ndim else result.reshape(1)


def asfortranarray(a, dtype=None):
    """Return an array contiguous in Fortran's order, the same one if it is."""
    return asarray(a, dtype, "F")


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """Return a NumPy array: an explicit transfer."""
    if type(a) is ndarray:
        return a.get(stream, order, out, blocking)
    if out is not None:
        out[...] = a
        return out
    return np.asarray(a, order=order)


def astype(x, dtype, /, *, copy=True):
    """Return an array in another dtype."""
    return x.astype(dtype, copy=copy)


def where(condition, x=None, y=None):
    """Return elements of x or y; with the condition alone, the places where it holds."""
    if x is None and y is None:
        return condition.nonzero()
    if x is None or y is None:
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    return fresh(np.where, operand(condition), operand(x), operand(y))


def matmul(x1, x2, out=None, **kwargs):
    """Return the product of matrices, or stacks of them."""
    if unknown := kwargs.keys() - {"axes", "axis", "keepdims", "casting", "dtype", "signature", "order"}:
        raise TypeError(f"matmul() got an unexpected keyword argument '{sorted(unknown)[0]}'")
    if out is not None:
        kwargs["out"] = inside(out)
    return new(np.matmul, out, (inside(x1), inside(x2)), kwargs)


def einsum(*operands, out=None, optimize=False, dtype=None, casting="safe", order="K"):
    """Return sums of products by letters."""
    subscripts, *arrays = operands
    kwargs = {"optimize": bool(optimize)} | ({} if dtype is None else {"dtype": dtype, "casting": casting})
    if out is not None:
        kwargs["out"] = inside(out)
    arrays = [inside(each) for each in arrays]
    if out is None and len(arrays) == 1:
        return shown(np.einsum(subscripts, *arrays, **kwargs), operands[1])
    return new(np.einsum, out, (subscripts, *arrays), kwargs)


def repeat(a, repeats, axis=None):
    """Return elements again and again; only numbers say how often."""
    if isinstance(repeats, (ndarray, np.ndarray)):
        raise ValueError("repeats must be integers, not an array: CuPy would have to wait")
    return fresh(np.repeat, inside(a), repeats, axis)


def pad(array, pad_width, mode="constant", **kwargs):
    """Return an array with margins."""
    return fresh(np.pad, inside(array), pad_width, mode, **kwargs)


def broadcast_arrays(*args):
    """Return views of one shape."""
    shape = np.broadcast_shapes(*(each.shape for each in args))
    return [view(np.broadcast_to(inside(each), shape), each) for each in args]


def meshgrid(*xi, **kwargs):
    """Return grids of coordinates."""
    return [wrap(np.array(each)) for each in np.meshgrid(*map(inside, xi), **kwargs)]


def indices(dimensions, dtype=int):
    """Return the places in a grid."""
    return fresh(np.indices, dimensions, dtype)


def result_type(*arrays_and_dtypes):
    """Return the dtype that all of them can become."""
    return np.result_type(*(each._a if type(each) is ndarray else each for each in arrays_and_dtypes))


def can_cast(from_, to, casting="safe"):
    """Return whether one dtype can become another."""
    return np.can_cast(from_.dtype if type(from_) is ndarray else from_, to, casting)


def trapezoid(y, x=None, dx=1.0, axis=-1):
    """Return the integral."""
    return fresh(np.trapezoid, inside(y), out_of(x), dx, axis)


def get_array_module(*args):
    """Return the module that an array belongs to."""
    import sys

    return sys.modules["cupy"] if any(type(each) is ndarray for each in args) else np


FUNCTIONS = [
    empty, zeros, empty_like, array, asarray, ascontiguousarray, asfortranarray, asnumpy, astype, where,
    matmul, einsum, repeat, pad, broadcast_arrays, meshgrid, indices, result_type, can_cast, trapezoid,
    get_array_module,
]  # fmt: skip
