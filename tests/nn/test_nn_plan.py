"""Memory that buffers share: never while both are needed, less than all together, nothing allocated later."""

import itertools
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from drawn_networks import CONV, VGG, answer, assert_same, drafts
from drawn_settings import examples
from hypothesis import given
from smooth_pictures import random_start, smooth_picture

from nst_manual import Objective
from nst_manual.kernels.conv_winograd import winograd
from nst_manual.nn import fuse, plan
from nst_manual.nn.plan import ALIGNMENT, Buffer, make_plan

AVERAGE = replace(
    VGG, rows=("preprocess", CONV, "relu", "average", "style", CONV, "relu", CONV, "relu", "average", CONV)
)
CEIL = replace(
    VGG, rows=("preprocess", "tv", CONV, "relu", "max-ceil", CONV, "style", "relu", "max-ceil", CONV)
)
EVERY_KIND = {"vgg": VGG, "average": AVERAGE, "ceil": CEIL}
every_kind = pytest.mark.parametrize("draft", EVERY_KIND.values(), ids=EVERY_KIND)


def planned(draft):
    """Return the modules of a draft's fused form and their plan."""
    modules = list(fuse(draft.build()))
    return modules, make_plan(modules, draft.x, draft.dtype)


def needed_in(buffer, step):
    """Whether the plan keeps a buffer in that step."""
    return any(first <= step <= last for first, last in buffer.spans)


def check_places(found, steps):
    """No two buffers that are needed in one step share a byte; all lie within the plan's memory, aligned."""
    for buffer in found.buffers:
        assert buffer.offset % ALIGNMENT == 0
        assert buffer.offset + int(np.prod(buffer.shape)) * buffer.dtype.itemsize <= found.bytes
    for one, other in itertools.combinations(found.buffers, 2):
        apart = one.offset + one.bytes <= other.offset or other.offset + other.bytes <= one.offset
        assert apart or not any(needed_in(one, step) and needed_in(other, step) for step in range(steps))


@given(drafts())
def test_buffers_that_are_needed_at_once_lie_apart(draft):
    modules, found = planned(draft)
    check_places(found, 2 * len(modules) + 1)
    assert found.bytes <= sum(buffer.bytes for buffer in found.buffers)
    most = max(
        sum(buffer.bytes for buffer in found.buffers if needed_in(buffer, step))
        for step in range(2 * len(modules) + 1)
    )
    assert found.bytes >= most


@given(drafts())
def test_every_module_that_has_buffers_has_its_own_in_the_plan(draft):
    modules, found = planned(draft)
    shape = draft.x
    for module in modules:
        mine = {buffer.name: buffer for buffer in found.buffers if buffer.module is module}
        if module.passes_through:
            assert not mine
            continue
        assert mine["grad_input"].shape == shape
        shape = module.output_shape(shape)
        assert mine["output"].shape == shape
        assert mine["output"].dtype == mine["grad_input"].dtype == draft.dtype


def memory_of(network):
    """Return the memory that the modules of a fused network share."""
    (memory,) = (held for held in vars(network).values() if isinstance(held, np.ndarray) and held.ndim == 1)
    return memory


def watch(network, after):
    """Call after(step) when a module has run forward or back; forward runs on the way back do not count."""
    count, back = len(network), []

    def wrap(index, module):
        forward, backward = module.update_output, module.update_grad_input

        def update_output(x):
            y = forward(x)
            if not back:
                after(index)
            return y

        def update_grad_input(x, dy):
            back.append(index)
            dx = backward(x, dy)
            after(2 * count - 1 - index)
            return dx

        module.update_output, module.update_grad_input = update_output, update_grad_input

    for index, module in enumerate(network):
        wrap(index, module)


def poisoned(draft, monkeypatch):
    """Return a fused network in which each buffer has memory of its own, and is spoilt once it is not needed.

    What a plan says of who needs what is then put to the test wherever the buffers come to lie.
    """
    monkeypatch.setattr(Buffer, "meets", lambda self, other: True)
    network = fuse(draft.build())

    def spoil(step):
        for buffer in network.plan.buffers:
            if not any(first <= step < last for first, last in buffer.spans):
                memory_of(network)[buffer.offset : buffer.offset + buffer.bytes] = 0xFF  # NaN

    watch(network, spoil)
    return network


