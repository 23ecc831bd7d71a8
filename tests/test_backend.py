"""Work on several threads: the same bits for any number of them, errors told, the BLAS library left as it
was.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from nst_manual.backend import array_module, scratch
from nst_manual.kernels import conv_matmul, conv_planes, gram
from nst_manual.kernels.conv_winograd import winograd, winograd6
from nst_manual.threads import available_cpus, parallel, thread_limit


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
@pytest.mark.parametrize(
    ("algorithm", "kernel_size"),
    [(conv_matmul, 1), (conv_matmul, 3), (conv_matmul, 5), (conv_planes, 5), (winograd, 3), (winograd6, 3)],
    ids=["matmul 1x1", "matmul 3x3", "matmul 5x5", "planes", "winograd", "winograd6"],
)
def test_any_number_of_threads_gives_the_same_bits(threads, algorithm, kernel_size, monkeypatch):
    for tiled in (winograd, winograd6):
        monkeypatch.setattr(tiled, "band_tiles", 16)
    for module in (conv_matmul, conv_planes):
        monkeypatch.setattr(module, "BAND_BYTES", 2**17)
    rng = np.random.default_rng(kernel_size)
    x = rng.standard_normal((2, 37, 41, 24)).astype("float32")
    w = rng.standard_normal((kernel_size, kernel_size, 24, 16)).astype("float32")
    b = rng.standard_normal(16).astype("float32")
    geometry = (1, 1), (kernel_size // 2, kernel_size // 2), (1, 1), 1
    ds = rng.standard_normal((2, 24, 24)).astype("float32")

    def results(count: int) -> list[np.ndarray]:
        with thread_limit(count):
            y = algorithm.forward(x, w, b, *geometry)
            dx = algorithm.input_gradient(y, w, x.shape, *geometry)
            return [y, dx, gram.forward(x), gram.input_gradient(x, ds)]

    for one, many in zip(results(1), results(threads), strict=True):
        np.testing.assert_array_equal(one, many)


# -- memory to work in ---------------------------------------------------------------------------------------


def test_scratch_of_one_name_is_the_same_memory_until_it_has_to_grow():
    first = scratch("test", (4, 5), float)
    first[...] = 7
    again = scratch("test", (20,), float)
    assert np.shares_memory(first, again)
    assert (again == 7).all()  # nothing is cleared
    smaller = scratch("test", (2, 3), "float32")
    assert smaller.shape == (2, 3)
    assert smaller.dtype == np.float32
    assert np.shares_memory(smaller, first)
    larger = scratch("test", (4, 5, 6), float)
    assert larger.shape == (4, 5, 6)
    assert not np.shares_memory(larger, first)
    assert np.shares_memory(scratch("test", (1,), float), larger)
    assert (first == 7).all()  # who still holds the old has it


def test_scratch_of_other_names_is_other_memory():
    one, other = scratch("test", (3, 3), float), scratch("another test", (3, 3), float)
    assert not np.shares_memory(one, other)


def test_scratch_may_be_empty_and_of_any_type():
    assert scratch("empty test", (0, 3), float).shape == (0, 3)
    for dtype in (bool, "uint8", "float32", complex):
        array = scratch("empty test", (3, 2), dtype)
        array[...] = 1
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_every_thread_has_scratch_of_its_own():
    mine = scratch("test", (8,), float)
    mine[...] = 1
    theirs = []
    both_are_here = threading.Barrier(2, timeout=20)

    def part(i: int) -> None:
        array = scratch("test", (8,), float)
        array[...] = 10 + i
        both_are_here.wait()
        assert (array == 10 + i).all()
        theirs.append(array)

    with thread_limit(2):
        parallel(part, [(0,), (1,)])
    assert not np.shares_memory(*theirs)
    # the caller is one of the two that work
    assert sum(np.shares_memory(mine, array) for array in theirs) == 1


def test_numpy_arrays_are_for_numpy():
    assert array_module(np.zeros(3), 1.0) is np
    assert available_cpus() >= 1
