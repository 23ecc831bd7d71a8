"""A fused network and the plain list give the same numbers, and leave alone what is not theirs."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_networks import CONV, VARIETY, VGG, Draft, answer, assert_same, drafts
from drawn_settings import examples
from hypothesis import given
from hypothesis import strategies as st

from nst_manual import nn
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels.conv import algorithms_on
from nst_manual.losses import ContentLoss, LossModule
from nst_manual.nn import fuse
from nst_manual.nn.fused_conv2d import FusedConv2d
from nst_manual.threads import thread_limit

ALGORITHMS = algorithms_on("cpu")

every_kind = pytest.mark.parametrize("draft", VARIETY.values(), ids=VARIETY)


def compare(draft, bound=0.0):
    """The two forms of a draft, with an upstream gradient and without."""
    x, dy = draft.arrays()
    plain, fused = draft.build(), fuse(draft.build())
    for upstream in (dy, None):
        assert_same(answer(fused, x, upstream), answer(plain, x, upstream), bound)
        assert losses(fused) == pytest.approx(losses(plain), rel=bound or 1e-300)


def losses(network):
    """Return the losses in order."""
    return [module.loss for module in network if isinstance(module, LossModule)]


@given(drafts())
@examples(0.8)
def test_with_the_same_algorithm_fused_and_plain_are_equal_to_the_last_bit(draft):
    compare(draft)


@given(drafts(algorithms=("auto", "planes", "direct"), dtypes=("float64",)))
@examples(0.5)
def test_with_algorithms_that_add_up_in_another_order_they_agree_to_rounding(draft):
    compare(draft, 1e-12)


@every_kind
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_every_kind_of_network_in_every_type(draft, dtype):
    plain, fused = draft.build(), fuse(draft.build())
    x, dy = (array.astype(dtype) for array in draft.arrays())
    if dtype == "complex128":
        x += 1e-30j * np.random.default_rng(3).standard_normal(x.shape)
    if dtype == "float32":
        draft = replace(draft, dtype=dtype)
        plain, fused = draft.build(), fuse(draft.build())
    assert_same(answer(fused, x, dy), answer(plain, x, dy))
    assert (fused.plan is None) == (dtype == "complex128")


def test_neighbours_become_one_module_unless_a_loss_stands_between():
    fused = fuse(VARIETY["losses at conv layers"].build())
    kinds = [type(module).__name__ for module in fused]
    assert kinds == [
        *("FusedConv2d", "StyleLoss", "ReLU", "MaxPool2d"),
        *("FusedConv2d", "ContentLoss", "MaxPool2d", "FusedConv2d", "StyleLoss", "ReLU"),
    ]
    fused = fuse(replace(VGG, rows=(CONV, "relu", "max", CONV, "max", CONV, "average", CONV, "relu")).build())
    assert [len(module.parts) for module in fused] == [3, 2, 2, 2]
    fused = fuse(replace(VGG, rows=(CONV, "relu", "max-3", CONV, "relu", "max-ceil")).build())
    assert [type(module).__name__ for module in fused] == ["FusedConv2d", "MaxPool2d"] * 2
    # a pooling that multiplies stays apart
    fused = fuse(VARIETY["scaled average"].build())
    kinds = ["ReplicationPad2d", "FusedConv2d", "AvgPool2d", "StyleLoss", "FusedConv2d", "AvgPool2d"]
    assert [type(module).__name__ for module in fused] == kinds


def test_the_plain_list_stays_and_its_modules_and_parameters_are_used():
    network = VGG.build()
    before = list(network)
    fused = fuse(network)
    assert list(network) == before
    assert [m for m in fused if isinstance(m, LossModule)] == [
        m for m in network if isinstance(m, LossModule)
    ]
    assert all(
        ours is theirs for (_, ours, _), (_, theirs, _) in zip(*map(params, (fused, network)), strict=True)
    )


def params(network):
    """The parameters of a network."""
    return network.parameters()


@every_kind
def test_passes_again_and_again_are_those_of_a_new_network(draft):
    x, dy = draft.arrays()
    other, other_dy = draft.arrays(seed=5)
    fused, expected = fuse(draft.build()), answer(draft.build(), x, dy)
    for _ in range(2):
        assert_same(answer(fused, x, dy), expected)
        fused.update_output(other)
        fused.update_output(x)
        np.testing.assert_array_equal(fused.update_grad_input(x, dy), expected[2])
        np.testing.assert_array_equal(fused.update_grad_input(x, dy), expected[2])
        np.testing.assert_array_equal(fused.update_grad_input(x, dy), expected[2])
        answer(fused, other, other_dy)
    np.testing.assert_array_equal(fused.forward(x), expected[1])
    np.testing.assert_array_equal(fused.backward(x, dy), expected[2])
    np.testing.assert_array_equal(fused.backward(x, dy), expected[2])


@pytest.mark.parametrize("name", ["average pooling", "no losses", "ceil mode", "relu and pooling alone"])
def test_an_image_of_another_size_in_between(name):
    draft = VARIETY[name]
    draft = replace(draft, rows=tuple(row for row in draft.rows if row != "content"))
    x, dy = draft.arrays()
    expected = answer(draft.build(), x, dy)
    fused = fuse(draft.build())
    answer(fused, x, dy)
    wide, wide_dy = draft.arrays(size=(9, 15))
    assert_same(answer(fused, wide, wide_dy), answer(draft.build(), wide, wide_dy))
    assert_same(answer(fused, x, dy), expected)
    with pytest.raises(ShapeError):
        fused.update_output(np.zeros((1, 0, 4, 3)))
    assert_same(answer(fused, x, dy), expected)


@every_kind
def test_types_may_change_between_passes(draft):
    fused = fuse(draft.build())
    x, dy = draft.arrays()
    for dtype in ("float64", "complex128", "float64", "float32", "complex128", "float64"):
        arrays = x.astype(dtype), dy.astype("float64" if dtype == "float32" else dtype)
        assert_same(answer(fused, *arrays), answer(draft.build(), *arrays))


@every_kind
def test_clear_state_frees_the_memory_and_nothing_is_lost(draft):
    x, dy = draft.arrays()
    fused = fuse(draft.build())
    expected = answer(fused, x, dy)
    fused.clear_state()
    for module in fused:
        for part in [module, *getattr(module, "parts", [])]:
            assert part.planned is None
            assert all(getattr(part, name) is None for name in part.buffers)
    assert fused.plan is None
    held = [value for value in vars(fused).values() if isinstance(value, np.ndarray)]
    assert not held
    assert_same(answer(fused, x, dy), expected)


@pytest.mark.parametrize("rows", [(), ("tv",), ("tv", "content"), ("relu",)])
def test_networks_with_nothing_to_fuse(rows):
    draft = Draft(rows)
    x, dy = draft.arrays()
    x.flags.writeable = dy.flags.writeable = False
    assert_same(answer(fuse(draft.build()), x, dy), answer(draft.build(), x, dy))


def test_an_error_inside_names_the_layer():
    network = nn.Sequential(nn.Conv2d(4, 2, 3), nn.ReLU())
    network[0].name, network[1].name = "conv1_1", "relu1_1"
    with pytest.raises(ShapeError, match="conv1_1|relu1_1"):
        fuse(network).forward(np.zeros((1, 6, 6, 3)))


def test_a_pooling_of_another_kind_is_refused():
    conv = nn.Conv2d(3, 4, 3)
    for pool in (
        nn.MaxPool2d(3),
        nn.MaxPool2d(2, 1),
        nn.AvgPool2d(2, padding=1),
        nn.MaxPool2d(2, dilation=2),
    ):
        with pytest.raises(UsageError, match="expected 2x2 windows of stride 2"):
            FusedConv2d(conv, None, pool)


def test_it_prints_what_was_fused_and_which_algorithm_ran():
    fused = fuse(VGG.build())
    fused.forward(next(iter(VGG.arrays())))
    text = repr(fused)
    assert "conv2d5" in text
    assert "relu6" in text
    assert "matmul" in text


def test_a_target_of_another_size_is_a_shape_error_and_the_network_as_good_as_before():
    x, dy = VGG.arrays()
    fused = fuse(VGG.build())
    expected = answer(fused, x, dy)
    with pytest.raises(ShapeError, match="target"):
        fused.forward(x[:, :-2])
    assert_same(answer(fused, x, dy), expected)
    loss = next(module for module in fused if isinstance(module, ContentLoss))
    loss.target = -loss.target
    assert answer(fused, x, dy)[0] != expected[0]


@pytest.mark.parametrize("pool", ["max", "average"])
@pytest.mark.parametrize(
    "algorithm", ["winograd", "winograd6", "winograd of many channels", "planes", "matmul"]
)
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, pool, algorithm):
    if algorithm == "winograd of many channels":
        algorithm = "winograd"
        for name, value in {"many_channels": 0, "piece_bytes": 20_000, "piece_band_tiles": 3}.items():
            monkeypatch.setattr(ALGORITHMS[algorithm], name, value)
    if algorithm.startswith("winograd"):
        monkeypatch.setattr(ALGORITHMS[algorithm], "band_tiles", 3)
    for module in ("conv_planes", "conv_matmul"):
        monkeypatch.setattr(f"nst_manual.kernels.{module}.BAND_BYTES", 4000)
    conv = ("conv", 5, 3, True)
    rows = ("preprocess", "tv", conv, "relu", "style", conv, "relu", pool, "style", conv, "relu", "content")
    draft = Draft(rows, (2, 37, 29, 3), "float32", algorithm)
    x, dy = draft.arrays()
    fused = fuse(draft.build())
    with thread_limit(1):
        expected = answer(fused, x, dy)
    for threads in (2, 3, 8):
        with thread_limit(threads):
            for network in (fused, fuse(draft.build())):
                assert_same(answer(network, x, dy), expected)


@given(st.integers(1, 4), st.integers(0, 99))
@examples(0.1)
def test_layouts_of_memory_of_the_input_make_no_difference(step, seed):
    draft = replace(VGG, seed=seed)
    x, dy = draft.arrays()
    wide = np.zeros((1, *(side * step for side in x.shape[1:])))
    apart = wide[:, ::step, ::step, ::step]
    apart[...] = x
    assert_same(answer(fuse(draft.build()), apart, np.asfortranarray(dy)), answer(draft.build(), x, dy))
