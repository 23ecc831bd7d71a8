"""The stand-in for `cupy_backends.cuda.libs.cublas`: batched products on raw addresses, checked."""

from __future__ import annotations

import ctypes
from types import ModuleType

import numpy as np

from standin.counts import counts
from standin.device import HANDLE
from standin.memory import state

CONSTANTS = {
    "CUBLAS_COMPUTE_32F": 68, "CUBLAS_COMPUTE_32F_FAST_TF32": 77, "CUBLAS_COMPUTE_32F_PEDANTIC": 69,
    "CUBLAS_COMPUTE_64F": 70, "CUBLAS_COMPUTE_64F_PEDANTIC": 71, "CUBLAS_OP_N": 0, "CUBLAS_OP_T": 1,
    "CUBLAS_OP_C": 2, "CUBLAS_GEMM_DEFAULT": -1, "CUBLAS_GEMM_DFALT": -1, "CUBLAS_DEFAULT_MATH": 0,
    "CUBLAS_POINTER_MODE_HOST": 0, "CUBLAS_POINTER_MODE_DEVICE": 1,
}  # fmt: skip
STATUS = {1: "NOT_INITIALIZED", 7: "INVALID_VALUE", 14: "INTERNAL_ERROR", 15: "NOT_SUPPORTED"}
TYPES = {0: np.dtype(np.float32), 1: np.dtype(np.float64)}  # CUDA_R_32F, CUDA_R_64F

products: list[tuple[int, int, int, int, int]] = []  # batch, m, n, k, compute type


class CUBLASError(RuntimeError):
    """cuBLAS refused."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__("CUBLAS_STATUS_" + STATUS.get(status, str(status)))


def tf32(values: np.ndarray) -> np.ndarray:
    """Return float32 values with 10 bits after the leading one, rounded to nearest, ties away from zero."""
    bits = np.ascontiguousarray(values).view(np.int32)
    rounded = ((bits + 0x1000) & ~0x1FFF).view(np.float32)
    return np.where(np.isfinite(values), rounded, values)


def _matrices(
    address: int, dtype: np.dtype, batch: int, rows: int, columns: int, ld: int, stride: int
) -> np.ndarray:
    """Return the matrices at an address, (batch, rows, columns), from column-major memory.

    Raises
    ------
    RuntimeError
        If an element lies outside of the live array that the first one lies in.
    """
    start, size = state.find(address)
    if address % dtype.itemsize:
        raise RuntimeError("misaligned address")
    ends = [(columns - 1) * ld + rows - 1, (batch - 1) * stride]
    first, last = min(0, ends[1]), ends[0] + max(0, ends[1])
    if address + first * dtype.itemsize < start or address + (last + 1) * dtype.itemsize > start + size:
        raise RuntimeError(
            f"illegal memory access: {batch} matrices of {rows} x {columns}, leading dimension {ld}, stride "
            f"{stride}, reach out of an array's memory of {size} bytes"
        )
    buffer = (ctypes.c_char * size).from_address(start)
    strides = tuple(dtype.itemsize * each for each in (stride, 1, ld))
    return np.ndarray((batch, rows, columns), dtype, buffer, address - start, strides)


def _overlap(c: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two arrays share an element; where that is hard to say, False."""
    if not np.may_share_memory(c, other):
        return False
    try:
        return np.shares_memory(c, other, max_work=100_000)
    except np.exceptions.TooHardError:
        return False


def gemmStridedBatchedEx(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB,
    beta, C, Ctype, ldc, strideC, batchCount, computeType, algo,
):  # fmt: skip
    """C = alpha op(A) op(B) + beta C for a batch, column-major, as cuBLAS has it."""
    if handle != HANDLE:
        raise CUBLASError(1)
    for each in (transa, transb, m, n, k, Atype, lda, Btype, ldb, Ctype, ldc, batchCount, computeType, algo):
        if not -(2**31) <= each < 2**31:
            raise OverflowError("value too large to convert to int")
    if min(m, n, k, batchCount) < 0 or transa not in (0, 1, 2) or transb not in (0, 1, 2):
        raise CUBLASError(7)
    rows_a, columns_a = (k, m) if transa else (m, k)
    rows_b, columns_b = (n, k) if transb else (k, n)
    if lda < max(1, rows_a) or ldb < max(1, rows_b) or ldc < max(1, m):
        raise CUBLASError(7)
    wanted = {68: 0, 69: 0, 77: 0, 70: 1, 71: 1}.get(computeType)
    if wanted is None or not Atype == Btype == Ctype == wanted or algo not in (-1, 99):
        raise CUBLASError(15)
    counts.launches += 1
    products.append((batchCount, m, n, k, computeType))
    if not (m and n and batchCount):
        return
    dtype = TYPES[wanted]
    number = ctypes.c_double if wanted else ctypes.c_float
    factor, kept = dtype.type(number.from_address(alpha).value), dtype.type(number.from_address(beta).value)
    c = _matrices(C, dtype, batchCount, m, n, ldc, strideC)
    step = abs(strideC)
    apart = step >= (n - 1) * ldc + m or (step >= m and ldc >= (batchCount - 1) * step + m)
    if batchCount > 1 and not apart:
        raise RuntimeError("the matrices of C overlap: they would be written at the same time")
    result = 0
    if k:
        a = _matrices(A, dtype, batchCount, rows_a, columns_a, lda, strideA)
        b = _matrices(B, dtype, batchCount, rows_b, columns_b, ldb, strideB)
        if _overlap(c, a) or _overlap(c, b):
            raise RuntimeError("C overlaps A or B: it would be read and written at the same time")
        a, b = a.swapaxes(1, 2) if transa else a, b.swapaxes(1, 2) if transb else b
        if computeType == CONSTANTS["CUBLAS_COMPUTE_32F_FAST_TF32"]:
            a, b = tf32(a), tf32(b)
        with np.errstate(all="ignore"):
            result = np.matmul(a, b)
            if factor != 1:
                result *= factor
    with np.errstate(all="ignore"):
        if kept == 0:  # C is not read then: it may hold anything
            c[...] = result
        elif kept == 1:
            c += result
        else:
            np.add(kept * c, result, out=c)


def module() -> ModuleType:
    """Return the module."""
    made = ModuleType("cupy_backends.cuda.libs.cublas")
    made.__dict__.update(CONSTANTS, CUBLASError=CUBLASError, gemmStridedBatchedEx=gemmStridedBatchedEx)
    made.getVersion = lambda handle: 120900
    return made
