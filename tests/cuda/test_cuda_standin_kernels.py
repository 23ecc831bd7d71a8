"""The stand-in for CuPy: products of cuBLAS and kernels, checked where a GPU would read or write anything."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

SCALE = """
extern "C" __global__ void __launch_bounds__(256)
scale(const float* __restrict__ x, T* __restrict__ y, float factor, int n)  // T is a macro
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = factor * x[i];
}
"""


@pytest.fixture
def cp(standin):
    """Return the module `cupy`."""
    return standin.cupy


def filled(*shape, seed=0, dtype=np.float32):
    """Return random values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# Products


def product(
    cublas, a, b, c, m, n, k, *, handle=None, ta=0, tb=0, lda, ldb, ldc, strides=(0, 0, 0), batch=1, **kinds
):
    """Call cuBLAS; addresses are arrays or numbers."""
    import cupy

    double = kinds.get("compute") == cublas.CUBLAS_COMPUTE_64F
    number = ctypes.c_double if double else ctypes.c_float
    alpha, beta = number(kinds.get("alpha", 1)), number(kinds.get("beta", 0))
    kind = int(double)
    a, b, c = (each.data.ptr if isinstance(each, cupy.ndarray) else each for each in (a, b, c))
    own = cupy.cuda.device.get_cublas_handle()
    compute = kinds.get("compute", cublas.CUBLAS_COMPUTE_32F)
    cublas.gemmStridedBatchedEx(
        own if handle is None else handle, ta, tb, m, n, k, ctypes.addressof(alpha), a, kind, lda, strides[0],
        b, kind, ldb, strides[1], ctypes.addressof(beta), c, kind, ldc, strides[2], batch, compute,
        cublas.CUBLAS_GEMM_DEFAULT,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ta", [0, 1])
@pytest.mark.parametrize("tb", [0, 1])
def test_products_with_odd_strides(standin, cp, dtype, ta, tb):
    batch, m, n, k, lda, ldb, ldc = 3, 4, 5, 6, 9, 8, 7
    a, b, c = (
        filled(300, seed=1, dtype=dtype),
        filled(300, seed=2, dtype=dtype),
        filled(300, seed=3, dtype=dtype),
    )
    on = [cp.asarray(each) for each in (a, b, c)]
    compute = cp.cuda.cublas.CUBLAS_COMPUTE_64F if dtype == np.float64 else cp.cuda.cublas.CUBLAS_COMPUTE_32F
    product(
        cp.cuda.cublas, on[0][2:], on[1][1:], on[2][3:], m, n, k, ta=ta, tb=tb, lda=lda, ldb=ldb, ldc=ldc,
        strides=(80, 0, 60), batch=batch, alpha=2, beta=-1, compute=compute,
    )  # fmt: skip
    expected = c.copy()
    for each in range(batch):
        for i in range(m):
            for j in range(n):
                total = 0.0
                for p in range(k):
                    left = a[2 + 80 * each + (i * lda + p if ta else p * lda + i)]
                    total += float(left) * float(b[1 + (p * ldb + j if tb else j * ldb + p)])
                place = 3 + 60 * each + j * ldc + i
                expected[place] = 2 * total - c[place]
    np.testing.assert_allclose(on[2].get(), expected, rtol=1e-5 if dtype == np.float32 else 1e-13, atol=1e-5)
    assert standin.products == [(batch, m, n, k, compute)]


def test_a_product_that_does_not_add_does_not_read(cp):
    a = cp.asarray(filled(4, 4))
    c = cp.empty((4, 4), np.float32)  # NaN
    product(cp.cuda.cublas, a, a, c, 4, 4, 4, lda=4, ldb=4, ldc=4)
    np.testing.assert_allclose(c.get(), a.get() @ a.get(), rtol=1e-5)


def test_products_outside_of_memory_are_caught(cp):
    a, c = cp.ones((4, 4), np.float32), cp.zeros((4, 4), np.float32)
    good = {"lda": 4, "ldb": 4, "ldc": 4}
    product(cp.cuda.cublas, a, a, c, 4, 4, 4, **good)
    for bad in (
        {"lda": 5},
        {"ldb": 5},
        {"ldc": 5},
        {"batch": 2, "strides": (0, 0, 16)},
        {"batch": 2, "strides": (16, 0, 0)},
    ):
        with pytest.raises(RuntimeError, match=r"illegal memory|overlap"):
            product(cp.cuda.cublas, a, a, c, 4, 4, 4, **(good | bad))
    with pytest.raises(RuntimeError, match="illegal memory"):
        product(cp.cuda.cublas, a[1:], a, c, 4, 4, 4, **good)
    address = c.data.ptr
    del c
    with pytest.raises(RuntimeError, match="no live array"):
        product(cp.cuda.cublas, a, a, address, 4, 4, 4, **good)


def test_products_that_write_over_themselves_are_caught(cp):
    a = cp.ones(64, np.float32)
    with pytest.raises(RuntimeError, match="overlaps A or B"):
        product(cp.cuda.cublas, a, a[16:], a[8:], 4, 4, 4, lda=4, ldb=4, ldc=4)
    c = cp.zeros(64, np.float32)
    with pytest.raises(RuntimeError, match="matrices of C overlap"):
        product(cp.cuda.cublas, a, a, c, 4, 4, 4, lda=4, ldb=4, ldc=4, batch=2, strides=(0, 0, 8))
    # Side by side in the same rows is no overlap.
    product(cp.cuda.cublas, a, a, c, 4, 4, 4, lda=4, ldb=4, ldc=8, batch=2, strides=(0, 16, 4))
    assert c.get().tolist() == [4.0] * 32 + [0.0] * 32


def test_what_cublas_refuses(cp):
    cublas = cp.cuda.cublas
    a = cp.ones(64, np.float32)
    c = cp.ones(64, np.float32)
    good = {"lda": 4, "ldb": 4, "ldc": 4}
    for bad, words in (
        ({"lda": 3}, "INVALID_VALUE"),
        ({"ldb": 3}, "INVALID_VALUE"),
        ({"ldc": 3}, "INVALID_VALUE"),
        ({"batch": -1}, "INVALID_VALUE"),
        ({"ta": 3}, "INVALID_VALUE"),
        ({"handle": 5}, "NOT_INITIALIZED"),
        ({"compute": 64}, "NOT_SUPPORTED"),
    ):
        with pytest.raises(cublas.CUBLASError, match=words):
            product(cublas, a, a, c, 4, 4, 4, **(good | bad))


def test_tf32_is_seen(cp):
    cublas = cp.cuda.cublas
    a, b = filled(64, 64, seed=4), filled(64, 64, seed=5)
    x, y, z = cp.asarray(a), cp.asarray(b), cp.empty((64, 64), np.float32)
    exact = b.astype(np.float64) @ a.astype(np.float64)
    errors = []
    for compute in (cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_COMPUTE_32F_FAST_TF32):
        product(cublas, x, y, z, 64, 64, 64, lda=64, ldb=64, ldc=64, compute=compute)
        errors.append(np.abs(z.get() - exact).max())
    assert errors[0] < 1e-5
    assert 1e-3 < errors[1] < 2e-2


def test_tf32_keeps_ten_bits():
    from standin.blas import tf32

    step = 2.0**-10
    values = np.array([1 + step, 1 + 0.49 * step, 1 + 0.5 * step, -1 - 0.51 * step, np.inf, 0, 3], np.float32)
    expected = [1 + step, 1, 1 + step, -1 - step, np.inf, 0, 3]
    assert tf32(values).tolist() == expected


# Kernels


def test_a_kernel_runs_thread_by_thread(standin, cp):
    kernel = cp.RawModule(code=SCALE, options=("-DT=float",)).get_function("scale")
    x, y = cp.asarray(filled(1000)), cp.empty(1000, np.float32)
    before = standin.counts.launches
    kernel((4,), (256,), (x, y, np.float32(3), np.int32(1000)))
    assert standin.counts.launches == before + 1
    np.testing.assert_array_equal(y.get(), np.float32(3) * x.get())
    assert standin.counts.synchronisations == 2


def test_a_kernel_sees_its_place(cp):
    code = """
    extern "C" __global__ void where_am_i(int *out) {
        int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
        int place = block * blockDim.x * blockDim.y * blockDim.z + thread;
        out[place] = place;
    }
    """
    out = cp.zeros(2 * 3 * 2 * 4 * 2 * 2, np.int32)
    cp.RawKernel(code, "where_am_i")((2, 3, 2), (4, 2, 2), (out,))
    assert out.tolist() == list(range(192))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, lambda cp: cp.ones(10, np.float64), "points to float32"),
        (0, lambda cp: np.ones(10, np.float32), "array of the GPU"),
        (1, lambda cp: cp.ones(10, np.int32), "points to float32"),
        (2, lambda cp: 3.0, "say numpy.float32"),
        (2, lambda cp: np.float64(3), "not float64"),
        (2, lambda cp: np.int32(3), "not int32"),
        (3, lambda cp: 10, "say numpy.int32"),
        (3, lambda cp: np.int64(10), "not int64"),
        (3, lambda cp: cp.ones(()), "not taken"),
    ],
)
def test_wrong_arguments_of_kernels_are_caught(cp, place, value, words):
    kernel = cp.RawModule(code=SCALE, options=("-DT=float",)).get_function("scale")
    args = [cp.ones(10, np.float32), cp.empty(10, np.float32), np.float32(3), np.int32(10)]
    kernel((1,), (32,), tuple(args))
    args[place] = value(cp)
    with pytest.raises(TypeError, match=words):
        kernel((1,), (32,), tuple(args))


