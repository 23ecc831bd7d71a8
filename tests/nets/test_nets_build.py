"""From tables to modules: names, settings, what is built and what is not, and messages."""

import numpy as np
import pytest
from kernel_checks import draw

from nst_manual import nn
from nst_manual.errors import ShapeError, UsageError
from nst_manual.nets import NETWORKS, Network, get_network, rows
from nst_manual.nets.geometry import layers, parameter_shapes
from nst_manual.nn.build import runs_as
from nst_manual.store import Preprocessing, load_weights

# Small enough for a test, with every kind of row.
TINY = Network(
    "tiny",
    (rows.Conv("conv1_1", 4), rows.ReLU("relu1_1"), rows.MaxPool("pool1"), rows.Conv("conv2_1", 6, groups=2)),
    (
        rows.Flatten("flatten"),
        rows.Linear("fc6", 5),
        rows.ReLU("relu6"),
        rows.Dropout("drop6", 0.3),
        rows.Linear("fc8", 7),
        rows.Softmax("softmax"),
    ),
    input_size=8,
)


def test_modules_are_named_as_rows_behind_preprocess():
    network = nn.load_network(TINY, "random", top=True)
    assert network.names == ["preprocess", *(row.name for row in TINY.all_rows)]
    assert isinstance(network["preprocess"], nn.Preprocess)
    kinds = [type(network[row.name]).__name__ for row in TINY.all_rows]
    assert kinds == [
        "Conv2d",
        "ReLU",
        "MaxPool2d",
        "Conv2d",
        *("Flatten", "Linear", "ReLU", "Dropout", "Linear", "Softmax"),
    ]
    assert network["conv2_1"].groups == 2
    assert network["drop6"].p == 0.3


def test_outputs_have_the_shapes_that_geometry_says():
    network = nn.load_network(TINY, "random", top=True)
    network.forward(np.zeros((1, 8, 8, 3), "uint8"))
    for layer in layers(TINY):
        assert network[layer.name].output.shape == (1, *layer.output_shape), layer.name
        if layer.weight_shape:
            assert network[layer.name].weight.shape == layer.weight_shape


def test_the_classifier_is_built_on_request_or_when_upto_names_a_layer_of_it():
    assert nn.load_network(TINY, "random").names[-1] == "conv2_1"
    assert nn.load_network(TINY, "random", top=True).names[-1] == "softmax"
    assert nn.load_network(TINY, "random", "fc6").names[-1] == "fc6"
    assert nn.load_network(TINY, "random", upto="relu1_1").names == ["preprocess", "conv1_1", "relu1_1"]


def test_the_classifier_refuses_images_of_another_size_by_name():
    with pytest.raises(ShapeError, match=r"fc6, Linear, input: expected \(N, 96\), got shape \(1, 150\)"):
        nn.load_network(TINY, "random", top=True).forward(np.zeros((1, 10, 10, 3)))


def test_an_image_too_small_names_the_layer():
    network = nn.load_network("vgg11", "random", upto="pool2")
    with pytest.raises(ShapeError, match="pool2, input: 1 x 4 pixels do not hold one window"):
        network.forward(np.zeros((1, 3, 8, 3)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_have_the_type_asked_for_and_so_has_the_output_of_pixels(dtype):
    network = nn.load_network(TINY, "random", dtype=dtype)
    assert {values.dtype.name for _, values, _ in network.parameters()} == {dtype}
    assert network.forward(np.zeros((1, 8, 8, 3), "uint8")).dtype == dtype


def test_random_weights_follow_the_seed():
    x = draw(0, (1, 8, 8, 3))
    outputs = [nn.load_network(TINY, "random", seed=seed).forward(x) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert (outputs[0] != outputs[2]).any()


def test_pooling_is_replaced_by_name():
    x = 50 * draw(0, (1, 9, 9, 3))
    plain = nn.load_network(TINY, "random", upto="pool1", dtype="float64")
    features = plain.forward(x), plain["relu1_1"].output
    np.testing.assert_array_equal(features[0], nn.MaxPool2d(2).forward(features[1]))
    for pooling, module in (("max-ceil", nn.MaxPool2d(2, ceil_mode=True)), ("average", nn.AvgPool2d(2))):
        network = nn.load_network(TINY, "random", upto="pool1", dtype="float64", pooling=pooling)
        np.testing.assert_array_equal(network.forward(x), module.forward(features[1]))
        assert repr(network["pool1"]) == repr(module)
    with pytest.raises(UsageError, match="pooling: 'avarage' is unknown, did you mean 'average'"):
        nn.load_network(TINY, "random", pooling="avarage")


def test_build_takes_another_preprocessing():
    weights = load_weights("random", "tiny", parameter_shapes(TINY), 0, "float64")
    settings = Preprocessing("RGB", (0.5, 0.5, 0.5), 1 / 255)
    network = nn.build(TINY, weights, preprocessing=settings, dtype="float64")
    assert network["preprocess"].settings is settings
    network.forward(np.full((1, 8, 8, 3), 255.0))
    np.testing.assert_allclose(network["preprocess"].output, 0.5, rtol=1e-14)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UsageError, match="network: 'vgg_19' is unknown, did you mean 'vgg19'"):
        nn.load_network("vgg_19", "random")
    with pytest.raises(UsageError, match="layer of vgg19: 'conv5-1' is unknown, did you mean 'conv5_1'"):
        nn.load_network("vgg19", "random", upto="conv5-1")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_row_of_every_network_has_a_module(name):
    from nst_manual.nn.build import MODULES

    kinds = {type(step.row) for step in rows.steps(get_network(name).all_rows)}
    assert kinds <= {*MODULES, rows.MaxPool, rows.Concat}


# -- what computes each layer --------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [24, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_algorithms_that_are_told_beforehand_are_those_that_run(side, dtype):
    network = nn.load_network("vgg11", "random", "relu3_1", dtype=dtype)
    told = network.algorithms((1, side, side, 3), dtype)
    network.forward(np.zeros((1, side, side, 3), dtype))
    assert told == {module.name: module.chosen for module in network if isinstance(module, nn.Conv2d)}
    fused = nn.fuse(network)
    assert fused.algorithms((1, side, side, 3), dtype) == told
    assert ("winograd" in told.values()) == (side == 64 and dtype == "float32")


def test_what_runs_a_layer_is_told_without_weights():
    found = runs_as(get_network("vgg11").upto("relu3_1"), (1, 64, 64, 3))
    assert found == {
        "conv1_1": "planes",
        "relu1_1": "in conv1_1",
        "pool1": "in conv1_1",
        "conv2_1": "winograd",
        "relu2_1": "in conv2_1",
        "pool2": "in conv2_1",
        "conv3_1": "matmul",
        "relu3_1": "in conv3_1",
    }


def test_a_named_algorithm_is_that_of_every_convolution_that_it_can_compute():
    weights = load_weights("random", "tiny", parameter_shapes(TINY), 0, "float64")
    network = nn.build(TINY, weights, algorithm="planes")
    assert network["conv1_1"].algorithm == "planes"
    assert network["conv2_1"].algorithm == "auto"  # has groups
    network.forward(np.zeros((1, 8, 8, 3)))
    assert [network[name].chosen for name in ("conv1_1", "conv2_1")] == ["planes", "matmul"]
    with pytest.raises(UsageError, match="did you mean 'winograd'"):
        nn.build(TINY, weights, algorithm="winogradd")
