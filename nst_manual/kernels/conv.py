"""The algorithms of convolution, in one table, and the rules by which one is chosen.

All compute the same. Each is a file, or an object where there are several of a kind, with `forward`,
`input_gradient`, `parameter_gradients` and `supports`; those that work in bands of rows also have
`forward_rows` and `input_gradient_rows`, which read from a source and write to a sink
(`nst_manual.kernels.rows`), so that ReLU and pooling can be done on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_manual.backend import array_module
from nst_manual.errors import unknown_name
from nst_manual.kernels import conv_direct, conv_matmul, conv_planes
from nst_manual.kernels.conv_winograd import winograd, winograd6
from nst_manual.kernels.cuda.conv_columns import columns, columns_tf32
from nst_manual.kernels.cuda.conv_shifted import shifted, shifted_tf32
from nst_manual.kernels.cuda.conv_winograd import TILE as CUDA_TILE
from nst_manual.kernels.cuda.conv_winograd import winograd as cuda_winograd
from nst_manual.kernels.rows import Sink, Source
from nst_manual.kernels.window import Pair, output_shape

ALGORITHMS: dict[str, Any] = {
    "winograd": winograd,
    "winograd6": winograd6,
    "planes": conv_planes,
    "matmul": conv_matmul,
    "direct": conv_direct,
    "cuda-winograd": cuda_winograd,
    "cuda-shifted": shifted,
    "cuda-shifted-tf32": shifted_tf32,
    "cuda-columns": columns,
    "cuda-columns-tf32": columns_tf32,
}
AUTO = "auto"


@dataclass(frozen=True)
class Problem:
    """A convolution to be computed.

    Shapes of x (N, H, W, C) and w (kh, kw, C / groups, O), geometry, dtype of the result, "cpu" or "cuda",
    bytes that the algorithm may take for itself (None: as many as it wants), and whether products may round
    their factors to TF32.
    """

    x_shape: tuple[int, ...]
    w_shape: tuple[int, ...]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    dtype: str = "float32"
    device: str = "cpu"
    memory: int | None = None
    tf32: bool = False

    @property
    def geometry(self) -> tuple[Pair, Pair, Pair, int]:
        """Stride, padding, dilation and groups, as kernels take them."""
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def size(self) -> Pair:
        """Height and width of the output."""
        return output_shape(self.x_shape, self.w_shape[:2], *self.geometry[:3])

    def supported_by(self, name: str) -> bool:
        """Whether that algorithm can compute it, where it is to be computed."""
        supports = get_algorithm(name).supports(self.w_shape[:2], *self.geometry)
        return supports and self.device in devices(name)


@dataclass(frozen=True)
class Rule:
    """An algorithm, and when it is taken: in words, and as a function of the problem."""

    algorithm: str
    words: str
    holds: Callable[[Problem], bool]


def _winograd(problem: Problem) -> bool:
    tiles = winograd.tiles(problem.size[0]) * winograd.tiles(problem.size[1])
    wide = min(problem.w_shape[2], problem.w_shape[3] // problem.geometry[3]) >= 16  # of a group
    return problem.dtype == "float32" and wide and tiles >= 24 and _kernels_fit(winograd, problem)


def _winograd6(problem: Problem) -> bool:
    few = math.prod(problem.w_shape[2:]) <= 128 * 128
    pixels = [math.prod(a.tile * a.tiles(side) for side in problem.size) for a in (winograd6, winograd)]
    large = math.prod(problem.size) >= 200 * 200
    return large and few and pixels[0] <= 1.1 * pixels[1] and _kernels_fit(winograd6, problem)


def _cuda_winograd(problem: Problem) -> bool:
    wide = min(problem.w_shape[2:]) >= 32
    tiles = math.prod(-(-side // CUDA_TILE) for side in problem.size)
    exact = problem.dtype == "float32" and not problem.tf32
    return exact and wide and tiles >= 24 and _kernels_fit(cuda_winograd, problem)


def _kernels_fit(algorithm: Any, problem: Problem) -> bool:
    kernels = math.prod(algorithm.prepared_shape(problem.w_shape)) * np.dtype(problem.dtype).itemsize
    return problem.memory is None or kernels <= problem.memory


# The first rule that holds, of an algorithm that supports the geometry, decides. Measured on VGG's layers:
# below 24 tiles Winograd's transform of the kernels costs more than its products save, and below 16 channels
# its transforms of the image do. Tiles of 6x6 save a fifth of the time with 64 channels and a tenth with 128;
# with 256 the kernels, 64 for each pair of channels and not 36, no longer fit into the cache.
RULES = (
    Rule(
        "winograd6",
        "as winograd, at most 128 x 128 channels, 200 x 200 pixels and more, 6x6 pixels fit as well as 4x4",
        lambda p: _winograd(p) and _winograd6(p),
    ),
    Rule(
        "winograd",
        "float32, 16 channels and more on both sides, 24 tiles of 4x4 pixels and more, its kernels fit",
        _winograd,
    ),
    Rule("planes", "at most 4 channels in", lambda p: p.w_shape[2] <= 4),
    Rule("matmul", "everything else", lambda p: True),
)

# The same for a GPU. Counted, not measured: Winograd's transforms move nine numbers for each one of the
# image, the columns kh kw. With TF32, whose products cost an eighth, the direct sum is the faster one, and
# Winograd's differences of large numbers would lose what the ten bits have left.
CUDA_RULES = (
    Rule(
        "cuda-winograd",
        "float32 without TF32, 32 channels and more on both sides, 24 tiles and more, its kernels fit",
        _cuda_winograd,
    ),
    Rule("cuda-shifted-tf32", "TF32, 16 channels and more in", lambda p: p.tf32 and p.w_shape[2] >= 16),
    Rule("cuda-columns-tf32", "everything else with TF32", lambda p: p.tf32),
    Rule("cuda-shifted", "16 channels and more in", lambda p: p.w_shape[2] >= 16),
    Rule("cuda-columns", "everything else", lambda p: True),
)


def devices(name: str) -> tuple[str, ...]:
    """Return where an algorithm runs: "cpu", "cuda"; those that are written for one of them say so."""
    return getattr(get_algorithm(name), "devices", ("cpu", "cuda"))


def algorithms_on(device: str) -> dict[str, Any]:
    """Return those of the table that run on a device, "cpu" or "cuda"."""
    return {name: algorithm for name, algorithm in ALGORITHMS.items() if device in devices(name)}


def get_algorithm(name: str) -> Any:
    """Return the algorithm of that name; raise `UsageError` where there is none."""
    if name not in ALGORITHMS:
        raise unknown_name("convolution algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def choose(problem: Problem, wanted: str = AUTO) -> str:
    """Return the name of the algorithm for a problem.

    Parameters
    ----------
    problem : Problem
    wanted : str
        A name of `ALGORITHMS`, taken wherever it supports the geometry; "auto" goes by `RULES`.
    """
    if wanted != AUTO and problem.supported_by(wanted):
        return wanted
    rules = CUDA_RULES if problem.device == "cuda" else RULES
    return next(
        rule.algorithm for rule in rules if problem.supported_by(rule.algorithm) and rule.holds(problem)
    )


def prepared_shape(name: str, problem: Problem) -> tuple[int, ...] | None:
    """Return the shape of what the algorithm makes of the weights before it begins, None if it makes nothing.

    Whoever has an array of that shape calls the algorithm's `prepare(w, out)` and passes the result to
    `forward_rows` and `input_gradient_rows` in place of w.
    """
    algorithm = get_algorithm(name)
    return algorithm.prepared_shape(problem.w_shape) if hasattr(algorithm, "prepare") else None


def work_size(name: str, problem: Problem) -> int:
    """Return how many numbers of the problem's type an algorithm wants to work in, forward or backward."""
    algorithm = get_algorithm(name)
    if not hasattr(algorithm, "work_size"):
        return 0
    itemsize = np.dtype(problem.dtype).itemsize
    # on the way back most go by rows of the input
    sizes = [problem.size, problem.x_shape[1:3]][: 1 + getattr(algorithm, "works_on_input", True)]
    groups = problem.geometry[3]
    return max(algorithm.work_size(size, problem.w_shape, groups, itemsize) for size in sizes)


