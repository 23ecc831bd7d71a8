"""One call of an objective: one way forward, one way back, nothing else touched."""

import math

import numpy as np
import pytest
from small_objective import CONTENT, SIZES, START, STYLE, objective
from smooth_pictures import random_start

from nst_manual import Objective
from nst_manual.backend import thread_limit
from nst_manual.errors import DivergedError, ShapeError
from nst_manual.kernels import avg_pool, max_pool, relu
from nst_manual.kernels.conv import ALGORITHMS

ALL = {
    "content_layers": "conv4_2,relu4_2",
    "style_layers": "conv1_1,relu1_1,relu2_1,pool2,relu3_1,relu4_1",
    "tv_weight": 1,
}
ONE = {"content_layers": "relu4_2", "style_weight": 0}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Run products on one thread: of small matrices it is the fastest."""
    with thread_limit(1):
        yield


@pytest.fixture
def calls(monkeypatch):
    """Count the calls of every kernel, by kind and direction."""
    counted = {}

    def count(module, kind, function):
        original = getattr(module, function)

        def counting(*args, **kwargs):
            counted[kind, function] = counted.get((kind, function), 0) + 1
            return original(*args, **kwargs)

        monkeypatch.setattr(module, function, counting)

    for algorithm in ALGORITHMS.values():
        for function in ("forward", "input_gradient", "parameter_gradients"):
            count(algorithm, "conv", function)
    for module, kind in ((relu, "relu"), (max_pool, "pool"), (avg_pool, "pool")):
        for function in ("forward", "input_gradient"):
            count(module, kind, function)
    return counted


@pytest.mark.parametrize("losses", [ONE, ALL], ids=["one loss", "nine losses"])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_one_pass_forward_and_one_back_however_many_losses(calls, losses, pooling):
    ours = objective(pooling=pooling, **losses)
    assert len(ours.modules) == (1 if losses is ONE else 9)
    calls.clear()
    for call in (1, 2):
        ours(START)
        # up to relu4_2, VGG-11 has 6 convolutions and 3 poolings; nobody asks for gradients of parameters
        assert calls == {
            (kind, direction): call * number
            for kind, number in (("conv", 6), ("relu", 6), ("pool", 3))
            for direction in ("forward", "input_gradient")
        }


def test_each_picture_passes_once_to_give_the_targets(calls):
    objective([STYLE, STYLE], **ALL)
    assert calls["conv", "forward"] == 3 * 6
    assert ("conv", "input_gradient") not in calls


def test_the_way_back_begins_with_zeros(monkeypatch):
    ours = objective(**ALL)
    tops = []
    original = ours.network.update_grad_input
    monkeypatch.setattr(
        ours.network, "update_grad_input", lambda x, dy: tops.append(dy.copy()) or original(x, dy)
    )
    for _ in range(2):
        ours(START)
    for top in tops:
        assert top.shape == ours.network.output.shape
        assert not top.any()
    assert len(tops) == 2


def test_losses_sum_to_the_loss():
    ours = objective(**ALL)
    loss, _ = ours(START)
    assert type(loss) is float
    assert loss == ours.loss
    assert math.fsum(ours.losses.values()) == pytest.approx(loss, rel=1e-14)
    assert all(value > 0 for value in ours.losses.values())
    assert set(ours.losses) == {
        *("tv", "content/conv4_2", "content/relu4_2", "style/conv1_1", "style/relu1_1", "style/relu2_1"),
        *("style/pool2", "style/relu3_1", "style/relu4_1"),
    }


def test_the_gradient_is_the_sum_of_the_gradients_of_each_loss_alone():
    kinds = {"content_weight": 3.0, "style_weight": 50.0, "tv_weight": 2.0}
    _, dx = objective(**kinds)(START)
    alone = [
        objective(**{name: value if name == kind else 0 for name, value in kinds.items()})(START)[1]
        for kind in kinds
    ]
    assert all(part.any() for part in alone)
    np.testing.assert_allclose(dx, sum(alone), rtol=1e-9, atol=1e-11 * np.abs(dx).max())


def test_the_same_image_twice_gives_the_same_bits():
    ours = objective(**ALL)
    loss, dx = ours(START)
    ours(random_start(9, START.shape))
    again, dx_again = ours(START)
    assert again == loss
    np.testing.assert_array_equal(dx_again, dx)
    other, dx_other = objective(**ALL)(START)
    assert other == loss
    np.testing.assert_array_equal(dx_other, dx)


@pytest.mark.parametrize(
    "options", [ALL, {"content_weight": 0, "style_weight": 0, "tv_weight": 1}], ids=["all", "tv"]
)
def test_the_image_is_not_written_and_the_gradient_is_the_callers(options):
    ours = objective(**options)
    x = START.copy()
    _, dx = ours(x)
    np.testing.assert_array_equal(x, START)
    kept = dx.copy()
    ours(random_start(9, START.shape))
    np.testing.assert_array_equal(dx, kept)
    dx[...] = np.nan  # what the caller does with it is no matter of the next call
    _, again = ours(START)
    np.testing.assert_array_equal(again, kept)


def test_pictures_are_not_written():
    content, style = CONTENT.copy(), STYLE.copy()
    Objective(content, [style], network="vgg11", weights="random", **SIZES)(START)
    np.testing.assert_array_equal(content, CONTENT)
    np.testing.assert_array_equal(style, STYLE)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_answer_has_the_type_that_was_asked_for(dtype):
    ours = objective(dtype=dtype)
    for image in (START, START.astype(np.float32), np.asfortranarray(START), CONTENT[None]):
        loss, dx = ours(image)
        assert dx.dtype == dtype
        assert dx.shape == image.shape == ours.shape
        assert type(loss) is float


def test_float32_is_right_to_its_precision():
    (loss, dx), (expected, expected_dx) = (
        objective(dtype=dtype, **ALL)(START) for dtype in ("float32", "float64")
    )
    assert loss == pytest.approx(expected, rel=1e-5)
    # where a maximum or a ReLU is decided by rounding, an element may go the other way
    assert np.linalg.norm(dx - expected_dx) <= 1e-2 * np.linalg.norm(expected_dx)


@pytest.mark.parametrize(
    "shape", [(24, 32, 3), (1, 32, 24, 3), (2, 24, 32, 3), (1, 24, 32, 1), (1, 23, 32, 3)]
)
def test_an_image_of_another_shape_is_refused(shape):
    with pytest.raises(ShapeError, match=r"expected shape \(1, 24, 32, 3\), got"):
        objective()(np.zeros(shape))


@pytest.mark.parametrize(
    ("options", "first"), [({"tv_weight": 1}, "tv"), ({}, "style/relu1_1")], ids=["with tv", "without"]
)
@pytest.mark.parametrize("form", ["paper", "gatys"])
def test_a_nan_ends_in_an_error_that_names_the_first_loss_to_see_it(options, first, form):
    ours = objective(preset=form, **options)
    broken = START.copy()
    broken[0, 5, 6, 1] = np.nan
    with pytest.raises(DivergedError, match="the loss is nan") as caught:
        ours(broken)
    assert caught.value.what == first
    # and the objective is as good as before
    loss, dx = ours(START)
    expected, expected_dx = objective(preset=form, **options)(START)
    assert loss == expected
    np.testing.assert_array_equal(dx, expected_dx)


def test_numbers_too_large_for_the_type_end_in_that_error_too():
    with pytest.raises(DivergedError):
        objective(dtype="float32", tv_weight=1)(np.where(START > 100, 1e30, START))


# -- slope ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["paper", "neural-style", "neural-style-pt"])
def test_the_slope_of_the_reported_loss_is_that_of_the_gradient(preset):
    """Central differences through the whole of VGG-16, real weights, all losses: what a line search sees."""
    ours = Objective(
        CONTENT, STYLE, network="vgg16", weights=None, preset=preset, dtype="float64", tv_weight=1.0, **SIZES
    )
    assert {name.split("/")[0] for name in ours.losses} == {"content", "style", "tv"}
    _, dx = ours(START)
    rng = np.random.default_rng(0)
    for _ in range(2):
        u = rng.standard_normal(START.shape)
        u /= np.linalg.norm(u)
        step = 1e-2  # of one pixel value, spread over the image
        slope = (ours(START + step * u)[0] - ours(START - step * u)[0]) / (2 * step)
        assert slope == pytest.approx(np.sum(dx * u), rel=1e-6)


def test_measuring_alone_gives_the_same_loss_and_goes_no_way_back(calls):
    small = objective()
    loss, _ = small(START)
    calls.clear()
    assert small.measure(START) == loss
    assert {direction for _, direction in calls} == {"forward"}