def test_the_number_of_arguments_and_threads_is_checked(cp):
    kernel = cp.RawModule(code=SCALE, options=("-DT=float",)).get_function("scale")
    args = (cp.ones(10, np.float32), cp.empty(10, np.float32), np.float32(3), np.int32(10))
    with pytest.raises(TypeError, match="4 arguments"):
        kernel((1,), (32,), args[:3])
    for grid, block in (((1,), (2048,)), ((1,), (32, 64)), ((1, 70000), (32,)), ((0,), (32,))):
        with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_VALUE"):
            kernel(grid, block, args)


def test_a_kernel_that_writes_outside_is_caught(cp):
    kernel = cp.RawModule(code=SCALE, options=("-DT=float",)).get_function("scale")
    x, y = cp.ones(11, np.float32), cp.empty(10, np.float32)
    with pytest.raises(RuntimeError, match="wrote outside"):
        kernel((1,), (32,), (x, y, np.float32(3), np.int32(11)))


def test_types_behind_macros_and_vectors(cp):
    code = """
    #define KERNEL(name) extern "C" __global__ void name
    typedef long long index_t;
    KERNEL(copy4)(const float4 *x, float4 *y, index_t n, bool twice) {
        for (index_t i = 0; i < n; ++i) { y[i] = x[i]; if (twice) y[i].w *= 2.0f; }
    }
    """
    kernel = cp.RawModule(code=code).get_function("copy4")
    x, y = cp.ones(8, np.float32), cp.empty(8, np.float32)
    kernel((1,), (1,), (x, y, np.int64(2), np.bool_(True)))
    assert y.tolist() == [1, 1, 1, 2] * 2
    with pytest.raises(RuntimeError, match="misaligned"):
        kernel((1,), (1,), (x[1:], y, np.int64(1), np.bool_(True)))