def forward_rows(
    name: str,
    x: Source,
    w: Any,
    y: Sink,
    geometry: tuple[Pair, Pair, Pair, int],
    work: Any = None,
) -> None:
    """Run an algorithm forward from a source to a sink, through whole arrays if it knows no rows."""
    algorithm = get_algorithm(name)
    if hasattr(algorithm, "forward_rows"):
        algorithm.forward_rows(x, w, y, *geometry, **({} if work is None else {"work": work}))
    else:
        _hand_over(algorithm.forward(_whole(x), w, None, *geometry), y)


def input_gradient_rows(
    name: str,
    dy: Source,
    w: Any,
    dx: Sink,
    x_shape: tuple[int, ...],
    geometry: tuple[Pair, Pair, Pair, int],
    work: Any = None,
) -> None:
    """Run an algorithm backward from a source to a sink, through whole arrays if it knows no rows."""
    algorithm = get_algorithm(name)
    if hasattr(algorithm, "input_gradient_rows"):
        work = {} if work is None else {"work": work}
        algorithm.input_gradient_rows(dy, w, dx, x_shape, *geometry, **work)
    else:
        _hand_over(algorithm.input_gradient(_whole(dy), w, x_shape, *geometry), dx)


def _whole(source: Source) -> Any:
    """Return all rows of a source as an array (N, H, W, C)."""
    whole = array_module(source.like).empty(source.shape, source.dtype)
    for n in range(source.shape[0]):
        source.read(n, 0, source.shape[1], whole[n])
    return whole


def _hand_over(whole: Any, sink: Sink) -> None:
    """Give all rows of an array to a sink."""
    for n, image in enumerate(whole):
        place = sink.place(n, 0, len(image))
        place[...] = image
        sink.finish(n, 0, len(image), place)
