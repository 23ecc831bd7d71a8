"""Where arrays live; the only file that imports CuPy.

On the GPU nothing waits that need not: a number made of an array stays there as an array of no dimensions,
and `numbers` brings over several of them at once.
"""

from __future__ import annotations

import functools
import math
import sys
import threading
from collections.abc import Callable, Iterable
from importlib import resources
from types import ModuleType
from typing import Any

import numpy as np

from nst_manual.errors import UsageError

INSTALL = "pip install 'cupy-cuda12x[ctk]' or 'cupy-cuda13x[ctk]', by the CUDA version that nvidia-smi prints"
# Threads of a block of our kernels.
BLOCK = 256
# More than enough blocks for any GPU.
MOST_ROWS = 1024


def array_module(*arrays: Any) -> ModuleType:
    """Return `cupy` when any of the arrays lives on a GPU, else `numpy`.

    Kernels begin with ``xp = array_module(x)`` and then read the same for both. CuPy is never imported here:
    an array of its can only exist where the caller has imported it already.
    """
    cupy = sys.modules.get("cupy")
    if cupy is not None and any(isinstance(array, cupy.ndarray) for array in arrays):
        return cupy
    return np


def on_gpu(array: Any) -> bool:
    """Whether an array lives on a GPU."""
    return array_module(array) is not np


def to_device(array: Any) -> Any:
    """Return the array on the GPU, copied there unless it is there."""
    return _cupy().asarray(array)


def to_host(array: Any) -> np.ndarray:
    """Return the array as NumPy's, copied from the GPU where it is there, which waits for it."""
    return array.get() if on_gpu(array) else np.asarray(array)


def beside(array: Any, other: Any) -> Any:
    """Return the array where `other` lives: itself, or copied there."""
    if on_gpu(array) == on_gpu(other):
        return array
    return to_device(array) if on_gpu(other) else to_host(array)


def numbers(values: Iterable[Any]) -> list[float]:
    """Return Python floats for numbers and arrays of one element each; those on the GPU come in one transfer.

    It is the one place where an iteration waits for the GPU.
    """
    values = list(values)
    there = [value for value in values if on_gpu(value)]
    if not there:
        return [float(value) for value in values]
    xp = array_module(there[0])
    together = xp.concatenate([value.reshape(1).astype(xp.float64, copy=False) for value in there])
    found = iter(to_host(together).tolist())
    return [next(found) if on_gpu(value) else float(value) for value in values]


def in_rows(array: Any) -> Any:
    """Return an array on a GPU as (rows, columns), with as many rows as divide its size, up to MOST_ROWS.

    CuPy gives each number of a sum to one block of threads. So what is to become one number is summed by rows
    first: `in_rows(x).sum(axis=1).sum()`.
    """
    rows = next((rows for rows in range(MOST_ROWS, 1, -1) if array.size % rows == 0), 1)
    return array.reshape(rows, -1) if array.size else array.reshape(1, 0)


# -- the GPU -------------------------------------------------------------------------------------------------


def open_device(name: str) -> tuple[str, str]:
    """Return "cpu" or "cuda", and a line that says which it is and why.

    Parameters
    ----------
    name : str
        "cpu", "cuda", or "auto": a GPU if one works.

    Raises
    ------
    UsageError
        "cuda", and there is no CuPy, no GPU or one that does not work.
    """
    if name == "cpu":
        return "cpu", "CPU"
    try:
        return "cuda", _try_gpu()
    except _NoGPUError as error:
        if name == "auto":
            return "cpu", f"CPU (no GPU: {error})"
        raise UsageError("--device cuda", str(error), error.hint) from error


class _NoGPUError(Exception):
    """Why there is no GPU to compute on."""

    def __init__(self, cause: str, hint: str | None = None) -> None:
        super().__init__(cause)
        self.hint = hint