def test_what_the_stand_in_cannot_run_is_refused(cp):
    for line in ("__shared__ float s[32];", "__syncthreads();", "__shfl_down_sync(0, 1, 2);"):
        with pytest.raises(NotImplementedError):
            cp.RawModule(code=f'extern "C" __global__ void f() {{ {line} }}')
    cp.RawModule(code='extern "C" __global__ void f() { /* no __shared__ */ } // __syncthreads()').compile()
    with pytest.raises(RuntimeError, match="not found"):
        cp.RawModule(code='extern "C" __global__ void f() {}').get_function("g")
    with pytest.raises(NotImplementedError):
        cp.RawModule(code="", options=("-I/usr/include",))


@pytest.mark.parametrize(
    "line", ["int32_t n = 0;", "float x = INFINITY;", "double x = M_PI;", "float x = std::sqrt(2.0f);"]
)
def test_what_needs_headers_does_not_compile(cp, line):
    from standin.compiler import CompileError

    with pytest.raises(CompileError):
        cp.RawModule(code=f'extern "C" __global__ void f() {{ {line} }}').compile()


def test_elementwise_kernels(cp):
    a, b = filled(3, 4), filled(4, seed=1)
    kernel = cp.ElementwiseKernel(
        "T x, T y, float32 k", "T z, bool large", "z = x * y + k; large = z > 0", "own"
    )
    z, large = kernel(cp.asarray(a), cp.asarray(b), 2)
    np.testing.assert_allclose(z.get(), a * b + 2, rtol=1e-6)
    np.testing.assert_array_equal(large.get(), z.get() > 0)
    out = cp.empty((4, 3), np.float32)
    kernel(cp.asarray(a), cp.asarray(b), np.float32(1), out.T, large)
    np.testing.assert_allclose(out.get().T, a * b + 1, rtol=1e-6)