def check_spans(draft):
    """The spans of a plan are as long as they have to be: what is read is there."""
    x, dy = draft.arrays()
    expected = answer(draft.build(), x, dy)
    with pytest.MonkeyPatch.context() as patch:
        network = poisoned(draft, patch)
        network.update_output(x)
        assert network.loss == expected[0]
        np.testing.assert_array_equal(network.update_grad_input(x, dy), expected[2])


@given(drafts(pools=("max", "average", "max-ceil")))
@examples(0.5)
def test_what_is_read_is_there_until_it_has_been_read(draft):
    check_spans(draft)


@pytest.mark.parametrize("least", [0, 10**9])
@pytest.mark.parametrize("algorithm", ["matmul", "winograd"])
@every_kind
def test_what_is_made_again_is_there_until_it_has_been_read(monkeypatch, draft, least, algorithm):
    monkeypatch.setattr(plan, "REMAKE_BYTES", least)
    check_spans(replace(draft, algorithm=algorithm))


@pytest.mark.parametrize("draft", [VGG, AVERAGE], ids=["vgg", "average"])
def test_weights_that_are_kept_and_those_prepared_in_each_pass_give_the_same_bits(monkeypatch, draft):
    draft = replace(draft, algorithm="winograd", dtype="float32")
    x, dy = draft.arrays()
    expected = answer(draft.build(), x, dy)
    for keep in (0, 10**12):
        monkeypatch.setattr(plan, "KEEP_BYTES", keep)
        fused = fuse(draft.build())
        for _ in range(2):
            assert_same(answer(fused, x, dy), expected)
        prepared = [buffer for buffer in fused.plan.buffers if buffer.name == "kernels"]
        assert bool(prepared) == (keep == 0)
        assert bool(fused.plan.kept) == (keep > 0)


@pytest.mark.parametrize("keep", [0, 10**12])
def test_the_memory_to_work_in_is_the_network_s_and_changes_no_bit(monkeypatch, keep):
    draft = replace(VGG, algorithm="winograd", dtype="float32")
    x, dy = draft.arrays()
    monkeypatch.setattr(winograd, "many_channels", 0)
    monkeypatch.setattr(plan, "KEEP_BYTES", keep)
    expected = answer(draft.build(), x, dy)  # the plain list has memory of its own
    fused = fuse(draft.build())
    for _ in range(2):
        assert_same(answer(fused, x, dy), expected)
    names = {buffer.name for buffer in fused.plan.buffers}
    assert "work" in names
    assert "kernels" not in names
    assert bool(fused.plan.keeps) == bool(fused.plan.kept) == (keep > 0)


@given(drafts(pools=("max", "average", "max-ceil")))
@examples(0.5)
def test_an_output_made_again_is_the_same_to_the_last_bit(draft):
    x, dy = draft.arrays()
    network = fuse(draft.build())
    kept = answer(network, x, dy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "REMAKE_BYTES", 0)
        again = fuse(draft.build())
        for _ in range(2):
            assert_same(answer(again, x, dy), kept)
        check_places(again.plan, 2 * len(again) + 1)


def test_large_outputs_of_few_channels_are_made_again_where_a_loss_reads_them(monkeypatch):
    monkeypatch.setattr(plan, "REMAKE_BYTES", 0)
    modules, found = planned(replace(VGG, rows=("preprocess", CONV, "relu", "style", CONV, "relu", "style")))
    first = [type(module).__name__ for module in modules].index("FusedConv2d")
    assert found.remade[first + 1] == first
    monkeypatch.undo()
    assert not planned(VGG)[1].remade


