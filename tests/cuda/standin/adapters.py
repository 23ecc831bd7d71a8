"""Functions of NumPy with CuPy's parameters, where the two differ; named after module and function."""

from __future__ import annotations

from typing import Any

import numpy as np


def _typed(result: Any, dtype: Any, out: np.ndarray | None) -> Any:
    """Return indices in another dtype."""
    if out is not None:
        out[...] = result
        return out
    return np.asarray(result, np.int64 if dtype is None else dtype)


def numpy_argmax(a, axis=None, dtype=None, out=None, keepdims=False):
    """CuPy has dtype=."""
    return _typed(np.argmax(a, axis, keepdims=keepdims), dtype, out)


def numpy_argmin(a, axis=None, dtype=None, out=None, keepdims=False):
    """CuPy has dtype=."""
    return _typed(np.argmin(a, axis, keepdims=keepdims), dtype, out)


def numpy_arange(start, stop=None, step=1, dtype=None):
    """NumPy tells one parameter from two by how many there are."""
    return (
        np.arange(start, dtype=dtype)
        if stop is None and step == 1
        else np.arange(*((0, start) if stop is None else (start, stop)), step, dtype=dtype)
    )


def numpy_reshape(a, newshape, order="C", copy=None):
    """The name of the parameter differs."""
    return np.reshape(a, newshape, order, copy=copy)


def numpy_ones_like(a, dtype=None, order="K", subok=None, shape=None):
    """CuPy has no subclasses."""
    return np.ones_like(a, dtype, order, shape=shape)


def numpy_zeros_like(a, dtype=None, order="K", subok=None, shape=None):
    """CuPy has no subclasses."""
    return np.zeros_like(a, dtype, order, shape=shape)


def numpy_full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None):
    """CuPy has no subclasses."""
    return np.full_like(a, fill_value, dtype, order, shape=shape)


def numpy_copyto(dst, src, casting="same_kind", where=None):
    """NumPy's `where` begins as True."""
    np.copyto(dst, src, casting, where=True if where is None else where)


def numpy_clip(a, a_min, a_max, out=None):
    """Their names and places agree; None is not taken by the stand-in."""
    return np.clip(a, a_min, a_max, out=out)


def numpy_bincount(x, weights=None, minlength=None):
    """CuPy's minlength begins as None."""
    return np.bincount(x, weights, minlength or 0)


def numpy_diff(a, n=1, axis=-1, prepend=None, append=None):
    """NumPy wants them left out."""
    given = {"prepend": prepend, "append": append}
    return np.diff(a, n, axis, **{name: value for name, value in given.items() if value is not None})


def numpy_histogram(x, bins=10, range=None, density=False, weights=None):
    """The name of the first parameter differs."""
    return np.histogram(x, bins, range, density, weights)


def numpy_diagonal(a, offset=0, axis1=0, axis2=1):
    """CuPy's can be written to."""
    result = np.diagonal(a, offset, axis1, axis2)
    result.flags.writeable = a.flags.writeable
    return result


def numpy_diag(v, k=0):
    """CuPy's is a view of a matrix."""
    return numpy_diagonal(v, k) if v.ndim == 2 else np.diag(v, k)


def numpy_partition(a, kth, axis=-1):
    """Parameters that CuPy has not."""
    return np.partition(a, kth, axis)


def numpy_permute_dims(a, axes=None):
    """An alias."""
    return np.transpose(a, axes)


def numpy_imag(val):
    """NumPy's zeros cannot be written to."""
    return val.imag if val.dtype.kind == "c" else np.zeros_like(val)


def numpy_percentile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False):
    """NumPy checks q on its own."""
    return np.percentile(a, q, axis, out, overwrite_input, method, keepdims)


def numpy_may_share_memory(a, b, max_work=None):
    """CuPy compares bounds."""
    return np.may_share_memory(a, b)


def linalg_cholesky(a):
    """CuPy does not look whether it went well: it would have to wait."""
    return _unchecked(np.linalg.cholesky, a.shape, a)


def linalg_inv(a):
    """CuPy does not look whether it went well."""
    return _unchecked(np.linalg.inv, a.shape, a)


def linalg_solve(a, b):
    """CuPy does not look whether it went well."""
    return _unchecked(np.linalg.solve, b.shape, a, b)


def _unchecked(function: Any, shape: tuple[int, ...], *arrays: np.ndarray) -> np.ndarray:
    """Return NaN where NumPy would raise."""
    try:
        return function(*arrays)
    except np.linalg.LinAlgError:
        return np.full(shape, np.nan, np.result_type(*arrays, np.float32))
