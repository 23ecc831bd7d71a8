"""From the names in a file to the layers of a network, for every manner of naming and every network.

The names stand here as they are in the published files; nothing of them is computed by the package. Archives
are made in memory, and matrices that nobody reads take none of it.
"""

import numpy as np
import pytest
from store_files import SMALL, random_arrays

from nst_manual import store
from nst_manual.errors import WeightsError
from nst_manual.nets import NETWORKS, Network, get_network, rows
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.store.archive import Archive, Node, Tensor
from nst_manual.store.layouts import described, find_sources, identify

# -- the names -----------------------------------------------------------------------------------------------

VGG = {
    "vgg11": "1_1 2_1 3_1 3_2 4_1 4_2 5_1 5_2",
    "vgg13": "1_1 1_2 2_1 2_2 3_1 3_2 4_1 4_2 5_1 5_2",
    "vgg16c": "1_1 1_2 2_1 2_2 3_1 3_2 3_3 4_1 4_2 4_3 5_1 5_2 5_3",
    "vgg16": "1_1 1_2 2_1 2_2 3_1 3_2 3_3 4_1 4_2 4_3 5_1 5_2 5_3",
    "vgg19": "1_1 1_2 2_1 2_2 3_1 3_2 3_3 3_4 4_1 4_2 4_3 4_4 5_1 5_2 5_3 5_4",
}
FEATURES = {
    "vgg11": (0, 3, 6, 8, 11, 13, 16, 18),
    "vgg13": (0, 2, 5, 7, 10, 12, 15, 17, 20, 22),
    "vgg16c": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
}
FEATURES_BN = {
    "vgg11": (0, 4, 8, 11, 15, 18, 22, 25),
    "vgg13": (0, 3, 7, 10, 14, 17, 21, 24, 28, 31),
    "vgg16": (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40),
    "vgg19": (0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49),
}
FIRES = ("squeeze1x1", "expand1x1", "expand3x3")
INCEPTIONS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
BRANCHES = {
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
}
FULLY = ["fc6", "fc7", "fc8"]
OURS = {
    **{network: [f"conv{layer}" for layer in layers.split()] + FULLY for network, layers in VGG.items()},
    "alexnet": ["conv1", "conv2", "conv3", "conv4", "conv5", *FULLY],
    "alexnet-caffe": ["conv1", "conv2", "conv3", "conv4", "conv5", *FULLY],
    "squeezenet": ["conv1", *(f"fire{i}/{part}" for i in range(2, 10) for part in FIRES), "conv10"],
    "googlenet": ["conv1", "conv2_reduce", "conv2"]
    + [f"inception{block}/{part}" for block in INCEPTIONS for part in BRANCHES]
    + ["fc"],
}
OURS["googlenet-caffe"] = OURS["googlenet"]
CAFFE = OURS | {
    "googlenet-caffe": ["conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3"]
    + [f"inception_{block}/{part}" for block in INCEPTIONS for part in BRANCHES]
    + ["loss3/classifier"],
}
CAFFE["googlenet"] = CAFFE["googlenet-caffe"]
CLASSIFIER = ["classifier.0", "classifier.3", "classifier.6"]
TORCHVISION = {
    **{network: [f"features.{i}" for i in places] + CLASSIFIER for network, places in FEATURES.items()},
    "alexnet": [f"features.{i}" for i in (0, 3, 6, 8, 10)] + [f"classifier.{i}" for i in (1, 4, 6)],
    "squeezenet": ["features.0"]
    + [
        f"features.{i}.{part}"
        for i in (3, 4, 6, 7, 9, 10, 11, 12)
        for part in ("squeeze", "expand1x1", "expand3x3")
    ]
    + ["classifier.1"],
    "googlenet": ["conv1.conv", "conv2.conv", "conv3.conv"]
    + [f"inception{block}.{branch}.conv" for block in INCEPTIONS for branch in BRANCHES.values()]
    + ["fc"],
}
GLUON = {
    network: [f"net0_conv{i}" for i in range(convolutions)] + [f"net0_dense{i}" for i in range(matrices)]
    for network, convolutions, matrices in (
        ("vgg11", 8, 3),
        ("vgg13", 10, 3),
        ("vgg16c", 13, 3),
        ("vgg16", 13, 3),
        ("vgg19", 16, 3),
        ("alexnet", 5, 3),
        ("alexnet-caffe", 5, 3),
        ("squeezenet", 26, 0),
        ("googlenet", 57, 1),
        ("googlenet-caffe", 57, 1),
    )
}
MANNERS = {"our own": OURS, "Caffe's": CAFFE, "torchvision's": TORCHVISION, "Gluon's": GLUON}
CASES = [(manner, network) for manner, names in MANNERS.items() for network in names]
every_case = pytest.mark.parametrize("manner, network", CASES, ids=lambda word: word.replace(" ", "-"))

