"""Which algorithm a convolution is computed with, and how exact each is in float32 on a real network."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import relative_error
from smooth_pictures import smooth_picture

from nst_manual import load_network
from nst_manual.errors import UsageError
from nst_manual.kernels.conv import AUTO, RULES, Problem, algorithms_on, choose
from nst_manual.nn import Conv2d

ALGORITHMS = algorithms_on("cpu")

DEEP = Problem((1, 40, 40, 64), (3, 3, 64, 128), padding=(1, 1))
FIRST = Problem((1, 40, 40, 3), (3, 3, 3, 64), padding=(1, 1))
LARGE = Problem((1, 240, 240, 64), (3, 3, 64, 128), padding=(1, 1))
SMALL = Problem((1, 8, 8, 512), (3, 3, 512, 512), padding=(1, 1))


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (DEEP, "winograd"),
        (LARGE, "winograd6"),
        (FIRST, "planes"),
        (SMALL, "matmul"),
        # 24 tiles of 4x4 are enough, counted on the output and rounded up
        (replace(DEEP, x_shape=(1, 21, 13, 64)), "winograd"),
        (replace(DEEP, x_shape=(1, 20, 16, 64)), "matmul"),
        (replace(DEEP, x_shape=(1, 22, 15, 64), padding=(0, 0)), "matmul"),
        (replace(DEEP, x_shape=(1, 22, 23, 64), padding=(0, 0)), "winograd"),
        # channels, on both sides
        (replace(DEEP, w_shape=(3, 3, 16, 16)), "winograd"),
        (replace(DEEP, w_shape=(3, 3, 15, 64)), "matmul"),
        (replace(DEEP, w_shape=(3, 3, 64, 15)), "matmul"),
        (replace(DEEP, w_shape=(3, 3, 64, 3)), "matmul"),
        (replace(FIRST, w_shape=(3, 3, 4, 64)), "planes"),
        (replace(FIRST, w_shape=(3, 3, 5, 64)), "matmul"),
        # 200 x 200 pixels and more in tiles of 6x6, up to 128 x 128 channels, and not where much is left over
        (replace(LARGE, x_shape=(1, 200, 200, 64)), "winograd6"),
        (replace(LARGE, x_shape=(1, 199, 200, 64)), "winograd"),
        (replace(LARGE, w_shape=(3, 3, 128, 128)), "winograd6"),
        (replace(LARGE, w_shape=(3, 3, 129, 128)), "winograd"),
        (replace(LARGE, w_shape=(3, 3, 15, 64)), "matmul"),
        (replace(LARGE, x_shape=(1, 20, 2000, 64)), "winograd"),
        (replace(LARGE, x_shape=(1, 24, 2000, 64)), "winograd6"),
        # geometry
        (replace(DEEP, stride=(2, 2)), "matmul"),
        (replace(DEEP, stride=(1, 2)), "matmul"),
        (replace(DEEP, dilation=(2, 2)), "matmul"),
        (replace(DEEP, w_shape=(3, 3, 32, 64), groups=2), "winograd"),
        (replace(DEEP, w_shape=(3, 3, 8, 64), groups=8), "matmul"),
        (replace(DEEP, w_shape=(3, 3, 16, 60), groups=4), "matmul"),
        (replace(DEEP, padding=(3, 3)), "matmul"),
        (replace(DEEP, w_shape=(1, 1, 64, 64), padding=(0, 0)), "matmul"),
        (replace(DEEP, w_shape=(5, 5, 64, 64)), "matmul"),
        (replace(FIRST, w_shape=(7, 7, 3, 64), stride=(2, 2), padding=(3, 3)), "planes"),
        (replace(FIRST, x_shape=(1, 40, 40, 6), w_shape=(3, 3, 3, 64), groups=2), "matmul"),
        # precision
        (replace(DEEP, dtype="float64"), "matmul"),
        (replace(DEEP, dtype="complex64"), "matmul"),
        (replace(FIRST, dtype="complex128"), "planes"),
        # memory: the transformed kernels are 36 C O numbers of 4 bytes
        (replace(DEEP, memory=36 * 64 * 128 * 4), "winograd"),
        (replace(DEEP, memory=36 * 64 * 128 * 4 - 1), "matmul"),
        (replace(LARGE, memory=64 * 64 * 128 * 4), "winograd6"),
        (replace(LARGE, memory=64 * 64 * 128 * 4 - 1), "winograd"),
    ],
)
def test_the_choice_goes_by_shape_type_and_memory(problem, expected):
    assert choose(problem) == choose(problem, AUTO) == expected


pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
problems = st.builds(
    lambda size, k, c, o, groups, **rest: Problem(
        (1, *size, c * groups), (*k, c, o * groups), groups=groups, **rest
    ),
    st.tuples(st.integers(20, 60), st.integers(20, 60)),
    st.sampled_from([(3, 3), (1, 1), (5, 3)]),
    st.sampled_from([1, 3, 4, 5, 16, 64]),
    st.sampled_from([1, 8, 16, 64]),
    st.sampled_from([1, 1, 2]),
    stride=st.sampled_from([(1, 1), (1, 1), (2, 1)]),
    padding=st.sampled_from([(0, 0), (1, 1), (2, 3)]),
    dilation=st.sampled_from([(1, 1), (1, 1), (2, 2)]),
    dtype=st.sampled_from(["float32", "float64", "complex64", "complex128"]),
    memory=st.sampled_from([None, 0, 10**5]),
)


@given(problems)
def test_what_is_chosen_can_compute_it_and_winograd_is_for_float32_alone(problem):
    chosen = choose(problem)
    assert problem.supported_by(chosen)
    assert chosen != "winograd" or problem.dtype == "float32"


@given(problems)
def test_a_name_is_taken_wherever_it_can_compute_it_else_the_rules_decide(problem):
    for name in ALGORITHMS:
        assert choose(problem, name) == (name if problem.supported_by(name) else choose(problem))


def test_every_rule_names_an_algorithm_and_is_reached_and_the_last_one_takes_all():
    assert {rule.algorithm for rule in RULES} <= set(ALGORITHMS)
    assert [choose(problem) for problem in (LARGE, DEEP, FIRST, SMALL)] == [rule.algorithm for rule in RULES]
    odd = Problem((1, 9, 9, 6), (2, 5, 2, 9), (3, 1), (0, 4), (1, 2), 3, "complex128", memory=0)
    assert [rule.algorithm for rule in RULES if rule.holds(odd) and odd.supported_by(rule.algorithm)][-1] == (
        "matmul"
    )
    assert all(rule.words for rule in RULES)
    assert ALGORITHMS["matmul"].supports((9, 9), (4, 4), (9, 9), (5, 5), 7)


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="did you mean 'winograd'"):
        choose(DEEP, "winogrand")


def test_a_module_chooses_for_each_input_and_says_which():
    module = Conv2d(16, 16, 3, padding=1, rng=0)
    assert module.chosen == ""
    for side, dtype, expected in [
        (24, "float32", "winograd"),
        (8, "float32", "matmul"),
        (24, float, "matmul"),
    ]:
        module.forward(np.zeros((1, side, side, 16), dtype))
        assert module.chosen == expected
    assert module.algorithm == AUTO
    named = Conv2d(16, 16, 3, padding=1, algorithm="direct", rng=0)
    named.forward(np.zeros((1, 24, 24, 16), "float32"))
    assert named.chosen == "direct"


def test_a_module_refuses_an_algorithm_that_cannot_compute_it():
    with pytest.raises(UsageError, match=r"winograd cannot compute \(5, 5\)"):
        Conv2d(3, 4, 5, algorithm="winograd")
    with pytest.raises(UsageError, match=r"winograd cannot compute .*stride=\(2, 2\)"):
        Conv2d(3, 4, 3, stride=2, algorithm="winograd")
    with pytest.raises(UsageError, match="planes cannot compute .*groups=2"):
        Conv2d(4, 4, 3, groups=2, algorithm="planes")


# -- float32 on a real network -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vgg16():
    """VGG-16 with its weights in float64, having seen a picture: every convolution has met real features."""
    network = load_network("vgg16", dtype="float64", upto="relu5_3")
    network.forward(smooth_picture(3, 40, 36)[None].astype(float))
    return network


@pytest.mark.parametrize("name", ["winograd", "winograd6", "planes"])
def test_float32_is_exact_to_1e_5_at_every_layer_of_vgg16(vgg16, name):
    algorithm, x, compared = ALGORITHMS[name], None, 0
    for module in vgg16:
        if isinstance(module, Conv2d) and (name != "planes" or module.in_channels <= 128):
            w, b = module.weight, module.bias
            narrow_x, narrow_w, narrow_b = (array.astype("float32") for array in (x, w, b))
            exact = [array.astype(float) for array in (narrow_x, narrow_w, narrow_b)]
            y = algorithm.forward(narrow_x, narrow_w, narrow_b, *module.geometry)
            expected = ALGORITHMS["matmul"].forward(*exact, *module.geometry)
            assert y.dtype == "float32"
            assert relative_error(y, expected) <= 1e-5, module.name
            dy = np.random.default_rng(compared).standard_normal(y.shape).astype("float32")
            dx = algorithm.input_gradient(dy, narrow_w, x.shape, *module.geometry)
            expected = ALGORITHMS["matmul"].input_gradient(
                dy.astype(float), exact[1], x.shape, *module.geometry
            )
            assert relative_error(dx, expected) <= 1e-5, module.name
            compared += 1
        x = module.output
    assert compared == (13 if name != "planes" else 5)
