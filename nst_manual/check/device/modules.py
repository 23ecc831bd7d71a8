"""Kernels, modules and losses by themselves: those that `gradcheck` checks, on the GPU, and some more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nst_manual.backend import numbers, to_device, to_host
from nst_manual.check.device import rounding
from nst_manual.check.device.case import Check, difference, generator
from nst_manual.check.targets import OfParameter, targets
from nst_manual.nn.container import Container
from nst_manual.nn.device import move_to_gpu
from nst_manual.nn.module import Module

# Sums here have a few hundred terms, so that float64 comes out to some 1e-14; square roots of matrices and
# quotients of variances, which are small differences, lose up to three digits more.
EXACT = 1e-11
# Above the error that the CPU itself makes in float32: another order of the same operations may round a few
# times as much, not tens of times.
FACTOR = 8.0

Make = Callable[[np.random.Generator], tuple[Any, np.ndarray]]


def checks() -> Iterator[Check]:
    """Yield the checks."""
    for group, name, make in _made():
        for dtype in ("float64", "float32"):
            yield Check(group, f"{name}, {dtype}", lambda n=name, m=make, d=dtype: module_error(n, m, d))
    yield Check("modules", "MaxPool2d, the first of several maxima wins", ties_error)


def _made() -> Iterator[tuple[str, str, Make]]:
    """Yield group, name, and what makes a module and its input."""
    for target in targets():
        # convolutions have checks of their own, over more; networks and optimisers too
        ours = target.name.startswith("conv, ") or target.name.startswith("bounds: ")
        if target.group != "networks" and not ours:
            yield target.group, target.name, target.make
    for name, make in _more().items():
        yield "modules", name, make


def _more() -> dict[str, Make]:
    """Return modules that `gradcheck` has not, and geometries of poolings."""
    from nst_manual import nn
    from nst_manual.store import Preprocessing

    def of(make: Callable[[], Module], *shape: int) -> Make:
        return lambda rng: (make(), rng.standard_normal(shape or (2, 9, 11, 5)))

    found = {
        "Preprocess": of(
            lambda: nn.Preprocess(
                Preprocessing("BGR", (104.0, 117.0, 124.0), 0.5, (2.0, 3.0, 4.0)), "float64"
            ),
            *(2, 5, 6, 3),
        ),
        "Dropout, not training": of(lambda: nn.Dropout(0.5, rng=0)),
        "Linear, wide": of(lambda: nn.Linear(67, 33, rng=0, dtype="float64"), 5, 67),
        "LocalResponseNorm, wide": of(lambda: nn.LocalResponseNorm(5, 1e-1, 0.75, 2.0), 2, 4, 5, 32),
        "Concat, of three": of(
            lambda: nn.Concat(nn.Sequential(nn.ReLU()), nn.Sequential(nn.MaxPool2d(3, 1, 1)), nn.ReLU())
        ),
        "Softmax, wide": of(nn.Softmax, 3, 100),
        "GlobalAvgPool2d, wide": of(nn.GlobalAvgPool2d, 2, 13, 11, 34),
    }
    for k, stride, padding, ceil in (
        (2, 2, 0, False),
        (3, 2, 0, True),
        (3, 1, 1, False),
        ((2, 3), (1, 2), (1, 0), True),
        (2, 3, 1, True),
    ):
        words = f"windows {k}, stride {stride}, padding {padding}{', ceil mode' * ceil}"
        geometry = k, stride, padding
        found[f"MaxPool2d, {words}"] = of(lambda g=geometry, c=ceil: nn.MaxPool2d(*g, ceil_mode=c))
        for counted in (True, False):
            found[f"AvgPool2d, {words}{', border counted' * counted}"] = of(
                lambda g=geometry, c=ceil, b=counted: nn.AvgPool2d(*g, ceil_mode=c, count_include_pad=b)
            )
        found[f"L2Pool2d, {words}"] = of(lambda g=geometry, c=ceil: nn.L2Pool2d(*g, ceil_mode=c))
    found["MaxPool2d, dilation 2"] = of(lambda: nn.MaxPool2d(3, 2, 1, dilation=2))
    return found


def module_error(name: str, make: Make, dtype: str) -> tuple[float, float]:
    """Return error and bound of output, gradient and loss, the largest."""
    exact = _passed(*make(generator(name)), "float64", gpu=False)
    there = _passed(*make(generator(name)), dtype, gpu=True)
    error = _largest(there, exact)
    if dtype == "float64":
        return error, EXACT
    here = _passed(*make(generator(name)), dtype, gpu=False)
    return error, FACTOR * max(_largest(here, exact), rounding.direct(1, dtype))


def _largest(got: list[Any], exact: list[Any]) -> float:
    return max((difference(a, b) for a, b in zip(got, exact, strict=True)), key=lambda e: (e != e, e))


def _passed(module: Any, x: np.ndarray, dtype: str, gpu: bool) -> list[Any]:
    """Return output, gradient and loss of a module; the gradient is that of a random upstream one."""
    leaves = list(_leaves(module))
    for leaf in leaves:
        change(leaf, lambda array: array.astype(dtype) if array.dtype == np.float64 else array)
    if isinstance(module, OfParameter):
        module.x = module.x.astype(dtype)
    x = x.astype(dtype)
    if gpu:
        for leaf in leaves:  # targets, which are captured there where they are wanted; masks of bool stay
            change(leaf, lambda array: to_device(array) if array.dtype.kind == "f" else array)
        move_to_gpu(leaves)
        if isinstance(module, OfParameter):
            module.x = to_device(module.x)
        x = to_device(x)
    y = module.forward(x)
    dy = generator("upstream").standard_normal(y.shape).astype(dtype)
    dx = module.backward(x, to_device(dy) if gpu else dy)
    loss = sum(numbers(leaf.loss for leaf in leaves))
    return [y, dx, np.array(loss)]


def _leaves(module: Any) -> Iterator[Module]:
    """Yield the modules in something to be checked that are no containers."""
    if isinstance(module, OfParameter):
        module = module.module
    if isinstance(module, Container):
        yield from module.walk()
    elif isinstance(module, Module):
        yield module


def change(module: Module, function: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace every array that a module holds, in lists and the like too, by what a function makes of it."""

    def changed(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return function(value)
        if hasattr(value, "_fields"):  # a target of several parts
            return value._make(map(changed, value))
        if type(value) in (list, tuple):
            return type(value)(changed(item) for item in value)
        if type(value) is dict:
            return {key: changed(item) for key, item in value.items()}
        return value

    for name, value in vars(module).items():
        setattr(module, name, changed(value))


def ties_error() -> tuple[float, float]:
    """Return how many numbers of a max-pool of few different values differ from NumPy's: none may."""
    from nst_manual.nn import MaxPool2d

    x = np.round(generator("ties").standard_normal((2, 9, 8, 5)))
    count = 0
    for geometry in ((2,), (3, 2, 1), (3, 1, 1)):
        here, there = MaxPool2d(*geometry), MaxPool2d(*geometry)
        y, again = here.forward(x), there.forward(device := to_device(x))
        dy = np.arange(1.0, y.size + 1).reshape(y.shape)
        dx, dagain = here.backward(x, dy), there.backward(device, to_device(dy))
        count += sum(int((to_host(a) != b).sum()) for a, b in ((again, y), (dagain, dx)))
    return float(count), 0.0
