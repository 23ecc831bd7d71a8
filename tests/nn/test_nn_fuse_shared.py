"""What a fused network has in common with others: the caller's arrays, weights, modules of two networks."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_networks import CONV, VARIETY, VGG, Draft, answer, assert_same

from nst_manual import nn
from nst_manual.errors import UsageError
from nst_manual.losses import LossModule, TotalVariation
from nst_manual.nn import fuse, plan
from nst_manual.nn.fused_conv2d import FusedConv2d

every_kind = pytest.mark.parametrize("draft", VARIETY.values(), ids=VARIETY)


def test_a_replaced_weight_is_used_at_once():
    x, dy = VGG.arrays()
    network, other = VGG.build(), VGG.build()
    fused = fuse(network)
    answer(fused, x, dy)
    for changed in (network, other):
        for module in changed:
            if isinstance(module, nn.Conv2d):
                module.weight = -module.weight
                module.bias = 2 * module.bias
    assert_same(answer(fused, x, dy), answer(other, x, dy))


@pytest.mark.parametrize("side", [20, 44], ids=["few tiles", "many tiles"])
def test_a_weight_changed_in_place_is_used_or_refuses(side):
    """What is computed from a weight once must not outlive its values, however they are changed."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((2, 3, 3, 16, 16)).astype("float32")
    x = rng.standard_normal((1, side, side, 16)).astype("float32")
    network = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, parameters=(base[1], np.zeros(16, "float32"))))
    fused = fuse(network)
    y = fused.forward(x)
    assert fused[0].conv.chosen == "winograd"
    for change in (lambda: np.multiply(base[1], -2, out=base[1]), lambda: np.negative(base, out=base)):
        kept = base.copy()
        try:
            change()
        except ValueError:  # read-only
            np.testing.assert_array_equal(base, kept)
        else:
            y = y * (base[1, 0, 0, 0, 0] / kept[1, 0, 0, 0, 0])
        np.testing.assert_allclose(fused.forward(x), y, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("algorithm", ["winograd", "matmul"])
def test_a_network_whose_fused_form_has_run_is_trained_with_copies_of_the_weights(algorithm):
    """What a fused network keeps of a weight makes the weight read-only, however it is changed."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 20, 20, 16)).astype("float32")
    network = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, rng=0, algorithm=algorithm), nn.ReLU())
    fused = fuse(network)
    fused.forward(x)
    network.training = True
    y = network.forward(x)
    network.backward(x, y)
    conv = network[0]
    if algorithm == "winograd":  # the only one that prepares weights
        with pytest.raises(ValueError, match="read-only"):
            conv.weight -= 0.1 * conv.grad_weight
        conv.weight = conv.weight.copy()
    conv.weight -= 0.1 * conv.grad_weight
    assert (network.forward(x) != y).any()
    np.testing.assert_array_equal(fused.forward(x), network.forward(x))


def test_a_weight_made_writeable_again_is_prepared_again():
    x = np.random.default_rng(0).standard_normal((1, 20, 20, 16)).astype("float32")
    network = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, rng=0, algorithm="winograd"))
    fused = fuse(network)
    y = fused.forward(x)
    network[0].weight.flags.writeable = True
    network[0].weight *= 2
    np.testing.assert_allclose(fused.forward(x), 2 * y, rtol=1e-5, atol=1e-5)
    assert not network[0].weight.flags.writeable


def test_weights_are_left_writeable_where_nothing_is_kept_of_them(monkeypatch):
    monkeypatch.setattr(plan, "KEEP_BYTES", 0)
    x = np.zeros((1, 20, 20, 16), "float32")
    network = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, rng=0, algorithm="winograd"))
    fuse(network).forward(x)
    assert network[0].weight.flags.writeable


def test_another_algorithm_may_be_chosen_between_passes():
    draft = replace(VGG, dtype="float32", algorithm="matmul")
    x, dy = draft.arrays()
    fused = fuse(draft.build())
    for name in ("matmul", "winograd", "direct", "winograd"):
        for module in fused:
            if isinstance(module, FusedConv2d):
                module.conv.algorithm = name
        assert_same(answer(fused, x, dy), answer(replace(draft, algorithm=name).build(), x, dy), 1e-5)


def test_weights_of_another_type_are_used():
    draft = replace(VGG, dtype="float32", algorithm="auto")
    x, dy = draft.arrays()
    plain, fused = draft.build(), fuse(draft.build())
    answer(fused, x, dy)
    for network in (plain, fused):
        for module in network:
            conv = getattr(module, "conv", module)
            if isinstance(conv, nn.Conv2d):
                conv.weight = conv.weight.astype(float) * 1.5
    assert_same(answer(fused, x, dy), answer(plain, x, dy), 1e-6)


TAILS = {
    "loss": (lambda shape: TotalVariation(0.3),),
    "flatten": (lambda shape: TotalVariation(0.3), lambda shape: nn.Flatten()),
    "dropout": (lambda shape: TotalVariation(0.3), lambda shape: nn.Dropout()),
    "identity": (lambda shape: TotalVariation(0.3), lambda shape: nn.Module()),
    "network": (lambda shape: TotalVariation(0.3), lambda shape: nn.Sequential()),
    "losses in a network": (lambda shape: nn.Sequential(TotalVariation(0.3), TotalVariation(0.1)),),
    "linear": (
        lambda shape: TotalVariation(0.3),
        lambda shape: nn.Flatten(),
        lambda shape: nn.Linear(int(np.prod(shape[1:])), 7, rng=0, dtype="float64"),
        lambda shape: nn.Softmax(),
    ),
}


@pytest.mark.parametrize("name", ["losses at relu layers", "losses at pool layers", "relu and pooling alone"])
@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_what_the_caller_gives_is_not_written_whatever_the_network_ends_with(name, tail):
    draft = VARIETY[name]
    plain, fused = draft.build(), draft.build()
    x, dy = draft.arrays()
    for network in (plain, fused):
        for make in tail:
            network.append(make(dy.shape))
    fused = fuse(fused)
    top = np.random.default_rng(2).standard_normal(plain.update_output(x).shape)
    expected = answer(plain, x, top)
    x.flags.writeable = top.flags.writeable = False
    for _ in range(2):
        loss, y, dx = answer(fused, x, top)
        np.testing.assert_array_equal(y, expected[1])
        np.testing.assert_array_equal(dx, expected[2])
        assert loss == expected[0]
        assert not np.shares_memory(fused.grad_input, top)


def test_training_is_refused():
    network = VGG.build()
    network.training = True
    with pytest.raises(UsageError, match="training"):
        fuse(network)
    network.training = False
    x, dy = VGG.arrays()
    fused = fuse(network)
    fused.training = True
    fused.forward(x)
    with pytest.raises(UsageError, match="train"):
        fused.backward(x, dy)


@every_kind
def test_the_plain_list_computes_the_same_after_its_fused_form_has_run(draft):
    x, dy = draft.arrays()
    expected = answer(draft.build(), x, dy)
    plain = draft.build()
    fused = fuse(plain)
    for _ in range(2):
        assert_same(answer(fused, x, dy), expected)
        before = dy.copy()
        dy.flags.writeable = False
        assert not any(module.in_place for module in plain if isinstance(module, LossModule))
        assert_same(answer(plain, x, dy), expected)
        np.testing.assert_array_equal(dy, before)


def test_losses_are_not_left_in_place_by_a_pass_that_fails(monkeypatch):
    fused = fuse(VGG.build())
    x, dy = VGG.arrays()
    fused.update_output(x)

    def fail(x, dx):
        raise ZeroDivisionError

    monkeypatch.setattr(fused["styleloss4"], "add_gradient", fail)
    with pytest.raises(ZeroDivisionError):
        fused.update_grad_input(x, dy)
    assert not any(module.in_place for module in fused if isinstance(module, LossModule))


def test_the_plain_list_can_be_trained_after_its_fused_form_has_run():
    draft = Draft(("preprocess", CONV, "relu", "max-ceil", CONV, "relu", "max-ceil", CONV), (1, 12, 12, 3))
    x, dy = draft.arrays()
    sums = []
    for run_fused in (False, True):
        plain = draft.build()
        if run_fused:
            answer(fuse(plain), x, dy)
        plain.training = True
        plain.forward(x)
        plain.backward(x, dy)
        sums.append([total for _, _, total in plain.parameters()])
        for module in plain:
            if isinstance(module, nn.Conv2d):
                module.weight -= 0.1 * module.grad_weight  # as a training loop does
    for one, other in zip(*sums, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_fused_networks_may_share_modules():
    """One with losses, one without: what the second keeps no memory for, the first still needs."""
    draft = Draft(("preprocess", CONV, "relu", "max-ceil", CONV, "relu", "max-ceil"), (1, 12, 12, 3))
    x, dy = draft.arrays()

    def pair(shared):
        network = draft.build()
        other = nn.Sequential(*network) if shared else draft.build()
        for name in ("preprocess0", "maxpool2d3"):
            loss = TotalVariation(0.3)
            loss.name = f"tv/{name}"
            network.insert_after(name, loss)
        return network, other

    expected = answer(pair(False)[0], x, dy)
    first, second = map(fuse, pair(True))
    answer(first, x, dy)
    answer(second, x, dy)
    assert_same(answer(first, x, dy), expected)


def test_two_fused_networks_may_share_fused_modules():
    draft = VARIETY["losses at relu layers"]
    x, dy = draft.arrays()
    first = fuse(draft.build())
    second = fuse(nn.Sequential(*(module for module in first if not isinstance(module, LossModule))))
    third = nn.Sequential(*(module for module in draft.build() if not isinstance(module, LossModule)))
    expected, expected_bare = answer(draft.build(), x, dy), answer(third, x, dy)
    for _ in range(2):
        assert_same(answer(first, x, dy), expected)
        assert_same(answer(second, x, dy), expected_bare)


@every_kind
def test_a_pass_forward_alone_leaves_no_memory_of_the_network_to_others(draft):
    """As when a loss is measured or a target captured."""
    x, dy = draft.arrays()
    expected = answer(draft.build(), x, dy)
    plain = draft.build()
    fused = fuse(plain)
    answer(fused, x, dy)
    fused.update_output(x)
    assert all(module.planned is None for module in fused)
    assert_same(answer(plain, x, dy), expected)
    network = {id(array) for planned in fused._planned.values() for array in planned.values()}
    assert not any(id(array) in network for module in plain for array in (module.output, module.grad_input))
    assert_same(answer(fused, x, dy), expected)


def test_a_loss_inserted_after_a_pass_is_counted():
    draft = VARIETY["ceil mode"]
    x, dy = draft.arrays()
    plain, fused = draft.build(), fuse(draft.build())
    answer(fused, x, dy)
    for network in (plain, fused):
        for name in ("preprocess0", "relu2"):
            loss = TotalVariation(0.9, "squared")
            loss.name = f"late/{name}"
            network.insert_after(name, loss)
    assert_same(answer(fused, x, dy), answer(plain, x, dy))


def test_a_loss_inserted_between_a_pass_forward_and_the_way_back_is_counted():
    x, dy = VGG.arrays()
    plain, fused = VGG.build(), fuse(VGG.build())
    fused.update_output(x)
    for network in (plain, fused):
        network.insert_after("preprocess0", TotalVariation(0.9, "squared"))
    plain.update_output(x)
    np.testing.assert_array_equal(fused.update_grad_input(x, dy), plain.update_grad_input(x, dy))
    assert fused.loss == plain.loss