@functools.cache
def _try_gpu() -> str:
    """Return the name of the GPU once it has compiled a kernel and multiplied; raise `_NoGPUError`.

    Once, where it works: estimates ask again and again, and who asks when memory has run out has none for it.
    """
    try:
        xp = _cupy()
    except ImportError as error:
        raise _NoGPUError("CuPy is not installed", INSTALL) from error
    try:
        if not xp.cuda.runtime.getDeviceCount():
            raise _NoGPUError("CuPy finds no GPU")
        twos = xp.full((1, 2, 2), 2.0, xp.float32)
        product(twos, twos, twos.copy())
        if float((twos * twos).sum()) != 16:
            raise _NoGPUError("the GPU computes wrong numbers")
        name = xp.cuda.runtime.getDeviceProperties(xp.cuda.Device().id)["name"].decode()
    except _NoGPUError:
        raise
    except Exception as error:  # of the driver, the compiler or cuBLAS; each has classes of its own
        raise _NoGPUError(f"the GPU cannot be used, {_one_line(error)}", INSTALL) from error
    return f"GPU {name}, CuPy {xp.__version__}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _cupy() -> ModuleType:
    """Return CuPy."""
    import cupy

    return cupy


def gpu_memory() -> tuple[int, int]:
    """Return the bytes of the GPU's memory that may still be taken, and all."""
    xp = _cupy()
    free, total = xp.cuda.runtime.memGetInfo()
    return free + xp.get_default_memory_pool().free_bytes(), total


def gpu_bytes_taken() -> int:
    """Return the bytes of the GPU's memory that this process holds for arrays; they are kept once taken."""
    return _cupy().get_default_memory_pool().total_bytes()


def wait_for_gpu() -> None:
    """Wait until the GPU has done all that it was given: for clocks."""
    _cupy().cuda.get_current_stream().synchronize()