# What is expected of the input by files that do not say it: order, mean, scale, std.
BGR = {"alexnet": (104.007, 116.669, 122.679), "googlenet": (104.0, 117.0, 123.0)}
IMAGENET = store.Preprocessing("RGB", (0.485, 0.456, 0.406), 1 / 255, (0.229, 0.224, 0.225))


def input_of(manner, network):
    family = network.removesuffix("-caffe").replace("squeezenet", "alexnet")
    if manner in ("our own", "Caffe's"):
        return store.Preprocessing("BGR", BGR.get(family, (103.939, 116.779, 123.68)))
    if manner == "torchvision's" and family == "googlenet":
        return store.Preprocessing("RGB", (0.5, 0.5, 0.5), 1 / 255, (0.5, 0.5, 0.5))
    return IMAGENET


# -- archives ------------------------------------------------------------------------------------------------


def lazy(shape, dtype="f4"):
    """A tensor of zeros that takes no memory."""
    return Tensor(shape, np.dtype(dtype), lambda: np.broadcast_to(np.zeros((), dtype), shape))


def given(array, dtype="f4"):
    array = np.asarray(array, dtype)
    return Tensor(array.shape, array.dtype, lambda: array)


def archive(tensors, axes="OIHW", **more):
    return Archive("made", tensors, axes=axes, **more)


