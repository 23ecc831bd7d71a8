"""Networks with branches: GoogLeNet and SqueezeNet against published numbers, and losses inside."""

import numpy as np
import pytest

from nst_manual import Objective, nn
from nst_manual.check import gradcheck
from nst_manual.config import objective_config
from nst_manual.errors import UsageError
from nst_manual.nets import get_network, rows
from nst_manual.nets.geometry import layers, parameter_shapes, smallest_size
from nst_manual.presets import PRESETS

GOOGLENETS = pytest.mark.parametrize("name", ["googlenet", "googlenet-caffe"])
ALL = pytest.mark.parametrize("name", ["googlenet", "googlenet-caffe", "squeezenet"])

# Table 1 of "Going deeper with convolutions": "output size" of each row.
INCEPTIONS = {
    "3a": (28, 256),
    "3b": (28, 480),
    "4a": (14, 512),
    "4b": (14, 512),
    "4c": (14, 512),
    "4d": (14, 528),
    "4e": (14, 832),
    "5a": (7, 832),
    "5b": (7, 1024),
}


def shapes_of(name):
    return {layer.name: layer.output_shape for layer in layers(get_network(name))}


def parameters_of(name):
    return sum(layer.parameters for layer in layers(get_network(name)))


@GOOGLENETS
def test_googlenet_has_the_output_sizes_of_the_paper_s_table(name):
    shapes = shapes_of(name)
    for block, (side, channels) in INCEPTIONS.items():
        assert shapes[f"inception{block}"] == (side, side, channels)
    sides = [shapes[layer][0] for layer in ("conv1", "pool1", "pool2", "pool3", "pool4", "pool5")]
    assert sides == [112, 56, 28, 14, 7, 1]
    assert shapes["conv2"] == (56, 56, 192)
    assert shapes["fc"] == (1000,)


def test_googlenet_has_as_many_parameters_as_published():
    # bvlc_googlenet without its auxiliary classifiers, 6,998,552
    assert parameters_of("googlenet-caffe") == 6_998_552
    # torchvision's documentation: 6,624,904. Of batch normalisation's two numbers a channel, the fold leaves
    # one, the bias
    convolutions = [
        shape for shape, _ in parameter_shapes(get_network("googlenet")).values() if len(shape) == 4
    ]
    assert parameters_of("googlenet") + sum(shape[3] for shape in convolutions) == 6_624_904
    assert len(convolutions) == 57


def test_the_branches_have_the_kernels_of_the_paper_or_3x3_in_place_of_5x5():
    for name, five in (("googlenet", 3), ("googlenet-caffe", 5)):
        kernels = {layer: shape for layer, (shape, _) in parameter_shapes(get_network(name)).items()}
        assert kernels["inception4e/5x5"] == (five, five, 32, 128)
        assert kernels["inception4e/3x3_reduce"] == (1, 1, 528, 160)
        assert kernels["inception4e/pool_proj"] == (1, 1, 528, 128)


def test_squeezenet_has_the_published_shapes_and_number_of_parameters():
    shapes = shapes_of("squeezenet")
    assert parameters_of("squeezenet") == 1_235_496
    expected = {
        "conv1": (111, 111, 64),
        "pool1": (55, 55, 64),
        "fire2": (55, 55, 128),
        "fire3": (55, 55, 128),
        "pool3": (27, 27, 128),
        "fire4": (27, 27, 256),
        "fire5": (27, 27, 256),
        "pool5": (13, 13, 256),
        "fire6": (13, 13, 384),
        "fire7": (13, 13, 384),
        "fire8": (13, 13, 512),
        "fire9": (13, 13, 512),
        "conv10": (13, 13, 1000),
        "pool10": (1, 1, 1000),
    }
    assert {name: shapes[name] for name in expected} == expected


@ALL
def test_the_classifier_fits_every_size(name):
    network = get_network(name)
    assert not network.fixed_size
    assert layers(network, (131, 97))[-1].output_shape == (1000,)
    y = nn.load_network(name, "random", top=True).forward(np.full((1, 67, 95, 3), 100.0, "float32"))
    assert y.shape == (1, 1000)
    assert y.sum() == pytest.approx(1, rel=1e-5)


@ALL
def test_the_smallest_size_is_the_smallest_that_runs(name):
    least = smallest_size(get_network(name))
    network = nn.load_network(name, "random")
    assert network.forward(np.zeros((1, least, least, 3), "float32")).size
    with pytest.raises(UsageError, match=f"the smallest is {least} x {least}"):
        layers(get_network(name), (least - 1, least - 1))


@ALL
@pytest.mark.parametrize("preset", PRESETS)
def test_the_presets_find_layers_of_its_own(name, preset):
    config = objective_config({"network": name, "preset": preset})
    names = get_network(name).names
    content, style = config.weighted_layers("content"), config.weighted_layers("style")
    assert len(content) == 1
    assert len(style) == 5
    assert {*content, *style} <= set(names)
    assert list(style) == sorted(style, key=names.index)
    step = {layer.name: layer.step for layer in layers(get_network(name))}
    steps = [step[layer] for layer in style]
    assert steps == sorted(steps)


# -- ways through the table ----------------------------------------------------------------------------------

