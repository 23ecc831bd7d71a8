"""Gradients of parameters: their sums, when they are computed, and dropout."""

import numpy as np
import pytest
from kernel_checks import assert_close, draw
from module_samples import input_and_upstream, small_network

from nst_manual import nn

with_parameters = pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Conv2d(3, 4, 3, rng=0, dtype="float64"), (2, 5, 5, 3)),
        (lambda: nn.Linear(7, 4, rng=0, dtype="float64"), (3, 7)),
    ],
    ids=["Conv2d", "Linear"],
)


@with_parameters
def test_gradient_sums_add_up_until_they_are_set_to_zero(make, shape):
    module = make()
    module.training = True
    x, dy = input_and_upstream(make, shape)
    module.backward(x, dy)
    dw, db = module.grad_weight.copy(), module.grad_bias.copy()
    module.backward(x, 2 * dy)
    assert_close(module.grad_weight, 3 * dw, 1e-14)
    assert_close(module.grad_bias, 3 * db, 1e-14)
    module.zero_grad_parameters()
    assert module.grad_weight.shape == module.weight.shape
    assert not module.grad_weight.any()
    assert not module.grad_bias.any()
    module.backward(x, dy)
    assert_close(module.grad_weight, dw, 0)
    assert_close(module.grad_bias, db, 0)


@with_parameters
def test_no_gradients_of_parameters_unless_training(make, shape, monkeypatch):
    module = make()
    assert module.training is False
    monkeypatch.setattr(module, "acc_grad_parameters", lambda x, dy: pytest.fail("computed"))
    module.backward(*input_and_upstream(make, shape))
    assert module.grad_weight is None
    assert module.grad_bias is None


@with_parameters
def test_clear_state_keeps_the_gradient_sums(make, shape):
    module = make()
    module.training = True
    module.backward(*input_and_upstream(make, shape))
    dw = module.grad_weight
    module.clear_state()
    assert module.grad_weight is dw


@with_parameters
def test_parameters_lists_values_and_sums(make, shape):
    module = make()
    assert [name for name, _, _ in module.parameters()] == ["weight", "bias"]
    module.zero_grad_parameters()
    found = {name: (value, total) for name, value, total in module.parameters()}
    assert found["weight"][0] is module.weight
    assert found["bias"][0] is module.bias
    assert found["weight"][1] is module.grad_weight
    assert found["bias"][1] is module.grad_bias


def test_without_a_bias_there_is_none_to_list():
    module = nn.Conv2d(3, 4, 3, bias=False)
    module.zero_grad_parameters()
    assert [name for name, _, _ in module.parameters()] == ["weight"]
    assert module.grad_bias is None


def test_a_network_names_its_parameters_by_layer_and_sums_over_two_passes():
    network = small_network()
    network.training = True
    x, dy = input_and_upstream(small_network, (2, 6, 6, 3))
    network["dropout7"].training = False  # else the two passes drop different values
    network.backward(x, dy)
    once = {name: total.copy() for name, _, total in network.parameters()}
    assert list(once) == [
        "conv2d0.weight",
        "conv2d0.bias",
        "conv2d3.weight",
        "conv2d3.bias",
        "linear8.weight",
        "linear8.bias",
    ]
    network.backward(x, dy)
    for name, _, total in network.parameters():
        assert_close(total, 2 * once[name], 1e-14)
    network.zero_grad_parameters()
    assert not any(total.any() for _, _, total in network.parameters())


def test_a_network_computes_no_gradients_of_parameters_unless_training():
    network = small_network()
    network.backward(*input_and_upstream(small_network, (2, 6, 6, 3)))
    assert all(total is None for _, _, total in network.parameters())


def test_training_reaches_every_module_of_a_network():
    network = nn.Sequential(nn.Sequential(nn.Dropout()), nn.ReLU())
    network.training = True
    assert network.training
    assert network[0][0].training
    assert network[1].training
    network.training = False
    assert not network[0][0].training


def test_a_module_added_to_a_training_network_trains_too():
    network = nn.Sequential(nn.ReLU())
    network.training = True
    network.append(nn.Dropout())
    network.insert_after("relu0", nn.Conv2d(1, 1, 1))
    assert all(module.training for module in network)


def test_dropout_is_the_identity_unless_training():
    x, dy = draw(0, (3, 5), (3, 5))
    module = nn.Dropout(0.9)
    np.testing.assert_array_equal(module.forward(x), x)
    np.testing.assert_array_equal(module.backward(x, dy), dy)


def test_dropout_in_training_zeroes_a_share_and_scales_the_others():
    module = nn.Dropout(0.25, rng=0)
    module.training = True
    x = draw(0, (200, 100))
    y = module.forward(x)
    dropped = y == 0
    assert dropped.mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_allclose(y[~dropped], x[~dropped] / 0.75, rtol=1e-15)
    assert (module.forward(x) != y).any()


def test_dropout_backward_uses_the_mask_of_the_forward():
    module = nn.Dropout(0.5, rng=0)
    module.training = True
    x, dy = draw(0, (20, 10), (20, 10))
    y = module.forward(x)
    dx = module.backward(x, dy)
    np.testing.assert_allclose(dx, dy * (y / x), rtol=1e-14)
    np.testing.assert_array_equal(module.backward(x, dy), dx)


def test_dropout_after_training_is_the_identity_again():
    x, dy = draw(0, (20, 10), (20, 10))
    module = nn.Dropout(0.5, rng=0)
    module.training = True
    assert (module.forward(x) != x).any()
    module.training = False
    np.testing.assert_array_equal(module.forward(x), x)
    np.testing.assert_array_equal(module.backward(x, dy), dy)


def test_dropout_with_p_0_keeps_all_and_keeps_float32():
    module = nn.Dropout(0.0)
    module.training = True
    x = draw(0, (3, 4)).astype("float32")
    y = module.forward(x)
    np.testing.assert_array_equal(y, x)
    assert y.dtype == "float32"


def test_dropout_draws_the_same_for_the_same_seed():
    def output(seed):
        module = nn.Dropout(0.5, rng=seed)
        module.training = True
        return module.forward(np.ones((4, 25)))

    np.testing.assert_array_equal(output(1), output(1))
    assert (output(1) != output(2)).any()
