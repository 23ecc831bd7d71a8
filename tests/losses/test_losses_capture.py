"""Targets: what a picture leaves at the layers of a network."""

import numpy as np
import pytest

from nst_manual import nn
from nst_manual.errors import UsageError
from nst_manual.losses import capture, gram
from nst_manual.losses.capture import Capture
from nst_manual.nn.fused_conv2d import FusedConv2d

both = pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])


def small_network():
    rng = np.random.default_rng(0)
    layers = [nn.Conv2d(3, 4, 3, padding=1, rng=rng, dtype="float64"), nn.ReLU(), nn.MaxPool2d(2)]
    layers.append(nn.Conv2d(4, 2, 3, padding=1, rng=rng, dtype="float64"))
    for layer, name in zip(layers, ("conv1", "relu1", "pool1", "conv2"), strict=True):
        layer.name = name
    return nn.Sequential(*layers)


IMAGE = np.random.default_rng(1).standard_normal((1, 6, 8, 3))


@both
def test_statistics_are_those_of_the_features_at_each_layer(fused):
    expected, x = {}, IMAGE
    for layer in small_network():
        expected[layer.name] = x = layer.forward(x)
    # the convolution of three channels is done in bands of other heights where it is fused
    found = capture(small_network(), IMAGE, {"conv1": np.copy, "relu1": gram, "conv2": np.copy}, fused)
    assert list(found) == ["conv1", "relu1", "conv2"]
    np.testing.assert_allclose(found["conv1"], expected["conv1"], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found["relu1"], gram(expected["relu1"]), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found["conv2"], expected["conv2"], rtol=1e-12, atol=1e-13)


@both
def test_a_forward_pass_up_to_the_last_layer_is_all_it_takes(fused, monkeypatch):
    network = small_network()
    calls = []
    for module in (nn.Conv2d, FusedConv2d):

        def counting(self, x, original=module.update_output):
            calls.append(self.name)
            return original(self, x)

        monkeypatch.setattr(module, "update_output", counting)
    capture(network, IMAGE, {"conv1": np.copy, "relu1": np.copy, "conv2": np.copy}, fused)
    assert calls == ["conv1", "conv2"]
    calls.clear()
    capture(network, IMAGE, {"conv1": np.copy}, fused)
    assert calls == ["conv1"]


@both
def test_without_statistics_nothing_is_run(fused):
    assert capture(small_network(), np.zeros((1, 1, 1, 7)), {}, fused) == {}


def test_fused_and_plain_capture_the_same():
    layers = ("conv1", "relu1", "pool1", "conv2")
    for names in (layers[:1], layers[1:2], layers[2:3], layers[3:], layers[1::2], layers):
        plain, fused = (
            capture(small_network(), IMAGE, dict.fromkeys(names, np.copy), way) for way in (False, True)
        )
        assert list(plain) == list(fused) == list(names)
        for name in names:
            np.testing.assert_allclose(fused[name], plain[name], rtol=1e-12, atol=1e-13)


@both
def test_the_network_is_left_without_captures_and_computes_the_same(fused):
    network = small_network()
    names, expected = network.names, small_network().forward(IMAGE)
    dx = small_network().backward(IMAGE, np.ones_like(expected))
    capture(network, IMAGE, {"relu1": gram, "conv2": np.copy}, fused)
    assert network.names == names
    np.testing.assert_array_equal(network.forward(IMAGE), expected)
    np.testing.assert_array_equal(network.backward(IMAGE, np.ones_like(expected)), dx)


def test_a_capture_is_a_loss_of_zero_that_adds_nothing():
    module = Capture(gram)
    x, dy = IMAGE, np.ones_like(IMAGE)
    assert module.update_output(x) is x
    assert module.loss == 0
    np.testing.assert_array_equal(module.update_grad_input(x, dy), dy)
    np.testing.assert_array_equal(module.captured, gram(x))


@both
def test_copies_outlive_the_next_picture(fused):
    network = small_network()
    first = capture(network, IMAGE, {"conv2": np.copy}, fused)["conv2"]
    kept = first.copy()
    second = capture(network, -IMAGE, {"conv2": np.copy}, fused)["conv2"]
    np.testing.assert_array_equal(first, kept)
    assert not np.array_equal(first, second)


@both
def test_the_network_is_left_empty_and_fit_for_another_size(fused):
    network = small_network()
    capture(network, IMAGE, {"conv2": np.copy}, fused)
    assert all(module.output is None for module in [network, *network])
    again = capture(network, np.zeros((1, 4, 2, 3)), {"conv2": np.copy}, fused)
    assert again["conv2"].shape == (1, 2, 1, 2)


@both
def test_an_unknown_layer_is_named_with_the_nearest(fused):
    with pytest.raises(UsageError, match="'relu2' is unknown, did you mean 'relu1'"):
        capture(small_network(), IMAGE, {"relu2": np.copy}, fused)
