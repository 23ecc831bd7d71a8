"""The stand-in for CuPy: its arrays are strict where they say so, and right in what they calculate."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def cp(standin):
    """Return the module `cupy`."""
    return standin.cupy


def filled(*shape, seed=0, dtype=np.float32):
    """Return random values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# What is refused


def test_it_is_found_as_cupy(standin):
    import cupy
    from cupy.cuda.memory import OutOfMemoryError
    from cupy_backends.cuda.libs import cublas

    assert cupy is standin.cupy
    assert cupy.cuda.cublas is cublas
    assert issubclass(OutOfMemoryError, MemoryError)
    assert type(cupy.zeros(3)) is cupy.ndarray


@pytest.mark.parametrize(
    "use",
    [
        np.asarray,
        np.array,
        np.sum,
        np.exp,
        np.isfinite,
        np.zeros_like,
        lambda x: np.maximum(x, 0),
        lambda x: np.maximum(x, np.zeros(3)),
        lambda x: np.matmul(x, x),
        lambda x: np.add(x, x, out=np.zeros(3)),
        lambda x: np.zeros(3).__setitem__(slice(None), x),
        lambda x: np.result_type(x, np.float32),
    ],
)
def test_functions_of_numpy_are_refused(cp, use):
    with pytest.raises(TypeError, match="NumPy|numpy"):
        use(cp.zeros(3))


@pytest.mark.parametrize("other", [np.ones(3), np.array(2.0)], ids=["vector", "without axes"])
@pytest.mark.parametrize(
    "use",
    [
        lambda x, y: x + y,
        lambda x, y: y + x,
        lambda x, y: x @ y,
        lambda x, y: x < y,
        lambda x, y: x.__iadd__(y),
        lambda x, y: y.__iadd__(x),
        lambda x, y: x.__setitem__(0, y),
        lambda x, y: x.fill(y),
        lambda x, y: x.dot(y),
    ],
)
def test_arrays_of_numpy_are_refused_as_operands(cp, use, other):
    with pytest.raises(TypeError):
        use(cp.zeros(3), other)


def test_arrays_of_numpy_are_refused_as_arguments(cp):
    x, y = cp.zeros((3, 3)), np.ones((3, 3))
    for use in (
        lambda: cp.add(x, y),
        lambda: cp.add(x, x, out=y),
        lambda: cp.where(x > 0, x, y),
        lambda: cp.sum(y),
        lambda: cp.stack([x, y]),
        lambda: cp.matmul(x, y),
        lambda: cp.einsum("ij,jk", x, y),
        lambda: cp.take(x, np.arange(2)),
        lambda: x[np.arange(2)],
        lambda: x[y > 0],
        lambda: cp.copyto(x, y),
        lambda: cp.clip(x, y, y),
        lambda: cp.linalg.norm(y),
        lambda: cp.full(3, y),
    ):
        with pytest.raises(TypeError):
            use()


def test_numbers_of_python_and_numpy_are_operands(cp):
    x = cp.asarray(np.arange(3, dtype=np.float32))
    assert (2.5 * x).dtype == (x + 1).dtype == (True + x).dtype == np.float32
    assert (np.float64(2) * x).dtype == (x * np.float64(2)).dtype == np.float64
    assert (np.float32(1) < x).tolist() == [False, False, True]
    assert (np.float32(6) - x).tolist() == [6, 5, 4]


def test_promotion_is_that_of_numpy_2(cp):
    x = cp.ones(3, np.float32)
    assert (x * cp.ones((), np.float64)).dtype == np.float64  # an array without axes counts in full
    assert (x * 1e300).dtype == np.float32
    assert (cp.ones(3, np.uint8) + 1).dtype == np.uint8


@pytest.mark.parametrize(
    "use",
    [
        lambda cp, x: cp.add(x, x, where=x > 0),
        lambda cp, x: cp.sum(x, where=x > 0),
        lambda cp, x: cp.sum(x, initial=0),
        lambda cp, x: x.sum(where=x > 0),
        lambda cp, x: x.max(initial=0),
        lambda cp, x: cp.argsort(x, stable=True),
        lambda cp, x: cp.mean(x, where=x > 0),
        lambda cp, x: cp.take(x, 0, mode="clip"),
        lambda cp, x: cp.clip(x, min=0, max=1),
        lambda cp, x: cp.matmul(x, x, where=True),
        lambda cp, x: cp.empty(3, like=x),
        lambda cp, x: cp.exp(x, order="C"),
    ],
)
def test_unknown_keywords_are_refused(cp, use):
    with pytest.raises(TypeError, match="unexpected keyword"):
        use(cp, cp.ones(3))


