"""Networks with poolings that keep the size of features, and with a first border of repeated pixels."""

import tracemalloc

import numpy as np
import pytest
from drawn_networks import answer, assert_same
from kernel_checks import assert_close, draw
from smooth_pictures import smooth_picture

from nst_manual import nn
from nst_manual.errors import UsageError
from nst_manual.kernels import avg_pool, l2_pool, replication_pad
from nst_manual.losses import StyleLoss
from nst_manual.nets import get_network, rows
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.nn.build import POOLINGS
from nst_manual.store import load_weights

every_pooling = pytest.mark.parametrize("pooling", ["scaled-average", "scaled-l2"])
X = 128 + 50 * draw(0, (1, 37, 30, 3))


def network(name="vgg11", pooling="scaled-l2", padding="replicate", dtype="float64", **options):
    """Return a network of random weights."""
    return nn.load_network(name, "random", dtype=dtype, pooling=pooling, padding=padding, **options)


# -- modules -------------------------------------------------------------------------------------------------


def test_modules_are_their_kernels():
    x, geometry = draw(0, (2, 8, 9, 3)), ((3, 2), (2, 3), (1, 0))
    module = nn.L2Pool2d(*geometry, True)
    y = l2_pool.forward(x, *geometry, True)
    dy = draw(1, y.shape)
    np.testing.assert_array_equal(module.forward(x), y)
    np.testing.assert_array_equal(module.backward(x, dy), l2_pool.input_gradient(x, y, dy, *geometry))
    module = nn.ReplicationPad2d((1, 2))
    y = replication_pad.forward(x, (1, 2))
    assert module.output_shape(x.shape) == y.shape == (2, 10, 13, 3)
    dy = draw(1, y.shape)
    np.testing.assert_array_equal(module.forward(x), y)
    np.testing.assert_array_equal(module.backward(x, dy), replication_pad.input_gradient(dy, (1, 2)))


