"""The container: names, places, where errors are located, losses in the row."""

import numpy as np
import pytest
from kernel_checks import assert_close, draw
from module_samples import small_network

from nst_manual import nn
from nst_manual.errors import ShapeError, UsageError


class Counting(nn.Module):
    """A loss module: half the sum of squares of what passes."""

    def update_output(self, x):
        """Keep the loss, hand x on."""
        self.loss = float((x**2).sum() / 2)
        self.output = x
        return x

    def update_grad_input(self, x, dy):
        """Add the loss's own gradient."""
        self.grad_input = dy + x
        return self.grad_input


def named(name, module):
    """Return the module under a name."""
    module.name = name
    return module


def test_output_and_gradient_are_those_of_the_modules_in_a_row():
    network = small_network()
    x = y = draw(0, (2, 6, 6, 3))
    inputs = []
    for module in small_network():
        inputs.append((module, y))
        y = module.forward(y)
    np.testing.assert_array_equal(network.forward(x), y)
    dx = dy = draw(1, y.shape)
    for module, inner in reversed(inputs):
        dx = module.backward(inner, dx)
    np.testing.assert_array_equal(network.backward(x, dy), dx)


def test_a_network_in_a_network_computes_the_same():
    modules = list(small_network())
    nested = nn.Sequential(
        modules[0], nn.Sequential(*modules[1:4]), nn.Sequential(nn.Sequential(*modules[4:]))
    )
    plain = small_network()
    plain.training = nested.training = True
    plain["dropout7"].training = modules[7].training = False
    x, dy = draw(0, (2, 6, 6, 3), (2, 5))
    np.testing.assert_array_equal(nested.forward(x), plain.forward(x))
    np.testing.assert_array_equal(nested.backward(x, dy), plain.backward(x, dy))
    for (_, _, ours), (_, _, theirs) in zip(nested.parameters(), plain.parameters(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("training", [False, True])
def test_an_empty_network_is_the_identity(training):
    network = nn.Sequential()
    network.training = training
    x, dy = draw(0, (2, 3), (2, 3))
    np.testing.assert_array_equal(network.forward(x), x)
    np.testing.assert_array_equal(network.backward(x, dy), dy)
    assert network.loss == 0


def test_modules_are_called_by_kind_and_position_or_as_they_are_named():
    network = nn.Sequential(nn.ReLU(), named("last", nn.Softmax()), nn.ReLU())
    assert network.names == ["relu0", "last", "relu2"]
    assert network["last"] is network[1]
    assert network[-1] is network["relu2"]
    assert network.index("relu2") == 2
    assert len(network) == 3
    assert [module.name for module in network] == network.names


def test_a_name_stands_once_in_a_network():
    with pytest.raises(UsageError, match="'same' stands in the network already"):
        nn.Sequential(named("same", nn.ReLU()), named("same", nn.ReLU()))


def test_insert_after_puts_a_module_behind_another():
    network = nn.Sequential(nn.ReLU(), nn.Softmax())
    network.insert_after("relu0", named("loss", Counting()))
    network.insert_after("softmax1", named("end", nn.ReLU()))
    assert network.names == ["relu0", "loss", "softmax1", "end"]


def test_an_unnamed_module_can_be_inserted_among_others_of_its_kind():
    network = nn.Sequential(nn.ReLU(), nn.ReLU())
    added = nn.ReLU()
    network.insert_after("relu0", added)
    assert network[1] is added
    assert len(set(network.names)) == 3


def test_a_module_inserted_after_forward_takes_part_in_backward():
    network = nn.Sequential(nn.ReLU(), nn.Softmax())
    x, dy = draw(0, (2, 3), (2, 3))
    network.forward(x)
    network.insert_after("relu0", named("loss", Counting()))
    expected = nn.Sequential(nn.ReLU(), Counting(), nn.Softmax()).backward(x, dy)
    np.testing.assert_array_equal(network.backward(x, dy), expected)


def test_a_module_appended_after_forward_takes_part_in_backward():
    network = nn.Sequential(nn.ReLU())
    x, dy = draw(0, (2, 3), (2, 3))
    network.forward(x)
    network.append(nn.Softmax())
    np.testing.assert_array_equal(
        network.backward(x, dy), nn.Sequential(nn.ReLU(), nn.Softmax()).backward(x, dy)
    )


@pytest.mark.parametrize("act", [lambda n: n["relu4_l"], lambda n: n.insert_after("relu4_l", nn.ReLU())])
def test_an_unknown_layer_suggests_the_nearest_and_lists_all(act):
    network = nn.Sequential(named("relu4_1", nn.ReLU()), named("conv5_1", nn.ReLU()))
    with pytest.raises(
        UsageError, match=r"'relu4_l' is unknown, did you mean 'relu4_1'\? \(valid: relu4_1, conv5_1\)"
    ):
        act(network)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ((nn.ReLU(), named("conv1_1", nn.Conv2d(4, 2, 3))), "conv1_1, Conv2d, input: expected 4 channels"),
        ((named("conv1_1", nn.Conv2d(3, 2, 9)),), "conv1_1, input: 6 x 6 pixels do not hold one window"),
        ((named("pool5", nn.MaxPool2d(7)),), "pool5, input: 6 x 6 pixels do not hold one window"),
        (
            (nn.Flatten(), named("fc6", nn.Linear(5, 2))),
            r"fc6, Linear, input: expected \(N, 5\), got shape \(1, 108\)",
        ),
        (
            (named("block", nn.Sequential(named("inner", nn.Conv2d(1, 1, 1)))),),
            "block, inner, Conv2d, input: expected 1 channels",
        ),
    ],
)
def test_a_shape_error_inside_begins_with_the_layers_name(modules, message):
    with pytest.raises(ShapeError, match=message):
        nn.Sequential(*modules).forward(np.zeros((1, 6, 6, 3)))


def test_the_loss_is_the_sum_over_modules_and_one_backward_pass_collects_all_gradients():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, rng=0, dtype="float64"),
        Counting(),
        nn.Softmax(),
        nn.Sequential(Counting()),
        nn.AvgPool2d(2),
    )
    x = draw(0, (1, 5, 5, 3))
    y = network.forward(x)
    features = network[1].output
    probabilities = nn.Softmax().forward(features)
    assert network.loss == pytest.approx(((features**2).sum() + (probabilities**2).sum()) / 2, rel=1e-14)
    dx = network.backward(x, np.zeros_like(y))
    slope, step = np.zeros(x.shape), 1e-30
    conv = network[0]
    for index in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[index] += 1j * step
        f = conv.forward(moved)
        p = nn.Softmax().forward(f)
        slope[index] = ((f**2).sum() + (p**2).sum()).imag / 2 / step
    assert_close(dx, slope, 1e-13)


def test_clear_state_reaches_every_module():
    network = small_network()
    network.backward(*draw(0, (2, 6, 6, 3), (2, 5)))
    network.clear_state()
    assert all(module.output is None and module.grad_input is None for module in network)
    assert network["maxpool2d2"].winner is None


def test_a_network_prints_a_line_a_layer():
    text = repr(nn.Sequential(named("conv1_1", nn.Conv2d(3, 4, 3)), nn.ReLU())).splitlines()
    assert text[0] == "Sequential("
    assert text[1].split() == ["conv1_1", "Conv2d(3,", "4,", "(3,", "3))"]
    assert text[-1] == ")"
