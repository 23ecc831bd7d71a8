"""What follows from the tables alone, against numbers from elsewhere and against sums written out here."""

from dataclasses import replace

import numpy as np
import pytest

from nst_manual import nn
from nst_manual.errors import UsageError
from nst_manual.nets import NETWORKS, Network, get_network, rows
from nst_manual.nets.geometry import layers, parameter_shapes, smallest_size

# Channels of the convolutions between poolings, 1x1 ones as negative numbers: table 1 of the paper, by hand.
BLOCKS = {
    "vgg11": [[64], [128], [256] * 2, [512] * 2, [512] * 2],
    "vgg13": [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
    "vgg16c": [[64] * 2, [128] * 2, [256, 256, -256], [512, 512, -512], [512, 512, -512]],
    "vgg16": [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    "vgg19": [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
}
PARAMETERS = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16c": 133_638_952,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
}
every_network = pytest.mark.parametrize("name", BLOCKS)


def by_name(network, size=None):
    """Layer name -> layer."""
    return {layer.name: layer for layer in layers(network, size)}


def test_there_is_a_count_for_every_network():
    assert {name for name in NETWORKS if name.startswith("vgg")} == set(PARAMETERS) == set(BLOCKS)


@every_network
def test_networks_have_as_many_parameters_as_published_and_as_a_sum_by_hand(name):
    total, before = 0, 3
    for channels in sum(BLOCKS[name], []):
        side, before_this = (3 if channels > 0 else 1), before
        before = abs(channels)
        total += side * side * before_this * before + before
    for inputs, outputs in ((7 * 7 * 512, 4096), (4096, 4096), (4096, 1000)):
        total += inputs * outputs + outputs
    assert sum(layer.parameters for layer in layers(get_network(name))) == total == PARAMETERS[name]


@every_network
def test_layers_are_called_by_block_and_place_in_it(name):
    expected = []
    for block, convolutions in enumerate(BLOCKS[name], start=1):
        for place in range(1, len(convolutions) + 1):
            expected += [f"conv{block}_{place}", f"relu{block}_{place}"]
        expected.append(f"pool{block}")
    assert [row.name for row in get_network(name).rows] == expected
    assert [row.name for row in get_network(name).top] == (
        ["flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8", "softmax"]
    )


@every_network
def test_output_shapes_at_224(name):
    found = by_name(get_network(name))
    for block, (side, channels) in enumerate(
        [(224, 64), (112, 128), (56, 256), (28, 512), (14, 512)], start=1
    ):
        for place in range(1, len(BLOCKS[name][block - 1]) + 1):
            assert found[f"conv{block}_{place}"].output_shape == (side, side, channels)
            assert found[f"relu{block}_{place}"].output_shape == (side, side, channels)
        assert found[f"pool{block}"].output_shape == (side // 2, side // 2, channels)
        assert found[f"pool{block}"].step == 2**block
    assert found["flatten"].output_shape == (25088,)
    assert found["fc6"].weight_shape == (25088, 4096)
    assert found["softmax"].output_shape == (1000,)
    assert found["softmax"].receptive_field is None
    assert found["conv1_1"].input_shape == (224, 224, 3)
    assert found["conv1_1"].bytes == 4 * 224 * 224 * 64


def test_shapes_at_another_size_round_down():
    found = by_name(get_network("vgg19").without_top(), (75, 50))
    assert [found[f"pool{block}"].output_shape[:2] for block in range(1, 6)] == (
        [(37, 25), (18, 12), (9, 6), (4, 3), (2, 1)]
    )


def test_multiply_adds_of_vgg19_up_to_conv5_1_at_512():
    total, before, pixels = 0, 3, 512 * 512
    for block in [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512]]:
        for channels in block:
            total += pixels * 9 * before * channels
            before = channels
        pixels //= 4
    found = sum(layer.multiply_adds for layer in layers(get_network("vgg19").upto("conv5_1"), (512, 512)))
    assert found == total == 94_673_829_888


def test_multiply_adds_of_the_classifier():
    found = by_name(get_network("vgg16"))
    assert [found[name].multiply_adds for name in ("fc6", "fc7", "fc8")] == [
        25088 * 4096,
        4096**2,
        4096 * 1000,
    ]
    assert found["relu6"].multiply_adds == found["pool1"].multiply_adds == 0


def test_receptive_fields_of_vgg19():
    found = by_name(get_network("vgg19"))
    names = ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv3_1", "conv4_1", "conv5_1", "conv5_4", "pool5"]
    assert [found[name].receptive_field for name in names] == [3, 5, 6, 10, 24, 68, 156, 252, 268]


@pytest.mark.parametrize("name", ["vgg19", "vgg16c"])
def test_receptive_fields_are_the_support_of_the_gradient(name):
    """The gradient of one output value of a network of ones, one channel wide, is not zero where it sees."""
    modules, side = [], 576
    x = np.ones((1, side, 1, 1))  # a column suffices: rows and columns are alike
    for layer in layers(get_network(name).without_top(), (side, side)):
        row = layer.row
        if isinstance(row, rows.Conv):
            weight = np.full((row.kernel_size, 1, 1, 1), 1 / row.kernel_size)
            modules.append(
                nn.Conv2d(1, 1, weight.shape[:2], padding=(row.padding, 0), parameters=(weight, np.zeros(1)))
            )
        elif isinstance(row, rows.MaxPool):
            modules.append(nn.AvgPool2d((row.kernel_size, 1), (row.stride, 1)))  # the maximum sees as much
        network = nn.Sequential(*modules)
        y = network.forward(x)
        dy = np.zeros_like(y)
        dy[0, y.shape[1] // 2] = 1
        assert np.count_nonzero(network.backward(x, dy)) == layer.receptive_field, layer.name


@pytest.mark.parametrize(
    ("upto", "side"),
    [("relu1_1", 1), ("pool1", 2), ("conv4_1", 8), ("conv5_1", 16), ("pool5", 32), ("fc6", 224)],
)
def test_the_smallest_size_is_the_first_that_passes(upto, side):
    network = get_network("vgg19").upto(upto)
    assert smallest_size(network) == side
    assert min(layers(network, (side, side))[-1].output_shape) >= 1
    if side > 1:
        with pytest.raises(UsageError):
            layers(network, (side - 1, side - 1))


def test_an_image_too_small_is_a_usage_error_that_names_layer_and_smallest_size():
    with pytest.raises(UsageError) as caught:
        layers(get_network("vgg16").without_top(), (31, 64))
    assert str(caught.value) == (
        "size: 31 x 64 pixels are too few for pool5 of vgg16 (the smallest is 32 x 32)"
    )


@pytest.mark.parametrize("upto", [None, "fc6"])
def test_the_classifier_fits_its_own_size_alone(upto):
    network = get_network("vgg16") if upto is None else get_network("vgg16").upto(upto)
    with pytest.raises(UsageError) as caught:
        layers(network, (256, 224))
    assert "fully connected layers of vgg16 fit 224 x 224 pixels only, got 256 x 224" in str(caught.value)


def test_without_its_matrices_it_fits_every_size():
    assert layers(get_network("vgg16").upto("flatten"), (256, 224))[-1].output_shape == (8 * 7 * 512,)


def test_upto_ends_with_the_layer():
    network = get_network("vgg19").upto("relu5_1")
    assert network.rows[-1].name == "relu5_1"
    assert network.top == ()
    assert network.name == "vgg19"
    assert network.rows == get_network("vgg19").rows[: len(network.rows)]


def test_upto_the_last_of_the_features_has_no_classifier_and_one_further_has_its_first_row():
    assert get_network("vgg16").upto("pool5") == get_network("vgg16").without_top()
    assert [row.name for row in get_network("vgg16").upto("flatten").top] == ["flatten"]
    assert get_network("vgg16").upto("softmax") == get_network("vgg16")


def test_upto_the_classifier_keeps_all_features():
    network = get_network("vgg16").upto("fc7")
    assert network.rows == get_network("vgg16").rows
    assert [row.name for row in network.top] == ["flatten", "fc6", "relu6", "drop6", "fc7"]


def test_upto_an_unknown_layer_suggests_the_nearest():
    with pytest.raises(UsageError, match=r"layer of vgg16: 'relu5_9' is unknown, did you mean 'relu5_\d'\?"):
        get_network("vgg16").upto("relu5_9")
    with pytest.raises(UsageError, match="'fc6' is unknown"):
        get_network("vgg16").without_top().upto("fc6")


def test_without_top_leaves_the_network_itself_as_it_was():
    network = get_network("vgg16")
    assert network.without_top().top == ()
    assert network.without_top().rows == network.rows
    assert len(network.top) == 9
    assert network.all_rows == network.rows + network.top


def test_networks_are_found_by_name_and_taken_as_they_are():
    network = get_network("vgg16")
    assert get_network(network) is network
    with pytest.raises(UsageError, match=r"network: 'vgg91' is unknown, did you mean 'vgg\d+'"):
        get_network("vgg91")
    with pytest.raises(UsageError, match="network: expected a name, got int"):
        get_network(16)


def test_parameter_shapes_are_those_of_the_layers_that_have_parameters():
    shapes = parameter_shapes(get_network("vgg11"))
    assert list(shapes) == [
        *("conv1_1", "conv2_1", "conv3_1", "conv3_2", "conv4_1", "conv4_2", "conv5_1", "conv5_2"),
        *("fc6", "fc7", "fc8"),
    ]
    assert shapes["conv3_1"] == ((3, 3, 128, 256), (256,))
    assert shapes["fc8"] == ((4096, 1000), (1000,))


def test_groups_dilation_and_ceil_mode_of_rows_count():
    network = Network(
        "odd",
        (
            rows.Conv("conv1", 6, 3, stride=2, padding=0, groups=3),
            rows.MaxPool("pool1", 3, 2, ceil_mode=True),
            rows.Conv("conv2", 4, 3, padding=0, dilation=2),
        ),
        (),
    )
    found = by_name(network, (30, 31))
    assert found["conv1"].output_shape == (14, 15, 6)
    assert found["conv1"].weight_shape == (3, 3, 1, 6)
    assert found["conv1"].multiply_adds == 14 * 15 * 9 * 6
    assert found["pool1"].output_shape == (7, 7, 6)
    assert by_name(replace(network, rows=(network.rows[0], rows.MaxPool("pool1", 3, 2))), (30, 31))[
        "pool1"
    ].output_shape == (6, 7, 6)
    assert found["conv2"].output_shape == (3, 3, 4)
    assert [layer.receptive_field for layer in found.values()] == [3, 7, 23]
    assert [layer.step for layer in found.values()] == [2, 4, 4]
