"""AlexNet's two tables, against the numbers that were published."""

import numpy as np
import pytest

from nst_manual import Objective
from nst_manual.config import objective_config
from nst_manual.nets import get_network
from nst_manual.nets.geometry import layers, parameter_shapes
from nst_manual.presets import PRESETS

BOTH = pytest.mark.parametrize("name", ["alexnet", "alexnet-caffe"])
# torchvision's documentation; Caffe's from the sum 34944 + 307456 + 885120 + 663936 + 442624 + 58631144
PARAMETERS = {"alexnet": 61_100_840, "alexnet-caffe": 60_965_224}


@BOTH
def test_the_sides_are_those_of_the_paper_s_figure(name):
    sides = {layer.name: layer.output_shape[0] for layer in layers(get_network(name))}
    assert [sides[layer] for layer in ("conv1", "pool1", "pool2", "pool5")] == [55, 27, 13, 6]
    assert sides["conv2"] == 27
    assert sides["conv3"] == sides["conv4"] == sides["conv5"] == 13


@BOTH
def test_there_are_as_many_parameters_as_published(name):
    assert sum(layer.parameters for layer in layers(get_network(name))) == PARAMETERS[name]


def test_caffe_s_kernels_are_in_groups_where_two_gpus_had_them():
    shapes = {name: weight for name, (weight, _) in parameter_shapes(get_network("alexnet-caffe")).items()}
    assert shapes["conv1"] == (11, 11, 3, 96)
    assert shapes["conv2"] == (5, 5, 48, 256)
    assert shapes["conv3"] == (3, 3, 256, 384)
    assert shapes["conv4"] == (3, 3, 192, 384)
    assert shapes["conv5"] == (3, 3, 192, 256)
    assert shapes["fc6"] == (6 * 6 * 256, 4096)


@BOTH
@pytest.mark.parametrize("preset", PRESETS)
def test_the_presets_find_layers_of_its_own(name, preset):
    config = objective_config({"network": name, "preset": preset})
    kind = "conv" if preset == "paper" else "relu"
    assert list(config.weighted_layers("content")) == [f"{kind}4"]
    assert list(config.weighted_layers("style")) == [f"{kind}{depth}" for depth in range(1, 6)]
    chosen = objective_config({"network": name, "preset": preset, "style_layers": "conv2"})
    assert list(chosen.weighted_layers("style")) == ["conv2"]


@BOTH
def test_a_picture_has_a_loss_and_a_gradient(name):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 90, 101, 3), dtype=np.uint8)
    ours = Objective(pictures[0], [pictures[1]], network=name, weights="random", size=101)
    loss, dx = ours(rng.uniform(0, 255, ours.shape).astype("float32"))
    assert set(ours.losses) == {"content/relu4", *(f"style/relu{depth}" for depth in range(1, 6))}
    assert loss > 0
    assert np.isfinite(dx).all()
    assert np.abs(dx).max() > 0
