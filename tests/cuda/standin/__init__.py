"""A stand-in for CuPy, for tests on machines without a GPU.

Its arrays hold NumPy's memory and behave as CuPy's on the outside, in places more strictly: nothing is
converted to NumPy unless it is asked for, NumPy's arrays and functions are refused, and every wait and every
transfer is counted. Kernels in CUDA C++ are compiled by g++ and run thread by thread. Nothing here says how
fast a GPU is, nor whether two of its threads would get into each other's way.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from standin import blas, device, elementwise, functions, kernels, memory, methods, special
from standin.array import ndarray
from standin.counts import Counts, counts
from standin.table import Ufunc, make, new, several, shows

VERSION = "14.2.0"


def modules() -> dict[str, ModuleType]:
    """Return the modules that stand in for CuPy's, by name."""
    cublas = blas.module()
    found = device.namespace(cublas)
    cupy = ModuleType("cupy")
    found["cupy"] = cupy
    cupy.__dict__.update(functions.table())
    cupy.__dict__.update({function.__name__: function for function in special.FUNCTIONS})
    cupy.__dict__.update(
        ndarray=ndarray, ufunc=Ufunc, RawModule=kernels.RawModule, RawKernel=kernels.RawKernel,
        ElementwiseKernel=elementwise.ElementwiseKernel, ReductionKernel=elementwise.ReductionKernel,
        get_default_memory_pool=lambda: device.pool, is_available=found["cupy.cuda"].is_available,
        cuda=found["cupy.cuda"], __version__=VERSION, __path__=[],
    )  # fmt: skip
    linalg = _module(found, "cupy.linalg", LinAlgError=np.linalg.LinAlgError)
    linalg.__dict__.update(make(functions.LINALG, new, functions.numpys(np.linalg)))
    linalg.__dict__.update(make(functions.LINALG_SEVERAL, several, functions.numpys(np.linalg)))
    linalg.matmul = special.matmul
    fft = _module(found, "cupy.fft")
    fft.__dict__.update(make(functions.FFT, new, functions.numpys(np.fft)))
    tricks = make(functions.TRICKS, shows, functions.numpys(np.lib.stride_tricks))
    _module(found, "cupy.lib")
    _module(found, "cupy.lib.stride_tricks", **tricks)
    _module(
        found,
        "cupy.exceptions",
        **{name: getattr(np.exceptions, name) for name in ("AxisError", "ComplexWarning")},
    )
    _module(found, "cupyx")
    for name in ("cupy_backends", "cupy_backends.cuda", "cupy_backends.cuda.libs"):
        _module(found, name)
    found["cupy_backends.cuda.libs.cublas"] = found["cupy_backends.cuda.libs"].cublas = cublas
    found["cupy.cuda.cublas"] = cublas
    return found


def _module(found: dict[str, ModuleType], name: str, **values: Any) -> ModuleType:
    """Enter a module, and make it an attribute of the one above."""
    made = found[name] = ModuleType(name)
    made.__dict__.update(values, __path__=[])
    above, _, last = name.rpartition(".")
    if above:
        setattr(found[above], last, made)
    return made


class Standin:
    """What a test gets: the module `cupy`, what is counted, and what may be set.

    Attributes
    ----------
    cupy : module
        The stand-in for CuPy.
    counts : Counts
        Transfers, waits, launches.
    products : list of tuple
        (batch, m, n, k, compute type) of every product of cuBLAS.
    settings : Settings
        `devices`, `name`, `compute_capability`, `mem_info`, `failure`.
    """

    def __init__(self) -> None:
        self.modules = modules()
        self.cupy = self.modules["cupy"]
        self.counts: Counts = counts
        self.products = blas.products
        self.settings = device.settings
        self.reset()

    def reset(self) -> None:
        """Forget what was counted and set."""
        counts.reset()
        self.products.clear()
        self.settings.reset()
        self.memory_limit = None
        memory.state.peak = memory.state.used

    @property
    def memory_limit(self) -> int | None:
        """Bytes that all arrays together may hold, or None."""
        return memory.state.limit

    @memory_limit.setter
    def memory_limit(self, limit: int | None) -> None:
        memory.state.limit = limit

    @property
    def peak_bytes(self) -> int:
        """The most bytes that all arrays together held since the last reset; it may be set to 0."""
        return memory.state.peak

    @peak_bytes.setter
    def peak_bytes(self, value: int) -> None:
        memory.state.peak = max(value, memory.state.used)

    @property
    def live_bytes(self) -> int:
        """The bytes that all arrays together hold."""
        return memory.state.used


methods.attach()