def product(a: Any, b: Any, out: Any, add: bool = False, tf32: bool = False) -> None:
    """Compute out = a @ b, or out += a @ b, on the GPU by cuBLAS, in place and without copies.

    Parameters
    ----------
    a : array (B, M, K)
    b : array (B, K, N)
    out : array (B, M, N)
        float32 or float64, all of one type; of the last two axes of each one has stride 1, of `out` the last.
        Strides may be such that rows overlap in `a`, and 0 for the matrix that all B products share.
    add : bool
    tf32 : bool
        Round float32 factors to TF32, ten bits of mantissa, and multiply on tensor cores.
    """
    from cupy_backends.cuda.libs import cublas

    (count, rows, inner), columns = a.shape, b.shape[2]
    # cuBLAS counts by columns: it is told the transposed product, out^T = b^T a^T
    transposed_b, ldb = _leading(b)
    transposed_a, lda = _leading(a)
    transposed_out, ldc = _leading(out)
    expected = (count, inner, columns), (count, rows, columns), a.dtype, a.dtype, False
    if (b.shape, out.shape, b.dtype, out.dtype, transposed_out) != expected:
        raise ValueError(f"no product of {a.shape} {a.dtype} and {b.shape} {b.dtype} to {out.shape}")
    strides = (array.strides[0] // array.itemsize if count > 1 else 0 for array in (b, a, out))
    stride_b, stride_a, stride_out = strides
    kind, compute = (1, cublas.CUBLAS_COMPUTE_64F) if a.itemsize == 8 else (0, cublas.CUBLAS_COMPUTE_32F)
    if tf32 and a.itemsize == 4:
        compute = cublas.CUBLAS_COMPUTE_32F_FAST_TF32
    one, zero = _ONE[a.dtype.name], _ZERO[a.dtype.name]
    cublas.gemmStridedBatchedEx(
        _cupy().cuda.device.get_cublas_handle(),
        *(int(transposed_b), int(transposed_a)),
        *(columns, rows, inner),
        one.ctypes.data,
        *(b.data.ptr, kind, ldb, stride_b),
        *(a.data.ptr, kind, lda, stride_a),
        (one if add else zero).ctypes.data,
        *(out.data.ptr, kind, ldc, stride_out),
        *(count, compute, _DEFAULT_ALGORITHM),
    )


_ONE = {name: np.ones(1, name) for name in ("float32", "float64")}
_ZERO = {name: np.zeros(1, name) for name in ("float32", "float64")}
_DEFAULT_ALGORITHM = -1  # CUBLAS_GEMM_DEFAULT


def _leading(array: Any) -> tuple[bool, int]:
    """Return whether matrices (B, M, N) lie by columns, and the distance of their rows or columns."""
    _, rows, columns = array.shape
    down, across = (stride // array.itemsize for stride in array.strides[1:])
    if across == 1 or columns == 1:
        return False, max(down if rows > 1 else columns, columns, 1)
    if down == 1 or rows == 1:
        return True, max(across, rows, 1)
    raise ValueError(f"expected matrices by rows or columns, got strides {array.strides}")


@functools.cache
def gpu_functions(name: str, **defines: int | str) -> Callable[[str], Callable[..., None]]:
    """Return the functions of `kernels/cuda/NAME.cu`, compiled with some names defined.

    They are asked for by name, and called with a number of threads, then with arrays and NumPy's numbers of
    the very types that are declared.
    """
    folder = resources.files("nst_manual.kernels.cuda")
    text = "".join(folder.joinpath(f"{part}.cu").read_text(encoding="utf-8") for part in ("common", name))
    options = ("--std=c++17", *(f"-D{key}={value}" for key, value in defines.items()))
    compiled = _cupy().RawModule(code=text, options=options)

    @functools.cache
    def function(name: str) -> Callable[..., None]:
        kernel = compiled.get_function(name)

        def launch(threads: int, *arguments: Any) -> None:
            kernel((-(-threads // BLOCK),), (BLOCK,), arguments)

        return launch

    return function


@functools.cache
def elementwise(in_params: str, out_params: str, operation: str, name: str) -> Any:
    """Return CuPy's kernel that does an operation on each element; compiled for the types that it meets."""
    return _cupy().ElementwiseKernel(in_params, out_params, operation, f"nst_{name}")


@functools.cache
def reduction(in_params: str, out_params: str, *expressions: str) -> Any:
    """Return CuPy's kernel that reduces; expressions to map, reduce, map the result, identity, and a name."""
    *expressions, name = expressions
    return _cupy().ReductionKernel(in_params, out_params, *expressions, f"nst_{name}")


# -- memory to work in ---------------------------------------------------------------------------------------


def scratch(name: str, shape: tuple[int, ...], dtype: Any, like: Any = None) -> Any:
    """Return an array to work in, whose content is whatever the last user of that name in this thread left.

    Kernels call it inside their bands: the memory is the thread's, kept from band to band and from call to
    call, so that nothing large is allocated again. It never leaves the band. `like` says where it lives.
    """
    if array_module(like) is not np:
        return array_module(like).empty(shape, dtype)  # CuPy has a pool of its own
    key = name, shape, dtype  # a band asks a dozen times, mostly for what the last band asked
    if (array := _scratch.last.get(key)) is not None:
        return array
    dtype = np.dtype(dtype)
    wanted = math.prod(shape) * dtype.itemsize
    held = _scratch.bytes.get(name)
    if held is None or held.size < wanted:
        held = None  # as in the two below: the old goes before the new is asked for
        _scratch.last.clear()
        _scratch.bytes.pop(name, None)
        held = _scratch.bytes[name] = np.empty(wanted, np.uint8)
    elif len(_scratch.last) > 100:
        _scratch.last.clear()
    array = held[:wanted].view(dtype).reshape(shape)
    _scratch.last[key] = array
    return array


class _Scratch(threading.local):
    """A thread's memory by name, and the arrays that were last made of it."""

    def __init__(self) -> None:
        self.bytes: dict[str, np.ndarray] = {}
        self.last: dict[tuple, np.ndarray] = {}


_scratch = _Scratch()
