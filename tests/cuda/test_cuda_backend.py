"""What the backend says and does about a GPU, and about there being none."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from nst_manual import backend
from nst_manual.errors import UsageError


def test_without_cupy_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # an import of it fails
    assert backend.open_device("auto") == ("cpu", "CPU (no GPU: CuPy is not installed)")
    assert backend.open_device("cpu") == ("cpu", "CPU")
    with pytest.raises(UsageError, match="CuPy is not installed.*cuda12.*cuda13"):
        backend.open_device("cuda")


def test_a_gpu_is_named(standin):
    for name in ("cuda", "auto"):
        device, words = backend.open_device(name)
        assert device == "cuda" and "stand-in" in words and "CuPy 14" in words
    assert backend.open_device("cpu") == ("cpu", "CPU")


def test_cupy_without_a_gpu(standin):
    standin.settings.devices = 0
    assert backend.open_device("auto")[0] == "cpu"
    with pytest.raises(UsageError, match="--device cuda"):
        backend.open_device("cuda")


def test_a_gpu_that_fails_is_told_in_one_line(standin, monkeypatch):
    def fails(*arguments):
        raise RuntimeError("cudaErrorNoKernelImageForDevice:\n no kernel image is available")

    monkeypatch.setattr(standin.cupy, "full", fails)
    assert "no kernel image is available" in backend.open_device("auto")[1]
    with pytest.raises(UsageError, match="cudaErrorNoKernelImageForDevice: no kernel image"):
        backend.open_device("cuda")


def test_a_gpu_is_tried_once(standin):
    """Who asks when its memory has run out is told what it is, and not that it cannot be used."""
    found = backend.open_device("cuda")
    standin.counts.reset()
    standin.memory_limit = 1
    assert backend.open_device("cuda") == found
    assert standin.counts.launches == standin.counts.synchronisations == 0


def test_numbers_come_in_one_transfer(standin):
    there = backend.to_device(np.array([1.5, 2.5, 3.5], "float32"))
    standin.counts.reset()
    found = backend.numbers([1, there[0], there.sum(), 4.0, there[2:]])
    assert found == [1.0, 1.5, 7.5, 4.0, 3.5] and all(type(value) is float for value in found)
    assert standin.counts.to_host == standin.counts.synchronisations == 1
    assert backend.numbers([]) == []


def test_arrays_go_where_they_are_wanted(standin):
    here = np.arange(3.0)
    there = backend.to_device(here)
    assert backend.on_gpu(there) and not backend.on_gpu(here)
    assert backend.array_module(there) is standin.cupy and backend.array_module(here) is np
    standin.counts.reset()
    assert backend.beside(here, here) is here and backend.beside(there, there) is there
    assert standin.counts.to_host == standin.counts.to_device == 0
    assert backend.on_gpu(backend.beside(here, there)) and not backend.on_gpu(backend.beside(there, here))
    assert (standin.counts.to_host, standin.counts.to_device) == (1, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_any_strides(standin, dtype):
    rng = np.random.default_rng(2)
    a, b, out = (rng.standard_normal(shape).astype(dtype) for shape in ((3, 4, 5), (3, 5, 6), (3, 4, 6)))
    there = backend.to_device(a), backend.to_device(b)
    bound = 1e-6 if dtype == "float32" else 1e-14
    for first, second in [
        (there[0], there[1]),
        (backend.to_device(a.transpose(0, 2, 1).copy()).transpose(0, 2, 1), there[1]),
        (there[0], backend.to_device(b.transpose(0, 2, 1).copy()).transpose(0, 2, 1)),
        (backend.to_device(np.repeat(a, 2, axis=1))[:, ::2], there[1]),
    ]:
        found = backend.to_device(out)
        backend.product(first, second, found, add=True)
        np.testing.assert_allclose(backend.to_host(found), out + a @ b, atol=30 * bound)
        backend.product(first, second, found)
        np.testing.assert_allclose(backend.to_host(found), a @ b, atol=30 * bound)


def test_a_product_that_does_not_fit_is_refused(standin):
    a = backend.to_device(np.zeros((1, 2, 3), "float32"))
    for other, out in [((1, 4, 2), (1, 2, 2)), ((1, 3, 2), (1, 3, 2))]:
        with pytest.raises(ValueError, match="no product"):
            backend.product(
                a,
                backend.to_device(np.zeros(other, "float32")),
                backend.to_device(np.zeros(out, "float32")),
            )
    wide = backend.to_device(np.zeros((1, 2, 6), "float32"))
    with pytest.raises(ValueError, match="by rows or columns"):
        backend.product(a, backend.to_device(np.zeros((1, 3, 3), "float32")), wide[..., ::2])
