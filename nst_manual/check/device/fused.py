"""Convolution, ReLU and 2x2 pooling as one module, of every algorithm, against one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nst_manual.backend import array_module, to_device
from nst_manual.check.device import rounding
from nst_manual.check.device.case import Check, difference, generator
from nst_manual.check.device.convolutions import Case, pieces_of, worst
from nst_manual.kernels.conv import algorithms_on, get_algorithm
from nst_manual.nn import AvgPool2d, Conv2d, MaxPool2d, ReLU
from nst_manual.nn.device import move_to_gpu
from nst_manual.nn.fused_conv2d import FusedConv2d

CASES = {
    "3x3": Case((2, 12, 8, 6), out=8),
    "3x3, odd size": Case((3, 9, 11, 5), out=7, bias=False),
    "3x3, no padding, many pieces": Case((2, 25, 13, 4), padding=(0, 0), out=5, piece_bytes=2**11),
    "5x5, odd size, many pieces": Case((1, 23, 9, 3), (5, 5), 4, padding=(2, 2), piece_bytes=2**11),
    "1x1": Case((1, 6, 7, 4), (1, 1), 5, padding=(0, 0)),
    "5x5, stride 2, 2 groups": Case((1, 15, 17, 4), (5, 5), 6, (2, 2), (1, 1), (1, 1), 2),
    "3x3, one row of windows": Case((1, 3, 9, 3), out=4),
}
POOLS = {"": None, "max": MaxPool2d, "average": AvgPool2d}
# What lies this near to a kink - a value beside zero, two maxima beside one another - is given no gradient:
# to which side it falls is a matter of rounding, TF32's included. Values have a variance of about 1.
MARGIN = 0.05


def checks() -> Iterator[Check]:
    """Yield the checks."""
    for algorithm in algorithms_on("cuda"):
        for words, case in CASES.items():
            if not get_algorithm(algorithm).supports(case.k, *case.geometry):
                continue
            for relu, pool, kept in ways():
                # those of NumPy have nothing of their own for a type
                for dtype in ("float64", "float32") if "cuda" in algorithm else ("float64",):
                    parts = [words, "ReLU" * relu, f"{pool} pooling" * bool(pool), kept, dtype]
                    yield Check(
                        "fused",
                        ", ".join(filter(None, [algorithm, *parts])),
                        lambda *given, a=(algorithm, case, relu, pool, kept, dtype): fused_error(*a),
                    )


def ways() -> Iterator[tuple[bool, str, str]]:
    """Yield with ReLU or not, the pooling, and what is kept for ReLU's way back where there is a choice."""
    for pool in POOLS:
        for relu in (False, True):
            if relu and not pool:
                yield relu, pool, "mask kept"
                yield relu, pool, "output kept"
            else:
                yield relu, pool, ""


def fused_error(name: str, case: Case, relu: bool, pool: str, kept: str, dtype: str) -> tuple[float, float]:
    """Return error and bound, forward or backward."""
    x, w, b, _ = case.arrays(dtype)
    w /= np.sqrt(np.prod(w.shape[:3])).astype(dtype)  # results of variance 1
    exact = [_conv(case, w.astype(float), None if b is None else b.astype(float), "matmul")]
    exact += [ReLU()] * relu + [POOLS[pool](2) if pool else None] * bool(pool)
    values = [x.astype(float)]
    for part in exact:
        values.append(part.forward(values[-1]))
    dy = generator(case, relu, pool).standard_normal(values[-1].shape)
    dy = (dy * _far_from_kinks(values[1], relu, pool)).astype(dtype)
    dx = dy.astype(float)
    for part, value in zip(reversed(exact), reversed(values[:-1]), strict=True):
        dx = part.backward(value, dx)

    module = FusedConv2d(_conv(case, w, b, name), ReLU() if relu else None, POOLS[pool](2) if pool else None)
    move_to_gpu([module], tf32="tf32" in name)
    there = to_device(x)
    like = module.code_like(x.shape, output_stays=False)
    if kept == "mask kept":  # a network's plan has room for it
        module.planned = {"code": array_module(there).ones(*like)}
    with pieces_of(case.piece_bytes):
        y = module.update_output(there)
        dout = module.update_grad_input(there, to_device(dy))
    taps, each = case.k[0] * case.k[1], case.x[3] // case.groups
    bounds = [
        rounding.convolution(name, taps * channels, channels, dtype)
        for channels in (each, case.out // case.groups)
    ]
    # ReLU makes half of the values zero, and with them not always half of the errors
    return worst(zip((difference(y, values[-1]), difference(dout, dx)), np.multiply(bounds, 2), strict=True))


def _conv(case: Case, w: Any, b: Any, algorithm: str) -> Conv2d:
    geometry = dict(zip(("stride", "padding", "dilation", "groups"), case.geometry, strict=True))
    return Conv2d(
        case.x[3], case.out, case.k, **geometry, bias=b is not None, parameters=(w, b), algorithm=algorithm
    )


def _far_from_kinks(z: Any, relu: bool, pool: str) -> Any:
    """Return 1 where an output of these values (N, H, W, O) is far from a kink, else 0."""
    if not pool:
        return np.abs(z) > MARGIN if relu else 1
    n, height, width, o = z.shape
    down, across = height // 2, width // 2
    windows = z[:, : 2 * down, : 2 * across].reshape(n, down, 2, across, 2, o)
    windows = windows.transpose(0, 1, 3, 5, 2, 4).reshape(n, down, across, o, 4)
    far = (np.abs(windows) > MARGIN).all(-1) if relu else np.ones(windows.shape[:-1], bool)
    if pool == "max":
        first, second = np.sort(windows, axis=-1)[..., :-3:-1].transpose(4, 0, 1, 2, 3)
        far &= (first - second > MARGIN) | (relu & (first < 0))
    return far
