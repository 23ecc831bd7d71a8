"""The convolutions of the GPU, their CUDA text run by the processor, against the definition in float64."""

from __future__ import annotations

import numpy as np
import pytest

from nst_manual.backend import to_device, to_host
from nst_manual.kernels import conv_direct
from nst_manual.kernels.conv import CUDA_RULES, Problem, algorithms_on, choose
from nst_manual.kernels.cuda import conv_columns, conv_shifted, conv_winograd, ends
from nst_manual.nn import AvgPool2d, Conv2d, MaxPool2d, ReLU, fuse
from nst_manual.nn.device import move_to_gpu
from nst_manual.nn.sequential import Sequential

NAMES = sorted(set(algorithms_on("cuda")))
# x (N, H, W, C), w (kh, kw, C / groups, O), stride, padding, dilation, groups
GEOMETRIES = {
    "3x3": ((1, 9, 11, 4), (3, 3, 4, 5), (1, 1), (1, 1), (1, 1), 1),
    "3x3, two images, odd": ((2, 7, 10, 3), (3, 3, 3, 6), (1, 1), (1, 1), (1, 1), 1),
    "3x3, no border": ((1, 8, 8, 4), (3, 3, 4, 4), (1, 1), (0, 0), (1, 1), 1),
    "3x3, wide border": ((1, 6, 5, 2), (3, 3, 2, 3), (1, 1), (2, 2), (1, 1), 1),
    "3x3, one tile": ((1, 3, 3, 8), (3, 3, 8, 8), (1, 1), (1, 1), (1, 1), 1),
    "1x1": ((2, 5, 6, 7), (1, 1, 7, 3), (1, 1), (0, 0), (1, 1), 1),
    "5x5": ((1, 9, 8, 3), (5, 5, 3, 4), (1, 1), (2, 2), (1, 1), 1),
    "2x3": ((1, 6, 7, 3), (2, 3, 3, 4), (1, 1), (1, 2), (1, 1), 1),
    "stride": ((1, 12, 13, 3), (5, 5, 3, 4), (2, 3), (2, 1), (1, 1), 1),
    "dilation": ((1, 10, 11, 3), (3, 3, 3, 4), (1, 1), (2, 2), (2, 3), 1),
    "groups": ((1, 7, 8, 6), (3, 3, 2, 9), (1, 1), (1, 1), (1, 1), 3),
    "stride, groups, two images": ((2, 11, 9, 4), (3, 3, 2, 6), (2, 2), (1, 1), (1, 1), 2),
    "first of AlexNet": ((1, 23, 27, 3), (11, 11, 3, 4), (4, 4), (2, 2), (1, 1), 1),
    "an image of one row": ((1, 1, 9, 4), (3, 3, 4, 4), (1, 1), (1, 1), (1, 1), 1),
}


@pytest.fixture
def in_pieces(monkeypatch):
    """Let the algorithms work in many pieces."""
    for module in (ends, conv_winograd, conv_columns, conv_shifted):
        monkeypatch.setattr(module, "PIECE_BYTES", 2**11)


def relative(found, expected):
    assert found.shape == expected.shape
    return np.linalg.norm(to_host(found).astype("float64") - expected) / np.linalg.norm(expected)


SUPPORTED = [
    (name, case)
    for name in NAMES
    for case, (_, w_shape, *geometry) in GEOMETRIES.items()
    if algorithms_on("cuda")[name].supports(w_shape[:2], *geometry)
]


def check(name, case, dtype, bound):
    """Compare forward and the input's gradient with the definition."""
    x_shape, w_shape, *geometry = GEOMETRIES[case]
    algorithm = algorithms_on("cuda")[name]
    rng = np.random.default_rng(4)
    x, w, b = (rng.standard_normal(s) for s in (x_shape, w_shape, w_shape[3:]))
    y = conv_direct.forward(x, w, b, *geometry)
    dy = rng.standard_normal(y.shape)
    dx = conv_direct.input_gradient(dy, w, x_shape, *geometry)
    there = [to_device(array.astype(dtype)) for array in (x, w, b, dy)]
    assert relative(algorithm.forward(*there[:3], *geometry), y) < bound
    assert relative(algorithm.input_gradient(there[3], there[1], x_shape, *geometry), dx) < bound
    without_bias = algorithm.forward(*there[:2], None, *geometry)
    assert relative(without_bias, y - b) < bound


