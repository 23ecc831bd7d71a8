"""One call of an objective: one way forward, one way back, nothing else touched."""

import math

import numpy as np
import pytest
from small_objective import CONTENT, SIZES, START, STYLE, objective
from smooth_pictures import random_start, smooth_picture

from nst_manual import Objective, nn
from nst_manual.errors import DivergedError, ShapeError
from nst_manual.kernels import avg_pool, conv_matmul, conv_planes, max_pool, relu
from nst_manual.kernels.conv import algorithms_on
from nst_manual.kernels.conv_winograd import winograd
from nst_manual.nn import fused_conv2d
from nst_manual.threads import thread_limit

ALGORITHMS = algorithms_on("cpu")

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
    ours = objective(pooling=pooling, plain=True, **losses)
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
    objective([STYLE, STYLE], plain=True, **ALL)
    # each no further than the last layer that a target is taken from: relu4_1 for style, relu4_2 for content
    assert calls["conv", "forward"] == 5 + 5 + 6
    assert ("conv", "input_gradient") not in calls


@pytest.mark.parametrize("losses", [ONE, ALL], ids=["one loss", "nine losses"])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_fused_too_it_is_one_pass_forward_and_one_back(monkeypatch, losses, pooling):
    counted = []

    def count(name):
        original = getattr(fused_conv2d, name)
        monkeypatch.setattr(fused_conv2d, name, lambda *args: counted.append(name) or original(*args))

    count("forward_rows")
    count("input_gradient_rows")
    ours = objective([STYLE, STYLE], pooling=pooling, **losses)
    assert counted == ["forward_rows"] * (6 if losses is ONE else 5 + 5 + 6)
    for _ in range(2):
        counted.clear()
        ours(START)
        assert counted == ["forward_rows"] * 6 + ["input_gradient_rows"] * 6
    counted.clear()
    ours.measure(START)
    assert counted == ["forward_rows"] * 6


# -- the two forms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("losses", [ONE, ALL], ids=["one loss", "nine losses"])
@pytest.mark.parametrize("pooling", ["max", "max-ceil", "average"])
@pytest.mark.parametrize("preset", ["paper", "neural-style"])
def test_fused_and_plain_agree_in_float64(losses, pooling, preset):
    fused, plain = (
        objective(pooling=pooling, preset=preset, plain=plain, **losses) for plain in (False, True)
    )
    (loss, dx), (expected, expected_dx) = fused(START), plain(START)
    assert loss == pytest.approx(expected, rel=1e-12)
    assert fused.losses == pytest.approx(plain.losses, rel=1e-11)
    assert np.linalg.norm(dx - expected_dx) <= 1e-10 * np.linalg.norm(expected_dx)
    assert fused.measure(START) == loss
    assert list(fused.losses) == list(plain.losses)


def test_which_form_it_is_stands_in_the_network():
    fused, plain = objective(), objective(plain=True)
    assert isinstance(fused.network, nn.Fused)
    assert not isinstance(plain.network, nn.Fused)
    assert "FusedConv2d" in repr(fused.network)
    assert plain.network["style/relu1_1"] in plain.modules
    assert fused.network["style/relu1_1"] in fused.modules


def test_fused_and_plain_agree_on_vgg16_in_float32():
    content, style = smooth_picture(4, 60, 64), smooth_picture(5, 64, 50)
    fused, plain = (
        Objective(content, style, network="vgg16", preset="paper", tv_weight=1.0, size=64, plain=plain)
        for plain in (False, True)
    )
    image = random_start(6, fused.shape)
    (loss, dx), (expected, expected_dx) = fused(image), plain(image)
    assert dx.dtype == expected_dx.dtype == np.float32
    assert loss == pytest.approx(expected, rel=1e-5)
    # where a maximum or a ReLU is decided by rounding, an element may go the other way
    assert np.linalg.norm(dx - expected_dx) <= 1e-2 * np.linalg.norm(expected_dx)
    assert "winograd" in fused.algorithms.values()
    assert fused.algorithms == plain.algorithms


@pytest.mark.parametrize("plain", [False, True], ids=["fused", "plain"])
def test_a_complex_step_goes_through_the_objective(plain):
    ours = objective(plain=plain, **ALL)
    _, dx = ours(START)
    u = np.random.default_rng(0).standard_normal(START.shape)
    with np.errstate(under="ignore"):
        moved = ours.measure(START + 1e-30j * u)
    assert moved.imag / 1e-30 == pytest.approx(np.sum(dx * u), rel=1e-10)
    loss, again = ours(START)
    assert loss == pytest.approx(moved.real, rel=1e-12)
    np.testing.assert_array_equal(again, dx)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, dtype, pooling):
    monkeypatch.setattr(winograd, "band_tiles", 5)
    for module in (conv_planes, conv_matmul):
        monkeypatch.setattr(module, "BAND_BYTES", 2**15)
    ours = objective(dtype=dtype, pooling=pooling, **(ALL | {"content_layers": "conv3_1", "size": 64}))
    image, answers = random_start(7, ours.shape), []
    for threads in (1, 2, 3, 8):
        with thread_limit(threads):
            answers.append(ours(image))
    assert ("winograd" in ours.algorithms.values()) == (dtype == "float32")
    for loss, dx in answers[1:]:
        assert loss == answers[0][0]
        np.testing.assert_array_equal(dx, answers[0][1])


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
    small = objective(plain=True)
    loss, _ = small(START)
    calls.clear()
    assert small.measure(START) == loss
    assert {direction for _, direction in calls} == {"forward"}