def test_the_scale_multiplies_output_and_gradient():
    x, geometry = draw(0, (2, 7, 9, 3)), ((3, 3), (2, 2), (1, 1))
    for kind in (nn.AvgPool2d, nn.L2Pool2d):
        whole, scaled = kind(*geometry, True), kind(*geometry, True, scale=0.3)
        y = whole.forward(x)
        dy = draw(1, y.shape)
        assert_close(scaled.forward(x), 0.3 * y, 1e-15)
        assert_close(scaled.backward(x, dy), 0.3 * whole.backward(x, dy), 1e-15)
    y = avg_pool.forward(x, (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(nn.AvgPool2d(2, scale=2).forward(x), 2 * y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "make",
    [lambda: nn.AvgPool2d(2, scale=2), lambda: nn.L2Pool2d(2, scale=0.78), lambda: nn.ReplicationPad2d(1)],
)
def test_the_type_stays(make, dtype):
    x = draw(0, (1, 6, 6, 3)).astype(dtype)
    module = make()
    y = module.forward(x)
    assert y.dtype == module.backward(x, y).dtype == dtype
    assert np.linalg.norm(y - make().forward(x.astype(float))) <= 1e-6 * np.linalg.norm(y)


# -- poolings of a network -----------------------------------------------------------------------------------


@every_pooling
def test_the_windows_are_those_of_the_table(pooling):
    kind, scale = {"scaled-average": (nn.AvgPool2d, 2), "scaled-l2": (nn.L2Pool2d, 0.78)}[pooling]
    for name in ("vgg19", "googlenet", "squeezenet"):
        for step in rows.steps(get_network(name).rows):
            if isinstance(row := step.row, rows.MaxPool):
                own, other = POOLINGS[pooling](row), POOLINGS["max"](row)
                assert type(own) is kind
                assert own.scale == scale
                for setting in ("kernel_size", "stride", "padding", "ceil_mode"):
                    assert getattr(own, setting) == getattr(other, setting), row
    found = network("googlenet", pooling, upto="inception3a")
    assert type(found["inception3a/pool"]) is kind
    assert found.output_shape(X.shape) == network("googlenet", "max", upto="inception3a").output_shape(
        X.shape
    )


@every_pooling
def test_features_stay_nearer_to_the_size_that_they_have_behind_maxima(pooling):
    picture = smooth_picture(0, 64, 64)[None]

    def size(pooling):
        found = nn.load_network("vgg16", pooling=pooling, upto="pool3")
        return np.linalg.norm(found.forward(picture))

    maxima = size("max")
    assert 0.5 < size(pooling) / maxima < 3
    assert size("average") / maxima < 1 / 3


@every_pooling
@pytest.mark.parametrize("name", ["vgg11", "alexnet", "googlenet-caffe", "squeezenet"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fused_network_is_the_plain_one(name, pooling, dtype):
    x = 128 + 50 * draw(0, (1, 71, 70, 3), dtype=dtype)
    layer = {"vgg11": "pool3", "alexnet": "pool2", "squeezenet": "pool3"}.get(name, "inception3a")
    plain, other = (network(name, pooling, dtype=dtype, upto=layer) for _ in range(2))
    shape = plain.output_shape(x.shape)
    target, dy = draw(1, (shape[3], shape[3]), shape, dtype=dtype)
    plain.append(StyleLoss(target, 30.0))
    other.append(StyleLoss(target, 30.0))
    fused, bound = nn.fuse(other), {"float32": 1e-4, "float64": 1e-11}[dtype]
    expected = answer(plain, x, dy)
    for _ in range(2):  # the second pass finds its buffers
        assert_same(answer(fused, x, dy), expected, bound)
    assert fused.plan is not None
    assert expected[2].any()


def test_the_way_back_of_l2_pooling_makes_no_image_of_its_own():
    x, module = np.ones((1, 256, 256, 16), "float32"), nn.L2Pool2d(2, scale=0.78)
    y = module.update_output(x)
    module.update_grad_input(x, y)
    tracemalloc.start()
    try:
        module.update_output(x)
        module.update_grad_input(x, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.8 * x.nbytes  # arrays of the output's size, a quarter


# -- the border ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "conv", "padding"),
    [
        ("vgg19", "conv1_1", 1),
        ("alexnet", "conv1", 2),
        ("alexnet-caffe", "conv2", 2),
        ("googlenet", "conv1", 3),
        ("squeezenet", "fire2/expand3x3", 1),
    ],
)
def test_the_first_convolution_that_pads_stands_behind_the_border(name, conv, padding):
    zeros, replicate = network(name, "max", "zeros", "float32"), network(name, "max", dtype="float32")
    shape = (1, 95, 107, 3)
    assert replicate.output_shape(shape) == zeros.output_shape(shape)
    assert zeros[conv].padding == replicate["pad"].padding == (padding, padding)
    assert replicate[conv].padding == (0, 0)
    with pytest.raises(UsageError, match="'pad' is unknown"):
        zeros["pad"]
    changed = [
        one.name
        for one, other in zip(convolutions(zeros), convolutions(replicate), strict=True)
        if one.padding != other.padding
    ]
    assert changed == [conv]


def convolutions(network):
    """The convolutions, those in branches too."""
    return [module for module in network.walk() if isinstance(module, nn.Conv2d)]


def test_a_network_that_nothing_pads_has_no_border():
    assert network("alexnet-caffe", "max", upto="relu1").names == ["preprocess", "conv1", "relu1"]


def test_beyond_the_border_features_are_those_of_zeros():
    zeros, replicate = (network(padding=padding, upto="conv1_1") for padding in ("zeros", "replicate"))
    ours, theirs = replicate.forward(X), zeros.forward(X)
    assert_close(ours[:, 1:-1, 1:-1], theirs[:, 1:-1, 1:-1], 1e-13)
    assert np.abs(ours[:, 0] - theirs[:, 0]).max() > 1
    # an image that repeats its edges has the same features at the edges as inside
    flat = replicate.forward(np.full((1, 8, 8, 3), 200.0))
    assert_close(flat, np.broadcast_to(flat[:, 4:5, 4:5], flat.shape), 1e-13)


@pytest.mark.parametrize("algorithm", ["matmul", "winograd", "direct"])
def test_the_algorithm_asked_for_stands_behind_the_border_too(algorithm):
    table = get_network("vgg11").upto("relu1_1")
    weights = load_weights("random", table, parameter_shapes(table), 0, "float64")
    found = nn.build(table, weights, padding="replicate", algorithm=algorithm)
    y = found.forward(X)
    assert found["conv1_1"].chosen == algorithm
    assert_close(y, network(upto="relu1_1").forward(X), 1e-12)


def test_an_unknown_padding_suggests_the_nearest():
    with pytest.raises(UsageError, match="padding: 'replication' is unknown, did you mean 'replicate'"):
        network(padding="replication")
    with pytest.raises(UsageError, match="pooling: 'scaled-l1' is unknown, did you mean 'scaled-l2'"):
        network(pooling="scaled-l1")


# -- PyTorch -------------------------------------------------------------------------------------------------


@every_pooling
def test_a_network_is_that_of_pytorch_output_and_image_gradient(pooling):
    torch = pytest.importorskip("torch")
    from torch_compare import from_torch, kernel_to_torch, reorder, to_torch

    ours = network("vgg11", pooling, upto="pool3")
    functional, leaf = torch.nn.functional, to_torch(X)
    x = preprocessed(ours, leaf, torch)
    for module in list(ours)[1:]:
        match type(module).__name__:
            case "Conv2d":
                mode = "replicate" if module.name == "conv1_1" else "constant"
                x = functional.pad(x, (1, 1, 1, 1), mode=mode)
                x = functional.conv2d(x, kernel_to_torch(module.weight), torch.tensor(module.bias))
            case "ReLU":
                x = functional.relu(x)
            case "AvgPool2d":
                x = functional.avg_pool2d(x, 2) * 2
            case "L2Pool2d":
                x = functional.lp_pool2d(x, 2, 2) * 0.78
    y = ours.forward(X)
    assert_close(y, from_torch(x), 1e-12)
    dy = draw(1, y.shape)
    x.backward(torch.tensor(reorder(dy)))
    assert_close(ours.backward(X, dy), from_torch(leaf.grad), 1e-12)


def preprocessed(network, leaf, torch):
    """The first module as PyTorch computes it."""
    settings = network["preprocess"].settings
    turned = leaf if settings.order == "RGB" else leaf.flip(1)
    mean, std = (
        torch.tensor(v, dtype=torch.double).reshape(1, 3, 1, 1) for v in (settings.mean, settings.std)
    )
    return (turned * settings.scale - mean) / std