def stored(shape, axes):
    """Our shape of a kernel or matrix as a file with such axes has it."""
    if axes == "HWIO":
        return shape
    return (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else (shape[1], shape[0])


def norm(place, channels, make=lazy):
    """The four tensors of a batch normalisation, and the counter that PyTorch keeps beside them."""
    parts = {
        f"{place}.{part}": make((channels,)) for part in ("weight", "bias", "running_mean", "running_var")
    }
    return parts | {f"{place}.num_batches_tracked": lazy((), "i8")}


def tensors_of(manner, network, axes="OIHW", top=True):
    """All tensors of a file of that manner."""
    table = NETWORKS[network] if top else NETWORKS[network].without_top()
    found = {}
    for place, (kernel, bias) in zip(
        MANNERS[manner][network], parameter_shapes(table).values(), strict=False
    ):
        weight, shift = ("_weight", "_bias") if manner == "Gluon's" else (".weight", ".bias")
        found[place + weight] = lazy(stored(kernel, axes))
        if place.endswith(".conv"):
            found |= norm(place.removesuffix("conv") + "bn", bias[0])
        else:
            found[place + shift] = lazy(bias)
    return found


# -- all networks, all manners -------------------------------------------------------------------------------


def test_the_tables_here_have_the_layers_of_the_networks():
    for network, table in NETWORKS.items():
        assert OURS[network] == list(parameter_shapes(table)), network
        for names in MANNERS.values():
            assert network not in names or len(names[network]) == len(OURS[network])


@every_case
def test_every_layer_is_found_and_the_network_recognised(manner, network):
    for axes in ("OIHW", "HWIO"):
        made = archive(tensors_of(manner, network, axes), axes)
        shapes = parameter_shapes(NETWORKS[network])
        found = find_sources("x", made, network, shapes)
        ending = "_weight" if manner == "Gluon's" else ".weight"
        places = {layer: source.weight for layer, source in found.sources.items()}
        expected = [place + ending for place in MANNERS[manner][network]]
        assert places == dict(zip(OURS[network], expected, strict=True))
        assert found.warnings == () and {layer: found.shape(layer) for layer in shapes} == {
            layer: kernel for layer, (kernel, _) in shapes.items()
        }
        assert identify(made) == [network]
        assert found.preprocessing == input_of(manner, network)
        # names that are ours and Caffe's alike count as ours
        same = MANNERS[manner][network] == OURS[network]
        assert found.words == f"its layers are named in {'our own' if same else manner} manner"


@every_case
def test_a_file_without_classifier_has_all_but_that(manner, network):
    made = archive(tensors_of(manner, network, top=False))
    shapes = parameter_shapes(NETWORKS[network].without_top())
    assert list(find_sources("x", made, network, shapes).sources) == list(shapes)
    assert identify(made) == [network]
    whole = parameter_shapes(NETWORKS[network])
    (missing, *_) = [layer for layer in whole if layer not in shapes]
    with pytest.raises(WeightsError, match=f"x: has no {missing}.* which {network} needs"):
        find_sources("x", made, network, whole)


@pytest.mark.parametrize(
    "manner, network", [case for case in CASES if case[0] in ("our own", "torchvision's")]
)
def test_no_network_takes_the_file_of_another(manner, network):
    made = archive(tensors_of(manner, network))
    for other in NETWORKS.keys() - {network}:
        shapes = parameter_shapes(NETWORKS[other].without_top())
        with pytest.raises(WeightsError, match=f"its layers are those of {network}, expected {other}"):
            find_sources("x", made, other, shapes)


@every_case
def test_each_layer_that_is_left_out_is_missed_by_name(manner, network):
    tensors = tensors_of(manner, network, top=False)
    shapes = parameter_shapes(NETWORKS[network].without_top())
    layers = list(shapes)
    for index in {0, 1, len(layers) // 2, len(layers) - 1}:
        start = MANNERS[manner][network][index]
        ending = "_weight" if manner == "Gluon's" else ".weight"
        less = {name: tensor for name, tensor in tensors.items() if name != start + ending}
        with pytest.raises(WeightsError, match=f"has no {layers[index]}, which {network} needs"):
            find_sources("x", archive(less), network, shapes)


@pytest.mark.parametrize(
    "endings", [(".weight", ".bias"), ("/weight", "/bias"), ("_w_0", "_b_0"), ("_weight", "_bias")]
)
def test_every_spelling_of_one_name_a_layer(endings):
    arrays = random_arrays(SMALL)
    tensors = {
        layer + ending: given(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array)
        for layer, pair in arrays.items()
        for ending, array in zip(endings, pair, strict=True)
    }
    found = find_sources("x", archive(tensors), "vgg16", SMALL)
    for layer, pair in arrays.items():
        for ours, theirs in zip(found.read(layer, np.dtype("f4")), pair, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_matrices_of_johnsons_files_stand_one_place_further():
    tensors = tensors_of("torchvision's", "vgg19")
    for old, new in (("classifier.0", "classifier.1"), ("classifier.3", "classifier.4")):
        for part in (".weight", ".bias"):
            tensors[new + part] = tensors.pop(old + part)
    found = find_sources("x", archive(tensors), "vgg19", parameter_shapes(NETWORKS["vgg19"]))
    places = [found.sources[layer].weight for layer in FULLY]
    assert places == ["classifier.1.weight", "classifier.4.weight", "classifier.6.weight"]


def test_names_that_nobody_knows_are_shown():
    tensors = {f"layer{i}.weight": lazy((4, 3, 3, 3)) for i in range(5)}
    with pytest.raises(WeightsError, match="it has layer0.weight, layer1.weight, layer2.weight and 2 more"):
        find_sources("x", archive(tensors), "vgg16", SMALL)
    assert identify(archive(tensors)) == []
    assert list(described("x", archive(tensors)).sources) == [f"layer{i}" for i in range(5)]
    with pytest.raises(WeightsError, match="no tensors"):
        find_sources("x", archive({}), "vgg16", SMALL)


# -- kernels and matrices ------------------------------------------------------------------------------------


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("f4")


def both(prefix, weight, bias=None):
    """A layer's two tensors; without a bias, zeros."""
    out = weight.shape[0]
    return {
        f"{prefix}.weight": given(weight),
        f"{prefix}.bias": given(np.zeros(out) if bias is None else bias),
    }


def read_one(made, layer, kernel, network="vgg16", dtype="f4"):
    found = find_sources("x", made, network, {layer: (kernel, kernel[-1:])})
    return found.read(layer, np.dtype(dtype))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_kernels_are_turned(dtype):
    theirs, bias = draw(5, 4, 3, 2), draw(5, seed=1)
    tensors = both("conv1_2", theirs, bias)
    kernel, shift = read_one(archive(tensors), "conv1_2", (3, 2, 4, 5), dtype=dtype)
    assert kernel.dtype == shift.dtype == np.dtype(dtype) and kernel.flags.c_contiguous
    for (out, channel, i, j), value in np.ndenumerate(theirs):
        assert kernel[i, j, channel, out] == value
    np.testing.assert_array_equal(shift, bias)
    ours = draw(3, 2, 4, 5)
    tensors = {"conv1_2.weight": given(ours), "conv1_2.bias": given(bias)}
    np.testing.assert_array_equal(
        read_one(archive(tensors, "HWIO"), "conv1_2", (3, 2, 4, 5), dtype=dtype)[0], ours
    )


def test_kernels_of_groups_are_turned():
    theirs = draw(6, 2, 5, 5)  # three groups of two channels in and two out
    kernel, _ = read_one(archive(both("conv2", theirs)), "conv2", (5, 5, 2, 6), "alexnet-caffe")
    np.testing.assert_array_equal(kernel, theirs.transpose(2, 3, 1, 0))


@pytest.mark.parametrize(
    "network, layer, name, height, width, channels",
    [
        ("vgg16", "fc6", "classifier.0", 7, 7, 512),
        ("vgg19", "fc6", "fc6", 7, 7, 512),
        ("alexnet", "fc6", "classifier.1", 6, 6, 256),
        ("alexnet-caffe", "fc6", "fc6", 6, 6, 256),
        ("googlenet", "fc", "fc", 1, 1, 1024),
    ],
)
def test_rows_of_the_first_matrix_change_places(network, layer, name, height, width, channels):
    """Row (h W + w) C + c here is column c H W + h W + w there."""
    theirs = draw(3, channels * height * width)
    matrix, _ = read_one(archive(both(name, theirs)), layer, (theirs.shape[1], 3), network)
    assert matrix.shape == theirs.shape[::-1] and matrix.flags.c_contiguous
    for h in range(height):
        for w in range(width):
            start, place = (h * width + w) * channels, h * width + w
            np.testing.assert_array_equal(
                matrix[start : start + channels], theirs[:, place :: height * width].T
            )


def test_rows_of_the_first_matrix_stay_where_channels_are_last():
    ours = draw(9216, 3)
    tensors = {"fc6.weight": given(ours), "fc6.bias": given(np.zeros(3))}
    np.testing.assert_array_equal(read_one(archive(tensors, "HWIO"), "fc6", (9216, 3), "alexnet")[0], ours)


@pytest.mark.parametrize("layer", ["fc7", "fc8"])
def test_other_matrices_are_turned_and_no_more(layer):
    theirs = draw(3, 50)
    np.testing.assert_array_equal(read_one(archive(both(layer, theirs)), layer, (50, 3))[0], theirs.T)
    tensors = {f"{layer}.weight": given(theirs), f"{layer}.bias": given(np.zeros(50))}
    np.testing.assert_array_equal(read_one(archive(tensors, "HWIO"), layer, (3, 50))[0], theirs)


def test_rows_change_places_in_a_network_of_ones_own():
    table = (rows.Conv("c", 4), rows.MaxPool("p"))
    mine = Network("mine", table, (rows.Flatten("flatten"), rows.Linear("m", 3), rows.Linear("n", 2)), 8)
    m, n = draw(3, 4 * 4 * 4), draw(2, 3, seed=1)
    tensors = both("c", draw(4, 3, 3, 3)) | both("m", m) | both("n", n)
    found = find_sources("x", archive(tensors), mine, parameter_shapes(mine))
    expected = m.reshape(3, 4, 4, 4).transpose(2, 3, 1, 0).reshape(64, 3)
    np.testing.assert_array_equal(found.read("m", np.dtype("f4"))[0], expected)
    np.testing.assert_array_equal(found.read("n", np.dtype("f4"))[0], n.T)


def test_a_matrix_for_another_image_is_refused():
    made = archive(both("fc6", draw(3, 512)))
    with pytest.raises(WeightsError, match=r"fc6 reads 512 values, vgg16 gives \(7, 7, 512\)"):
        read_one(made, "fc6", (512, 3))


def test_kernels_as_large_as_the_image_become_matrices():
    """MatConvNet's fc6 is a convolution of 7x7, its fc7 and fc8 of 1x1."""
    fc6, fc7 = draw(7, 7, 512, 3), draw(1, 1, 3, 5)
    tensors = {"fc6.weight": given(fc6), "fc6.bias": given(np.zeros(3))}
    tensors |= {"fc7.weight": given(fc7), "fc7.bias": given(np.zeros(5))}
    shapes = {"fc6": ((25088, 3), (3,)), "fc7": ((3, 5), (5,))}
    found = find_sources("x", archive(tensors, "HWIO"), "vgg16", shapes)
    matrix, _ = found.read("fc6", np.dtype("f4"))
    assert matrix.shape == (25088, 3)
    for h, w in ((0, 0), (0, 6), (3, 5), (6, 6)):
        np.testing.assert_array_equal(matrix[(7 * h + w) * 512 : (7 * h + w + 1) * 512], fc6[h, w])
    np.testing.assert_array_equal(found.read("fc7", np.dtype("f4"))[0], fc7[0, 0])
    with pytest.raises(WeightsError, match=r"fc6 has a weight of shape \(25088, 3\), expected \(9216, 3\)"):
        read_one(archive(tensors, "HWIO"), "fc6", (9216, 3), "alexnet")


def test_batch_normalisation_behind_something_else_is_not_folded():
    """A ReLU between, or a second normalisation: what the file computes is not what the table does."""
    kernel, norm = draw(4, 3, 3, 3), [draw(4) for _ in range(3)] + [np.abs(draw(4))]
    tensors = {"k": given(kernel), "b": given(draw(4))} | {f"n{i}": given(x) for i, x in enumerate(norm)}
    names = tuple(f"n{i}" for i in range(4))
    conv = Node("Conv", ("k", "b"), "first")
    shapes = {"conv1_1": ((3, 3, 3, 4), (4,)), "conv1_2": ((3, 3, 4, 4), (4,))}
    for nodes in (
        [conv, Node("BatchNorm", names, "norm", behind="relu")],
        [
            conv,
            Node("BatchNorm", names, "norm", behind="first"),
            Node("BatchNorm", names, "again", behind="first"),
        ],
    ):
        made = Archive("made", tensors, nodes=tuple(nodes))
        with pytest.raises(
            WeightsError, match=r"taken in order (norm|again) would be conv1_2, of shape \(4,\)"
        ):
            find_sources("x", made, "vgg16", shapes)


def test_a_normalised_network_without_a_mean_is_refused():
    kernel = draw(4, 3, 3, 3)
    tensors = {"features.0.weight": given(kernel), "features.0.bias": given(draw(4))}
    tensors |= {f"features.1.{part}": given(np.abs(draw(4))) for part in ("weight", "bias", "running_var")}
    with pytest.raises(WeightsError, match="conv1_1.*there is no features.1.running_mean"):
        find_sources("x", Archive("made", tensors), "vgg16", {"conv1_1": ((3, 3, 3, 4), (4,))})


# -- what is wrong with a layer ------------------------------------------------------------------------------


def small_tensors(**changes):
    """The tensors of SMALL in our own manner; a change to None takes one out."""
    found = {}
    for layer, (kernel, bias) in random_arrays(SMALL).items():
        found |= {f"{layer}.weight": given(kernel.transpose(3, 2, 0, 1)), f"{layer}.bias": given(bias)}
    found |= {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"conv1_2__bias": None}, "conv1_2 should have a kernel and a bias; there is no conv1_2.bias"),
        ({"conv1_2__weight": None}, "has no conv1_2, which vgg16 needs"),
        ({"conv1_2__bias": lazy((6,))}, r"conv1_2 has a bias of shape \(6,\), expected \(5,\)"),
        ({"conv1_2__bias": lazy((5, 1))}, r"conv1_2 has a bias of shape \(5, 1\), expected \(5,\)"),
        (
            {"conv1_2__weight": lazy((3, 3, 4, 5))},
            r"conv1_2 has a weight of shape \(4, 5, 3, 3\), expected \(3, 3, 4, 5\)",
        ),
        ({"conv1_2__weight": lazy((5, 36))}, r"shape \(36, 5\), expected \(3, 3, 4, 5\)"),
        ({"conv1_2__weight": lazy((180,))}, r"shape \(180,\), expected \(3, 3, 4, 5\)"),
        ({"conv1_2__weight": lazy((5, 4, 3, 3), "i4")}, "conv1_2.weight holds int32, expected float16"),
        ({"conv1_2__bias": lazy((5,), "u1")}, "conv1_2.bias holds uint8, expected float16"),
    ],
)
def test_a_layer_with_something_wrong_is_refused_before_anything_is_read(changes, match):
    with pytest.raises(WeightsError, match=match):
        find_sources("x", archive(small_tensors(**changes)), "vgg16", SMALL)