@given(drafts(pools=("max", "average")))
@examples(0.5)
def test_a_module_that_runs_again_has_all_its_buffers_then(draft):
    """What it writes on the way back must not lie where something else is needed at that time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "REMAKE_BYTES", 0)
        patch.setattr(plan, "KEEP_BYTES", 0)  # so that weights are prepared in each pass
        modules, found = planned(draft)
    for reader, again in found.remade.items():
        for buffer in found.buffers:
            if buffer.module is modules[again] and buffer.name != "grad_input":
                assert needed_in(buffer, 2 * len(modules) - 1 - reader), buffer.name


def test_average_pooling_and_masks_keep_a_byte_a_value_and_max_pooling_one_a_window():
    modules, found = planned(
        replace(VGG, rows=(CONV, "relu", "average", CONV, "relu", "max", CONV, "relu", CONV))
    )
    codes = [buffer for buffer in found.buffers if buffer.name == "code"]
    assert [buffer.shape for buffer in codes] == [(1, 11, 10, 4), (1, 2, 2, 4), (1, 2, 2, 4)]
    assert {buffer.dtype.itemsize for buffer in codes} == {1}


@every_kind
def test_what_the_plan_has_a_place_for_is_there(draft):
    """Each buffer of a plan is the one that the module uses, in the network's memory."""
    x, dy = draft.arrays()
    network = fuse(draft.build())
    seen = set()

    def check(step):
        module = network[step if step < len(network) else 2 * len(network) - 1 - step]
        for buffer in network.plan.buffers:
            back = buffer.name == "grad_input"
            if (
                buffer.module is module
                and back == (step >= len(network))
                and buffer.name not in ("kernels", "work")
            ):
                used = getattr(module, buffer.name)
                assert np.shares_memory(used, memory_of(network)), (module, buffer.name)
                assert used.shape == buffer.shape
                seen.add((buffer.name, module.name))

    watch(network, check)
    answer(network, x, dy)
    names = {(buffer.name, buffer.module.name) for buffer in network.plan.buffers}
    assert {name for name in names if name[0] not in ("kernels", "work")} <= seen


# -- the plan's own mistakes ---------------------------------------------------------------------------------


def test_a_plan_that_lets_live_buffers_overlap_is_found(monkeypatch):
    monkeypatch.setattr(Buffer, "meets", lambda self, other: False)
    modules, found = planned(VGG)
    with pytest.raises(AssertionError):
        check_places(found, 2 * len(modules) + 1)
    x, dy = VGG.arrays()
    with pytest.raises(AssertionError):
        assert_same(answer(fuse(VGG.build()), x, dy), answer(VGG.build(), x, dy))


def first_spans_alone(found):
    """Forget what is read on the way back."""
    for buffer in found.buffers:
        buffer.spans[:] = buffer.spans[:1]


def shorter(name):
    """Return a bug: the buffers of that name are given up a step too early."""

    def shorten(found):
        for buffer in found.buffers:
            if buffer.name == name:
                buffer.spans[:] = [(first, max(first, last - 1)) for first, last in buffer.spans]

    return shorten


@pytest.mark.parametrize(
    "bug",
    [first_spans_alone, shorter("code"), shorter("output"), shorter("grad_input")],
    ids=["losses forgotten", "code", "output", "grad_input"],
)
def test_a_plan_that_gives_up_a_buffer_too_early_is_found(monkeypatch, bug):
    draft = replace(VGG, rows=(*VGG.rows, CONV, "relu", "max", CONV, "relu", CONV, "relu"))
    check_spans(draft)

    def wrong(*args):
        found = make_plan(*args)
        bug(found)
        return found

    monkeypatch.setattr(sys.modules[fuse.__module__], "make_plan", wrong)
    with np.errstate(invalid="ignore"), pytest.raises(AssertionError):
        check_spans(draft)


# -- memory of an objective ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_the_second_evaluation_allocates_next_to_nothing(pooling):
    layers = {"content_layers": "relu2_2", "style_layers": "relu1_1,relu2_1"}  # small Gram matrices
    content, style = smooth_picture(0, 64, 64), smooth_picture(1, 64, 64)
    ours = Objective(content, style, network="vgg16", size=64, pooling=pooling, **layers)
    image = random_start(3, ours.shape)
    ours(image)
    tracemalloc.start()
    try:
        loss, dx = ours(image)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    everything = sum(buffer.bytes for buffer in ours.network.plan.buffers)
    assert ours.network.plan.bytes < 0.7 * everything
    # Gram matrices, their differences, masks of a band; not one output of a large layer
    assert peak < 0.3 * ours.network.plan.bytes, f"{peak} of {ours.network.plan.bytes} bytes"
    assert np.isfinite(loss)
    assert dx.any()