@pytest.mark.parametrize("name", ["errstate", "nditer", "broadcast_like", "cdist", "vecdot", "asarray_gpu"])
def test_what_cupy_has_not_is_not_there(cp, name):
    with pytest.raises(AttributeError):
        getattr(cp, name)


def test_arrays_have_no_more_than_cupys(cp):
    x = cp.zeros(3)
    for name in ("setflags", "resize", "ctypes", "newbyteorder"):
        assert not hasattr(x, name)
    with pytest.raises(TypeError):
        hash(x)
    with pytest.raises(TypeError):
        range(cp.ones((), int))  # no __index__
    with pytest.raises(AttributeError):
        x.flags.writeable = False
    with pytest.raises(AttributeError):
        x.name = "x"


def test_an_output_must_fit(cp):
    x = cp.ones(3, np.float64)
    with pytest.raises(TypeError):
        cp.add(x, x, out=cp.empty(3, np.int32))
    with pytest.raises(ValueError, match="mismatched"):
        cp.add(x, 1, out=cp.empty((2, 3)))


# What is counted


def test_numbers_wait(standin, cp):
    x = cp.asarray(np.ones(1))
    for count, use in enumerate(
        (float, int, bool, complex, cp.asnumpy, cp.ndarray.get, lambda x: x[0].item(), cp.ndarray.tolist), 1
    ):
        use(x[0] if use in (float, int, complex) else x)
        assert standin.counts.to_host == standin.counts.synchronisations == count
        assert standin.counts.bytes_to_host == 8 * count


def test_a_condition_waits(standin, cp):
    x = cp.ones(())
    if x > 0:
        assert standin.counts.synchronisations == 1


def test_what_stays_on_the_device_does_not_wait(standin, cp):
    x = cp.asarray(filled(4, 6))
    assert (standin.counts.to_device, standin.counts.bytes_to_device) == (1, 96)
    y = (x @ x.T).sum() * 2 + x.max(axis=1, keepdims=True)[0, 0]
    cp.maximum(x, 0, out=x)
    x[1:] = x[:-1] + y
    x[x > 1] = 0
    rows = list(x)
    len(x), x.shape, x.reshape(-1).data.ptr, cp.concatenate(rows), cp.where(x > 0, x, 0)
    assert (standin.counts.to_device, standin.counts.to_host, standin.counts.synchronisations) == (1, 0, 0)
    assert standin.counts.launches > 5
    standin.counts.reset()
    assert standin.counts.launches == standin.counts.bytes_to_device == 0


def test_a_size_that_depends_on_values_waits(standin, cp):
    x = cp.asarray(np.array([3, 1, 3, 0]))
    for count, use in enumerate(
        (
            lambda: x[x > 1],
            x.nonzero,
            lambda: cp.unique(x),
            lambda: cp.flatnonzero(x),
            lambda: cp.where(x > 1),
        ),
        1,
    ):
        use()
        assert standin.counts.synchronisations == count


def test_lists_and_numbers_go_over_the_bus(standin, cp):
    cp.array([1.0, 2.0])
    cp.asarray(3.0)
    cp.zeros(5)[[0, 1]]
    assert (standin.counts.to_device, standin.counts.bytes_to_device) == (3, 16 + 8 + 16)


# Arrays


def test_results_of_reductions_are_arrays_without_axes(cp):
    x = cp.asarray(filled(3, 4))
    for result in (
        x.sum(),
        x.max(),
        cp.mean(x),
        cp.vdot(x, x),
        cp.linalg.norm(x),
        cp.array_equal(x, x),
        x[1, 2],
    ):
        assert type(result) is cp.ndarray
        assert result.shape == ()


