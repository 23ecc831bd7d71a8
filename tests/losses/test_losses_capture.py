"""Targets: what a picture leaves at the layers of a network."""

import numpy as np
import pytest

from nst_manual import nn
from nst_manual.errors import UsageError
from nst_manual.losses import capture, gram


def small_network():
    rng = np.random.default_rng(0)
    layers = [nn.Conv2d(3, 4, 3, padding=1, rng=rng, dtype="float64"), nn.ReLU(), nn.MaxPool2d(2)]
    layers.append(nn.Conv2d(4, 2, 3, padding=1, rng=rng, dtype="float64"))
    for layer, name in zip(layers, ("conv1", "relu1", "pool1", "conv2"), strict=True):
        layer.name = name
    return nn.Sequential(*layers)


IMAGE = np.random.default_rng(1).standard_normal((1, 6, 8, 3))


def test_statistics_are_those_of_the_features_at_each_layer():
    expected, x = {}, IMAGE
    for layer in small_network():
        expected[layer.name] = x = layer.forward(x)
    found = capture(small_network(), IMAGE, {"conv1": np.copy, "relu1": gram, "conv2": np.copy})
    assert list(found) == ["conv1", "relu1", "conv2"]
    np.testing.assert_array_equal(found["conv1"], expected["conv1"])
    np.testing.assert_array_equal(found["relu1"], gram(expected["relu1"]))
    np.testing.assert_array_equal(found["conv2"], expected["conv2"])


def test_a_forward_pass_is_all_it_takes():
    network = small_network()
    calls = []
    network.update_output = lambda x: calls.append(x) or nn.Sequential.update_output(network, x)
    capture(network, IMAGE, {"conv1": np.copy, "relu1": np.copy, "conv2": np.copy})
    assert len(calls) == 1


def test_copies_outlive_the_next_picture():
    network = small_network()
    first = capture(network, IMAGE, {"conv2": np.copy})["conv2"]
    kept = first.copy()
    second = capture(network, -IMAGE, {"conv2": np.copy})["conv2"]
    np.testing.assert_array_equal(first, kept)
    assert not np.array_equal(first, second)


def test_the_network_is_left_empty_and_fit_for_another_size():
    network = small_network()
    capture(network, IMAGE, {"conv2": np.copy})
    assert all(module.output is None for module in [network, *network])
    assert capture(network, np.zeros((1, 4, 2, 3)), {"conv2": np.copy})["conv2"].shape == (1, 2, 1, 2)


def test_an_unknown_layer_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="'relu2' is unknown, did you mean 'relu1'"):
        capture(small_network(), IMAGE, {"relu2": np.copy})