@pytest.mark.parametrize(("name", "case"), SUPPORTED)
def test_float32(standin, name, case):
    # rounding of a sum of some hundred terms; Winograd's transforms lose another digit; TF32 has 10 bits
    check(name, case, "float32", 1e-3 if "tf32" in name else 5e-6)


@pytest.mark.parametrize(("name", "case"), [pair for pair in SUPPORTED if "tf32" not in pair[0]])
def test_float64_in_many_pieces(standin, in_pieces, name, case):
    check(name, case, "float64", 1e-13)


def test_tf32_rounds_and_float32_does_not(standin):
    x_shape, w_shape, *geometry = GEOMETRIES["3x3"]
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    y = conv_direct.forward(x, w, None, *geometry)
    there = to_device(x.astype("float32")), to_device(w.astype("float32")), None
    for name in ("cuda-shifted", "cuda-columns"):
        exact, rounded = (
            relative(algorithms_on("cuda")[n].forward(*there, *geometry), y) for n in (name, f"{name}-tf32")
        )
        assert exact < 1e-6 < 5e-5 < rounded


POOLS = {"none": None, "max": MaxPool2d(2), "average": AvgPool2d(2)}


@pytest.mark.parametrize("algorithm", ["cuda-winograd", "cuda-shifted", "cuda-columns"])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_fused_is_the_row_of_modules(standin, in_pieces, algorithm, pool, rectified, size):
    """ReLU and pooling on the way, and their way back; where sums are exact, with ties."""
    rng = np.random.default_rng(7)
    if algorithm == "cuda-winograd":  # its sixths are not exact, and what ties elsewhere differs there
        x, w, b = (rng.standard_normal(shape) for shape in ((2, *size, 3), (3, 3, 3, 4), (4,)))
    else:
        x = rng.integers(-2, 3, (2, *size, 3)).astype("float64")
        w, b = (rng.integers(-1, 2, shape).astype("float64") for shape in ((3, 3, 3, 4), (4,)))

    def network(parameters):
        row = [Conv2d(3, 4, 3, padding=1, parameters=parameters), *([ReLU()] if rectified else [])]
        return Sequential(*row, *([POOLS[pool]] if POOLS[pool] else []))

    plain = network((w, b))
    y = plain.forward(x)
    dy = rng.standard_normal(y.shape)
    dx = plain.backward(x, dy)
    there = network((w, b))
    there[0].algorithm = algorithm
    move_to_gpu(there.walk())
    fused = fuse(there)
    x, dy = to_device(x), to_device(dy)
    standin.counts.reset()
    assert relative(fused.forward(x), y) < 1e-13
    assert relative(fused.backward(x, dy), dx) < 1e-13
    assert fused[0].conv.chosen == algorithm


@pytest.mark.parametrize("algorithm", ["cuda-winograd", "cuda-shifted", "cuda-columns"])
def test_what_is_not_a_number_goes_where_it_goes_on_the_cpu(standin, algorithm):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((1, 8, 8, 3))
    x[0, 3, 4, 1] = np.nan
    w, b = rng.standard_normal((3, 3, 3, 4)), rng.standard_normal(4)
    networks = [
        Sequential(Conv2d(3, 4, 3, padding=1, parameters=(w, b)), ReLU(), MaxPool2d(2)) for _ in range(2)
    ]
    networks[1][0].algorithm = algorithm
    move_to_gpu(networks[1].walk())
    expected = np.isnan(fuse(networks[0]).forward(x))
    found = np.isnan(to_host(fuse(networks[1]).forward(to_device(x))))
    # Winograd spreads one over its tile, which is a part of what is seen
    assert (found | expected == found).all() and expected.any() and not found.all()
    if algorithm != "cuda-winograd":
        assert (found == expected).all()


def test_the_rules_choose_what_runs_there():
    for name in NAMES:
        problem = Problem((1, 64, 64, 64), (3, 3, 64, 64), padding=(1, 1), device="cuda")
        assert problem.supported_by(name)
    assert choose(problem) == "cuda-winograd"
    assert {rule.algorithm for rule in CUDA_RULES} <= set(NAMES)
    tf32 = Problem((1, 64, 64, 64), (3, 3, 64, 64), padding=(1, 1), device="cuda", tf32=True)
    assert choose(tf32) == "cuda-shifted-tf32"
    first = Problem((1, 64, 64, 3), (3, 3, 3, 64), padding=(1, 1), device="cuda")
    assert choose(first) == "cuda-columns"
    assert choose(Problem((1, 64, 64, 64), (3, 3, 64, 64), padding=(1, 1)), "cuda-shifted") == "winograd"