def test_views_show_the_same_memory(cp):
    x = cp.asarray(filled(3, 4))
    element = x[1, 2]
    element[...] = 7
    x[0].fill(5)
    x.T[3, 0] = 6
    x.reshape(12)[1] = 4
    host = x.get()
    assert host[0].tolist() == [5, 4, 5, 6]
    assert host[1, 2] == 7
    assert x[1:].base is x
    assert x[1:].data.ptr - x.data.ptr == 16
    assert x.data.mem.ptr == x.T.data.mem.ptr
    copied = x[[0, 1]]
    copied.fill(0)
    assert x.get()[0, 0] == 5


def test_memory_that_nobody_wrote_shows(cp):
    assert np.isnan(cp.empty((3, 4), np.float32).get()).all()
    assert np.isnan(cp.empty_like(cp.ones((2, 3)).T).get()).all()
    assert cp.empty(3, np.uint8).tolist() == [0xA5] * 3


def test_layouts_are_kept(cp):
    x = cp.asarray(filled(3, 4, 5)).transpose(2, 0, 1)
    assert cp.empty_like(x).strides == x.strides
    assert cp.ascontiguousarray(x).flags.c_contiguous
    assert not x.flags.c_contiguous
    assert cp.asfortranarray(x).flags.f_contiguous
    y = cp.ascontiguousarray(x)
    assert cp.ascontiguousarray(y) is y


def test_calculations_are_numpys(cp):
    a, b = filled(4, 5, seed=1), filled(4, 5, seed=2)
    x, y = cp.asarray(a), cp.asarray(b)
    for ours, real in (
        (x * y - 1, a * b - 1),
        (x @ y.T, a @ b.T),
        (-x, -a),
        (x.mean(axis=0), a.mean(axis=0)),
        (x.argmax(axis=1), a.argmax(axis=1)),
        (cp.where(x > y, x, 0), np.where(a > b, a, 0)),
        (cp.tensordot(x, y, ([0], [0])), np.tensordot(a, b, ([0], [0]))),
        (cp.einsum("ij,kj->ik", x, y), np.einsum("ij,kj->ik", a, b)),
        (x.clip(0, None), a.clip(0, None)),
        (cp.take(x, cp.asarray(np.array([2, 0])), axis=1), a[:, [2, 0]]),
        (cp.stack([x, y], axis=1), np.stack([a, b], axis=1)),
        (x[::-1, ..., None][:, 1:3], a[::-1, ..., None][:, 1:3]),
        (cp.cumsum(x, axis=1), a.cumsum(axis=1)),
        (x.view(np.int32), a.view(np.int32)),
        (cp.broadcast_to(x[0], (3, 5)), np.broadcast_to(a[0], (3, 5))),
        (
            cp.lib.stride_tricks.as_strided(x, (2, 2), (4, 8)),
            np.lib.stride_tricks.as_strided(a, (2, 2), (4, 8)),
        ),
    ):
        assert ours.dtype == real.dtype
        np.testing.assert_array_equal(ours.get(), real)


def test_no_warnings_come_from_a_device(cp):
    x = cp.zeros(3, np.float32)
    assert np.isnan((x / x).get()).all()
    assert np.isinf(cp.log(x).get()).all()


def test_a_factorisation_that_fails_is_not_noticed(cp):
    assert np.isnan(cp.linalg.cholesky(-cp.eye(3)).get()).all()


def test_memory_runs_out(standin, cp):
    before = standin.live_bytes
    standin.memory_limit = before + 10_000
    standin.peak_bytes = 0
    x = cp.zeros(1000, np.float64)
    assert standin.live_bytes == before + 8000
    for use in (x.copy, x.__neg__, lambda: cp.empty(1000), lambda: cp.asarray(np.ones(1000))):
        with pytest.raises(cp.cuda.memory.OutOfMemoryError, match="allocating 8,000 bytes"):
            use()
    del use
    assert cp.cuda.Device().mem_info == (2000, before + 10_000)
    assert cp.get_default_memory_pool().used_bytes() == standin.peak_bytes == before + 8000
    view = x[10:]
    del x
    assert standin.live_bytes == before + 8000  # the view holds it
    del view
    assert standin.live_bytes == before
    assert standin.peak_bytes == before + 8000


# The real CuPy


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
def test_the_real_cupy_has_all_of_it():
    done = subprocess.run(
        [sys.executable, "-m", "standin.real"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
