"""Work on several threads: the same bits for any number of them, errors told, the BLAS library left as it
was.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from nst_manual.backend import array_module, available_cpus, parallel, thread_limit
from nst_manual.kernels import conv_matmul, gram


def blas_threads() -> list[int]:
    """Return the threads of each BLAS library: NumPy's, and SciPy's where another test has loaded it."""
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_every_item_is_worked_on_once():
    done = []
    with thread_limit(3):
        parallel(lambda a, b: done.append((a, b)), ((i, -i) for i in range(20)))
    assert sorted(done) == [(i, -i) for i in range(20)]


def test_several_threads_do_work_at_the_same_time():
    both_are_here = threading.Barrier(2, timeout=20)
    with thread_limit(2):
        parallel(lambda _: both_are_here.wait(), [(0,), (1,)])  # would break the barrier on one thread


def test_an_error_in_a_part_is_raised():
    def part(i: int) -> None:
        if i == 3:
            raise ZeroDivisionError(f"part {i}")

    for threads in (1, 4):
        with thread_limit(threads), pytest.raises(ZeroDivisionError, match="part 3"):
            parallel(part, ((i,) for i in range(6)))


def test_what_the_caller_said_of_overflow_holds_in_the_threads():
    big = np.full(4, 1e300)
    with thread_limit(2), np.errstate(over="ignore"):
        parallel(lambda i: big * big, [(0,), (1,)])  # a warning would be an error here
    with thread_limit(2), np.errstate(over="raise"), pytest.raises(FloatingPointError):
        parallel(lambda i: big * big, [(0,), (1,)])


def test_the_blas_library_has_its_threads_back_afterwards():
    before = blas_threads()
    seen = []
    with thread_limit(2):
        parallel(lambda i: seen.append(blas_threads()), [(0,), (1,)])
    assert all(count == 1 for counts in seen for count in counts)
    assert blas_threads() == before
    parallel(lambda i: None, [(0,), (1,)])
    assert blas_threads() == before


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_any_number_of_threads_gives_the_same_bits(threads, kernel_size):
    rng = np.random.default_rng(kernel_size)
    x = rng.standard_normal((2, 37, 41, 24)).astype("float32")
    w = rng.standard_normal((kernel_size, kernel_size, 24, 16)).astype("float32")
    b = rng.standard_normal(16).astype("float32")
    geometry = (1, 1), (kernel_size // 2, kernel_size // 2), (1, 1), 1
    ds = rng.standard_normal((2, 24, 24)).astype("float32")

    def results(count: int) -> list[np.ndarray]:
        with thread_limit(count):
            y = conv_matmul.forward(x, w, b, *geometry)
            dx = conv_matmul.input_gradient(y, w, x.shape, *geometry)
            return [y, dx, gram.forward(x), gram.input_gradient(x, ds)]

    for one, many in zip(results(1), results(threads), strict=True):
        np.testing.assert_array_equal(one, many)


def test_numpy_arrays_are_for_numpy():
    assert array_module(np.zeros(3), 1.0) is np
    assert available_cpus() >= 1
