"""Each convolution of a network by each algorithm on a GPU, fused with its ReLU, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nst_manual.backend import array_module, to_device
from nst_manual.bench.gpu_profile import profile
from nst_manual.bench.gpu_rates import seconds_of
from nst_manual.check.device.convolutions import pieces_of
from nst_manual.kernels.conv import Problem, choose, get_algorithm
from nst_manual.kernels.fused import ReLUSink, ReLUSource
from nst_manual.kernels.rows import ArraySink, ArraySource
from nst_manual.nets import get_network
from nst_manual.nets.geometry import Layer, layers
from nst_manual.nets.rows import Conv

ALGORITHMS = ("cuda-winograd", "cuda-shifted", "cuda-shifted-tf32", "cuda-columns", "cuda-columns-tf32")
PIECES = tuple(2**power for power in (25, 26, 27, 28))
MEBIBYTE = 2**20
DRAWN = 100_003


def distinct(network: str, last: str, size: tuple[int, int]) -> Iterator[Layer]:
    """Yield the convolutions up to a layer; of those alike, the first."""
    seen = set()
    for layer in layers(get_network(network).covering([last]), size):
        if isinstance(layer.row, Conv):
            row = layer.row
            key = layer.input_shape, layer.weight_shape, row.stride, row.padding, row.dilation, row.groups
            if key not in seen:
                seen.add(key)
                yield layer


def layer_times(network: str, last: str, size: tuple[int, int], repeat: int = 3) -> list[dict[str, Any]]:
    """Return a row a convolution: seconds and multiplications of each algorithm, and which are fastest.

    `winograd_gain` is the time of the quickest direct sum over Winograd's.
    """
    rows = []
    for layer in distinct(network, last, size):
        row: dict[str, Any] = {"layer": layer.name, "input": layer.input_shape, "algorithms": {}}
        row["direct_multiplications"] = layer.multiply_adds
        for name in ALGORITHMS:
            problem = problem_of(layer, tf32=name.endswith("tf32"))
            if problem.supported_by(name):
                row["algorithms"][name] = times_of(layer, name, repeat)
        for kind, tf32 in (("float32", False), ("tf32", True)):
            total = {
                name: found["forward"] + found["backward"]
                for name, found in row["algorithms"].items()
                if name.endswith("tf32") == tf32
            }
            row[f"fastest_{kind}"] = min(total, key=total.get)
            row[f"chosen_{kind}"] = choose(problem_of(layer, tf32))
            if "cuda-winograd" in total:
                row["winograd_gain"] = min(v for n, v in total.items() if n != "cuda-winograd")
                row["winograd_gain"] /= total["cuda-winograd"]
        rows.append(row)
    return rows


def piece_times(
    network: str, last: str, size: tuple[int, int], repeat: int = 3, pieces: tuple[int, ...] = PIECES
) -> dict[str, dict[str, float]]:
    """Return algorithm -> mebibytes of a piece -> seconds of all convolutions, forward and backward."""
    found: dict[str, dict[str, float]] = {}
    for name in ("cuda-winograd", "cuda-shifted"):
        found[name] = {}
        for piece in pieces:
            with pieces_of(piece):
                found[name][f"{piece / MEBIBYTE:g}"] = sum(
                    times["forward"] + times["backward"]
                    for layer in distinct(network, last, size)
                    if problem_of(layer).supported_by(name)
                    for times in [times_of(layer, name, repeat)]
                )
    return found


def problem_of(layer: Layer, tf32: bool = False) -> Problem:
    """Return the convolution of a layer as a problem for one image."""
    row = layer.row
    geometry = (pair_of(value) for value in (row.stride, row.padding, row.dilation))
    return Problem(
        (1, *layer.input_shape), layer.weight_shape, *geometry, row.groups, "float32", "cuda", tf32=tf32
    )


def pair_of(value: Any) -> tuple[int, int]:
    """Return an int or a pair as a pair."""
    return value if isinstance(value, tuple) else (value, value)


def times_of(layer: Layer, name: str, repeat: int) -> dict[str, float]:
    """Return seconds and multiplications of an algorithm, forward to a ReLU and backward from it."""
    problem, algorithm = problem_of(layer), get_algorithm(name)
    shapes = problem.x_shape, problem.w_shape, problem.w_shape[3:], (1, *layer.output_shape)
    x, w, b, dy = (_random(shape) for shape in shapes)
    w /= math.sqrt(math.prod(problem.w_shape[:3]))
    xp = array_module(x)
    y, dx = xp.empty_like(dy), xp.empty_like(x)
    prepared = w
    if hasattr(algorithm, "prepare"):
        prepared = algorithm.prepare(w, xp.empty(algorithm.prepared_shape(w.shape), w.dtype))

    def forward() -> None:
        algorithm.forward_rows(ArraySource(x), prepared, ReLUSink(y, b), *problem.geometry)

    def backward() -> None:
        source = ReLUSource(dy, None, y)
        algorithm.input_gradient_rows(source, prepared, ArraySink(dx), x.shape, *problem.geometry)

    with profile() as found:
        forward()
    return {
        "forward": seconds_of(forward, repeat),
        "backward": seconds_of(backward, repeat),
        "multiplications": found.multiplications,
    }


def _random(shape: tuple[int, ...]) -> Any:
    """Return random numbers on the GPU; after some they come again, which a GPU does not notice."""
    count, drawn = math.prod(shape), to_device(np.random.default_rng(0).standard_normal(DRAWN, np.float32))
    return array_module(drawn).tile(drawn, -(-count // DRAWN))[:count].reshape(shape)