FORK = (
    rows.Conv("a", 4),
    rows.Concat(
        "fork", ((rows.ReLU("b"),), (rows.Conv("c", 2), rows.ReLU("d")), (rows.MaxPool("e", 3, 1, 1),))
    ),
    rows.ReLU("f"),
)


def test_the_steps_say_who_reads_what():
    found = {step.row.name: step.inputs for step in rows.steps(FORK)}
    assert found == {"a": (0,), "b": (1,), "c": (1,), "d": (3,), "e": (1,), "fork": (2, 4, 5), "f": (6,)}
    assert list(found) == ["a", "b", "c", "d", "e", "fork", "f"]


def test_a_table_is_cut_behind_a_layer_of_a_branch():
    assert [row.name for row in rows.upto(FORK, "d")] == ["a", "c", "d"]
    assert [row.name for row in rows.upto(FORK, "e")] == ["a", "e"]
    assert rows.upto(FORK, "fork") == FORK[:2]
    assert rows.upto(FORK, "g") is None


def test_of_several_layers_the_branches_stay_whole():
    assert rows.covering(FORK, {"b", "a"}) == FORK[:2]
    assert rows.covering(FORK, {"f"}) == FORK
    assert rows.covering(FORK, {"a"}) == FORK[:1]
    assert rows.covering(FORK, set()) == ()
    with pytest.raises(UsageError, match="layer of googlenet: 'inception3a/2x2' is unknown, did you mean"):
        get_network("googlenet").covering(["relu1", "inception3a/2x2"])


def test_a_network_up_to_a_layer_of_a_branch_gives_that_layer():
    whole = nn.load_network("squeezenet", "random", dtype="float64")
    x = np.random.default_rng(0).uniform(0, 255, (1, 40, 41, 3))
    whole.forward(x)
    for name in ("fire3/relu_expand3x3", "fire3/expand1x1", "fire3"):
        cut = nn.load_network("squeezenet", "random", upto=name, dtype="float64")
        assert cut.names[-1] == name
        np.testing.assert_array_equal(cut.forward(x), whole[name].output)


# -- losses inside -------------------------------------------------------------------------------------------

INSIDE = {
    "content_layers": "inception3a/relu_3x3",
    "style_layers": "relu2,inception3a/1x1,inception3a/pool:2,inception3a",
}
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 44, 40, 3), dtype=np.uint8)


def inside(**options):
    return Objective(
        PICTURES[0], [PICTURES[1]], network="googlenet-caffe", weights="random", size=44, **INSIDE, **options
    )


def test_losses_stand_in_branches_and_their_gradient_is_right():
    ours = inside(dtype="float64", plain=True)
    x = np.random.default_rng(1).uniform(0, 255, ours.shape)
    loss, _ = ours(x)
    assert list(ours.losses) == [
        "style/relu2",
        "style/inception3a/1x1",
        "content/inception3a/relu_3x3",
        "style/inception3a/pool",
        "style/inception3a",
    ]
    assert all(value > 0 for value in ours.losses.values())
    assert loss == pytest.approx(sum(ours.losses.values()))
    report = gradcheck(ours.network, x)
    assert report.passed, str(report)


def test_the_fused_network_with_losses_in_branches_is_the_plain_one():
    plain, fused = (inside(plain=plain, dtype="float64") for plain in (True, False))
    x = np.random.default_rng(2).uniform(0, 255, plain.shape)
    for _ in range(2):
        (loss, dx), (other_loss, other_dx) = plain(x), fused(x)
        assert other_loss == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(other_dx, dx, rtol=1e-9, atol=1e-12 * np.abs(dx).max())
        assert fused.losses == pytest.approx(plain.losses)
        x = x + 1


def test_capturing_leaves_the_branches_as_they_were():
    ours = inside()
    kinds = [type(module).__name__ for module in ours.network.walk()]
    assert "Capture" not in kinds
    assert kinds.count("StyleLoss") == 4
    assert kinds.count("ContentLoss") == 1


def test_what_is_inserted_into_a_part_is_not_in_the_whole():
    network = nn.load_network("squeezenet", "random")
    part = network.upto("fire2/expand3x3")
    part.insert_after("fire2/expand1x1", nn.ReLU())
    assert part.names[-1] == "fire2"
    assert len(list(part.walk())) == len(list(network.upto("fire2").walk())) + 1
    assert part["fire2/expand1x1"] is network["fire2/expand1x1"]
    with pytest.raises(UsageError, match="layer: 'fire2/expand2x2' is unknown, did you mean"):
        network.insert_after("fire2/expand2x2", nn.ReLU())


@pytest.mark.parametrize("algorithm", ["auto", "matmul"])
def test_algorithms_are_told_for_layers_in_branches(algorithm):
    network = nn.load_network("googlenet", "random", upto="inception3a")
    for module in network.walk():
        if isinstance(module, nn.Conv2d):
            module.algorithm = algorithm
    x = np.zeros((1, 64, 64, 3), "float32")
    told = network.algorithms(x.shape, "float32")
    fused = nn.fuse(network)
    assert fused.algorithms(x.shape, "float32") == told
    network.forward(x)
    assert told == {m.name: m.chosen for m in network.walk() if isinstance(m, nn.Conv2d)}
    assert len(told) == 9