def test_a_double_that_single_precision_cannot_hold_is_refused():
    bias = given([0, 0, 1e300, 0, 0], "f8")
    found = find_sources("x", archive(small_tensors(conv1_2__bias=bias)), "vgg16", SMALL)
    assert found.read("conv1_2", np.dtype("f8"))[1][2] == 1e300
    with pytest.raises(WeightsError, match="conv1_2 has 1 of 5 values in its bias that are not finite"):
        found.read("conv1_2", np.dtype("f4"))


# -- batch normalisation -------------------------------------------------------------------------------------


def statistics(channels, seed=0):
    """Scale, shift, mean and variance."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 2, channels), *rng.standard_normal((2, channels)), rng.uniform(0.1, 3, channels)]


def put_norm(place, values):
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{place}.{name}": given(value) for name, value in zip(names, values, strict=True)}


def folded(weight, bias, values, epsilon):
    """Return our kernel and bias of a convolution (out, in, kh, kw) with its normalisation; in float64."""
    scale, shift, mean, variance = (np.asarray(value, "f4").astype(float) for value in values)
    factor = scale / np.sqrt(variance + epsilon)
    kernel = (weight.astype(float) * factor[:, None, None, None]).transpose(2, 3, 1, 0)
    return kernel, (bias.astype(float) - mean) * factor + shift


@pytest.mark.parametrize("network", FEATURES_BN)
def test_vgg_with_batch_normalisation_is_found_at_its_own_places(network):
    shapes = parameter_shapes(NETWORKS[network])
    places = [*(f"features.{i}" for i in FEATURES_BN[network]), *CLASSIFIER]
    tensors = {}
    for place, (kernel, bias) in zip(places, shapes.values(), strict=True):
        tensors |= {f"{place}.weight": lazy(stored(kernel, "OIHW")), f"{place}.bias": lazy(bias)}
        if place.startswith("features"):
            tensors |= norm(f"features.{int(place[9:]) + 1}", bias[0])
    made = archive(tensors)
    found = find_sources("x", made, network, shapes)
    assert [source.weight for source in found.sources.values()] == [f"{place}.weight" for place in places]
    assert identify(made) == [network] and found.preprocessing == IMAGENET
    last = found.sources["conv5_2"]
    index = FEATURES_BN[network][OURS[network].index("conv5_2")]
    assert last.bias == f"features.{index}.bias" and last.epsilon == 1e-5
    assert last.norm == tuple(
        f"features.{index + 1}.{part}" for part in ("weight", "bias", "running_mean", "running_var")
    )
    for part in last.norm:
        less = {name: tensor for name, tensor in tensors.items() if name != part}
        with pytest.raises(WeightsError, match=f"conv5_2 should have .*there is no {part}"):
            find_sources("x", archive(less), network, shapes)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype, bound", [("f8", 1e-15), ("f4", 1e-7)])
def test_batch_normalisation_is_folded(bias, dtype, bound):
    """With the epsilon of torchvision: 1e-5 in VGG, 1e-3 in GoogLeNet, whose convolutions have no bias."""
    weight, values = draw(6, 4, 3, 3), statistics(6)
    values[3][0] = 1e-4  # where epsilon counts
    if bias:
        shift = draw(6, seed=1)
        tensors = both("features.3", weight, shift) | put_norm("features.4", values)
        tensors |= put_norm("features.1", statistics(64))  # by these the manner is known
        layer, network, epsilon = "conv1_2", "vgg16", 1e-5
    else:
        shift = np.zeros(6)
        place = "inception4c.branch2.1"
        tensors = {f"{place}.conv.weight": given(weight)} | put_norm(f"{place}.bn", values)
        layer, network, epsilon = "inception4c/3x3", "googlenet", 1e-3
    found = read_one(archive(tensors), layer, (3, 3, 4, 6), network, dtype)
    for ours, expected in zip(found, folded(weight, shift, values, epsilon), strict=True):
        assert ours.dtype == np.dtype(dtype) and ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=bound, atol=bound)


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_statistics_that_are_not_finite_are_refused(part, value):
    values = statistics(6)
    values[part][2] = value
    tensors = {"conv2.conv.weight": given(draw(6, 4, 1, 1))} | put_norm("conv2.bn", values)
    with pytest.raises(WeightsError, match="conv2_reduce has 1 of 6 values in its batch normalisation"):
        read_one(archive(tensors), "conv2_reduce", (1, 1, 4, 6), "googlenet")


def test_a_negative_variance_is_refused():
    values = statistics(6)
    values[3][5] = -1e-6
    tensors = {"conv2.conv.weight": given(draw(6, 4, 1, 1))} | put_norm("conv2.bn", values)
    with pytest.raises(WeightsError, match="conv2_reduce has a negative variance"):
        read_one(archive(tensors), "conv2_reduce", (1, 1, 4, 6), "googlenet")


def test_statistics_of_another_length_are_refused():
    values = statistics(6)
    values[2] = values[2][:5]
    tensors = {"conv2.conv.weight": given(draw(6, 4, 1, 1))} | put_norm("conv2.bn", values)
    with pytest.raises(
        WeightsError, match=r"conv2_reduce has a batch normalisation of shape \(5,\), expected \(6,\)"
    ):
        read_one(archive(tensors), "conv2_reduce", (1, 1, 4, 6), "googlenet")


# -- graphs without names ------------------------------------------------------------------------------------


def graph(shapes, normalised=(), bias=True):
    """Return tensors of numbers for names, and the nodes that take them; what stands where."""
    tensors, nodes, arrays = {}, [], {}
    for number, (layer, (kernel, shift)) in enumerate(shapes.items()):
        weight = draw(*stored(kernel, "OIHW"), seed=number)
        arrays[layer] = [weight, draw(*shift, seed=50 + number) if bias else np.zeros(shift), None]
        names = [str(len(tensors) + i) for i in range(1 + bias)]
        tensors |= {name: given(array) for name, array in zip(names, arrays[layer][:2], strict=False)}
        nodes.append(Node("Conv" if len(kernel) == 4 else "Linear", tuple(names)))
        if layer in normalised:
            arrays[layer][2] = statistics(*shift, seed=number)
            names = [str(len(tensors) + i) for i in range(4)]
            tensors |= {name: given(array) for name, array in zip(names, arrays[layer][2], strict=True)}
            nodes.append(Node("BatchNorm", tuple(names), epsilon=0.01))
    return tensors, tuple(nodes), arrays


@pytest.mark.parametrize("normalised", [(), ("conv1_2",), tuple(SMALL)])
@pytest.mark.parametrize("bias", [True, False])
def test_operations_without_names_are_taken_in_order(normalised, bias):
    tensors, nodes, arrays = graph(SMALL, normalised, bias)
    found = find_sources("x", archive(tensors, nodes=nodes), "vgg16", SMALL)
    assert found.preprocessing is None and "taken in the order of the file" in found.warnings[0]
    for layer, (weight, shift, values) in arrays.items():
        expected = folded(weight, shift, values, 0.01) if values else (weight.transpose(2, 3, 1, 0), shift)
        for ours, theirs in zip(found.read(layer, np.dtype("f8")), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=1e-14)


def test_operations_whose_shapes_do_not_agree_are_refused():
    tensors, nodes, _ = graph(SMALL | {"conv1_2": ((3, 3, 4, 7), (7,))})
    match = r"Conv number 2 would be conv1_2, of shape \(3, 3, 4, 7\), expected \(3, 3, 4, 5\)"
    with pytest.raises(WeightsError, match=match):
        find_sources("x", archive(tensors, nodes=nodes), "vgg16", SMALL)
    # too few: the first that is missing is named
    tensors, nodes, _ = graph({name: SMALL[name] for name in ("conv1_1", "conv1_2")})
    with pytest.raises(WeightsError, match="has no conv2_1, which vgg16 needs"):
        find_sources("x", archive(tensors, nodes=nodes), "vgg16", SMALL)
    # a normalisation of another convolution's channels
    tensors, nodes, _ = graph(SMALL)
    tensors |= {f"n{i}": given(array) for i, array in enumerate(statistics(5))}
    nodes = (nodes[0], Node("BatchNorm", ("n0", "n1", "n2", "n3")), *nodes[1:])
    with pytest.raises(
        WeightsError, match=r"conv1_1 has a batch normalisation of shape \(5,\), expected \(4,\)"
    ):
        find_sources("x", archive(tensors, nodes=nodes), "vgg16", SMALL)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_recognised_by_its_operations_alone(network):
    tensors, nodes = {}, []
    for kernel, bias in parameter_shapes(NETWORKS[network]).values():
        names = f"w{len(nodes)}", f"b{len(nodes)}"
        tensors |= {names[0]: lazy(stored(kernel, "OIHW")), names[1]: lazy(bias)}
        nodes.append(Node("Conv" if len(kernel) == 4 else "Linear", names))
    made = archive(tensors, nodes=tuple(nodes))
    assert identify(made) == [network]
    found = find_sources("x", made, network, parameter_shapes(NETWORKS[network]))
    assert [source.weight for source in found.sources.values()] == [f"w{i}" for i in range(len(nodes))]
    assert list(described("x", made).sources)[:3] == list(parameter_shapes(NETWORKS[network]))[:3]
    other = {"vgg16": "vgg19", "googlenet": "googlenet-caffe", "alexnet": "alexnet-caffe"}.get(
        network, "vgg16"
    )
    with pytest.raises(WeightsError, match="would be|those of"):
        find_sources("x", made, other, parameter_shapes(get_network(other)))