def test_elementwise_kernels_check_types(cp):
    kernel = cp.ElementwiseKernel("T x, float32 y", "T z", "z = x + y", "own")
    x, y = cp.ones(3), cp.ones(3, np.float32)
    assert kernel(x, y).dtype == np.float64
    for args in ((x, x), (x, y, y), (y, np.ones(3, np.float32))):
        with pytest.raises(TypeError):
            kernel(*args)
    with pytest.raises(TypeError):
        kernel(1.0, 2.0)
    with pytest.raises(TypeError):
        kernel(x)
    with pytest.raises(ValueError, match="mismatched"):
        kernel(x, y[:1], cp.empty(1))


def test_raw_parameters(cp):
    kernel = cp.ElementwiseKernel("raw T x, int32 shift", "T y", "y = x[i + shift]", "shifted")
    x = cp.asarray(filled(4, 3)).T
    y = kernel(x, 1, cp.empty(11, np.float32))
    np.testing.assert_array_equal(y.get(), x.get().ravel()[1:])
    with pytest.raises(RuntimeError, match="out of its bounds"):
        kernel(x, 2, cp.empty(11, np.float32))
    placed = cp.ElementwiseKernel("raw T x", "T y", "ptrdiff_t at[] = {i % 3, i / 3}; y = x[at]", "placed")
    np.testing.assert_array_equal(placed(x, size=12).get(), x.get().T.ravel())


def test_reduction_kernels(cp):
    a, b = filled(5, 6, 700), filled(5, 1, 700, seed=1)
    kernel = cp.ReductionKernel(
        "T x, T y",
        "float64 z",
        "(double)x * y",
        "a + b",
        "z = sqrt(fabs(a))",
        "0",
        "own",
        reduce_type="double",
    )
    x, y = cp.asarray(a), cp.asarray(b)
    exact = a.astype(np.float64) * b
    for axis in (None, 0, 2, (0, 2), -2):
        for keepdims in (False, True):
            z = kernel(x, y, axis=axis, keepdims=keepdims)
            np.testing.assert_allclose(
                z.get(), np.sqrt(np.abs(exact.sum(axis, keepdims=keepdims))), rtol=1e-12
            )
    largest = cp.ReductionKernel("T x, T low", "T y", "x - low", "max(a, b)", "y = a", "-1e30f", "largest")
    out = cp.empty((6, 5), np.float32)
    largest(x, np.float32(1), out.T, axis=2)
    np.testing.assert_array_equal(out.get().T, (a - 1).max(axis=2))


def test_reductions_of_nothing_are_the_identity(cp):
    kernel = cp.ReductionKernel("T x", "T y", "x", "a + b", "y = a", "3", "own")
    assert kernel(cp.zeros((2, 0)), axis=1).tolist() == [3, 3]
