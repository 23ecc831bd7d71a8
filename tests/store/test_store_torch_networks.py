"""State dicts that PyTorch saves of its own modules: what we load computes the same, layer by layer."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="comparison with PyTorch: pip install torch==2.13.0")

from kernel_checks import relative_error  # noqa: E402
from torch_architectures import AlexNet, GoogLeNet, SqueezeNet, VGGNet, enliven  # noqa: E402

from nst_manual import nn, store  # noqa: E402
from nst_manual.nets import Network, get_network, rows  # noqa: E402

# What torchvision's GoogLeNet subtracts and divides by, and what all its other networks do; of RGB in 0..1.
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NARROW = {"width": 24, "classes": 10}

# Our name of each module of PyTorch's trunk, in order; "-" is a convolution with batch normalisation behind.
TRUNKS = {
    "alexnet": "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5",
    "vgg11": "conv1_1 relu1_1 pool1 conv2_1 relu2_1 pool2 conv3_1 relu3_1 conv3_2 relu3_2 pool3 "
    "conv4_1 relu4_1 conv4_2 relu4_2 pool4 conv5_1 relu5_1 conv5_2 relu5_2 pool5",
    "vgg11_bn": "- conv1_1 relu1_1 pool1 - conv2_1 relu2_1 pool2 - conv3_1 relu3_1 - conv3_2 relu3_2 pool3 "
    "- conv4_1 relu4_1 - conv4_2 relu4_2 pool4 - conv5_1 relu5_1 - conv5_2 relu5_2 pool5",
    "vgg16": "conv1_1 relu1_1 conv1_2 relu1_2 pool1 conv2_1 relu2_1 conv2_2 relu2_2 pool2 "
    "conv3_1 relu3_1 conv3_2 relu3_2 conv3_3 relu3_3 pool3 conv4_1 relu4_1 conv4_2 relu4_2 conv4_3 relu4_3 "
    "pool4 conv5_1 relu5_1 conv5_2 relu5_2 conv5_3 relu5_3 pool5",
    "squeezenet": "conv1 relu1 pool1 fire2 fire3 pool3 fire4 fire5 pool5 fire6 fire7 fire8 fire9",
    "googlenet": "relu1 pool1 relu2_reduce relu2 pool2 inception3a inception3b pool3 "
    "inception4a inception4b inception4c inception4d inception4e pool4 inception5a inception5b",
}
MODULES = {
    "alexnet": lambda: AlexNet(**NARROW),
    "vgg11": lambda: VGGNet(11, **NARROW),
    "vgg11_bn": lambda: VGGNet(11, batch_norm=True, **NARROW),
    "vgg16": lambda: VGGNet(16, **NARROW),
    "squeezenet": SqueezeNet,
    "googlenet": GoogLeNet,
}
FORMS = ("zip", "legacy")


@pytest.fixture(scope="module", params=TRUNKS)
def saved(request, tmp_path_factory):
    """Return the name, PyTorch's module and the files of both forms."""
    module = enliven(MODULES[request.param]())
    return request.param, module, save(module, tmp_path_factory.mktemp(request.param))


def save(module, folder):
    """Write a module's state dict in both forms; return form -> path."""
    files = {form: folder / f"{form}.pth" for form in FORMS}
    for form, path in files.items():
        torch.save(module.state_dict(), path, _use_new_zipfile_serialization=form == "zip")
    return files


def ours(name):
    return name.removesuffix("_bn")


def preprocessed(name, x):
    """Return images (N, H, W, 3) of 0..255 as torchvision's documentation has them prepared."""
    mean, std = (torch.tensor(v, dtype=x.dtype) for v in (HALF if name == "googlenet" else IMAGENET))
    return ((x / 255 - mean) / std).permute(0, 3, 1, 2)


def image(name, dtype, seed=0):
    side = 95 if name == "alexnet" else 64
    return np.random.default_rng(seed).uniform(0, 255, (1, side, side, 3)).astype(dtype)


def error(found, expected):
    """Return the relative error of our array against PyTorch's tensor."""
    expected = expected.detach().numpy()
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
    assert found.shape == expected.shape and found.dtype == expected.dtype
    return relative_error(found, expected)


def gradients(name, module, network, dtype, seed):
    """Return the gradient of <last layer of the trunk, dy> to the image: ours, and PyTorch's."""
    x = image(name, dtype, seed)
    leaf = torch.tensor(x, requires_grad=True)
    y = module.features(preprocessed(name, leaf))
    dy = np.random.default_rng(seed + 100).standard_normal(network.forward(x).shape).astype(dtype)
    y.backward(torch.tensor(dy).permute(0, 3, 1, 2))
    return network.backward(x, dy), leaf.grad.permute(0, 3, 1, 2)


def test_every_layer_computes_what_pytorch_does(saved):
    name, module, files = saved
    network = nn.load_network(ours(name), files["zip"])
    x = image(name, "float32")
    network.forward(x)
    y = preprocessed(name, torch.tensor(x))
    trunk = list(module.features)
    assert len(trunk) == len(TRUNKS[name].split())
    with torch.no_grad():
        for layer, part in zip(TRUNKS[name].split(), trunk, strict=True):
            y = part(y)
            if layer != "-":
                assert y.count_nonzero() > y.numel() / 10, layer
                assert error(network[layer].output, y) < 1e-5, layer
    assert layer == network.names[-1]


def test_the_image_gradient_is_that_of_pytorch_in_double_precision(saved):
    name, module, files = saved
    network = nn.load_network(ours(name), files["zip"], dtype="float64")
    double = MODULES[name]().double().eval()
    double.load_state_dict(module.state_dict())
    assert error(*gradients(name, double, network, "float64", 0)) < 1e-10


def test_the_image_gradient_is_that_of_pytorch_in_single_precision(saved):
    """At the best of five images.

    A value right beside zero may pass a ReLU in one and not in the other, and of two nearly equal ones either
    may be the maximum: the two gradients then take different paths, and differ by 1e-3 or so. Not one of the
    million values of an image need lie so near; where none does, the gradients agree.
    """
    name, module, files = saved
    network = nn.load_network(ours(name), files["zip"])
    errors = []
    for seed in range(5):
        errors.append(error(*gradients(name, module, network, "float32", seed)))
        if errors[-1] < 1e-5:
            break
    assert min(errors) < 1e-5, errors


def test_both_forms_hold_the_same(saved):
    name, _, files = saved
    networks = [nn.load_network(ours(name), files[form]) for form in FORMS]
    assert files["zip"].read_bytes()[:2] == b"PK" != files["legacy"].read_bytes()[:2]
    for one, other in zip(*(list(network.walk()) for network in networks), strict=True):
        for (_, x, _), (_, y, _) in zip(one.parameters(), other.parameters(), strict=True):
            np.testing.assert_array_equal(x, y)


def test_a_file_is_known_by_its_layers(saved):
    name, module, files = saved
    report = store.check_weights(files["zip"])
    assert report["network"] == ours(name) and report["finite"] and report["format"] == "PyTorch (zip)"
    assert report["preprocessing"]["order"] == "RGB"
    weighted = [part for part in module.modules() if isinstance(part, (torch.nn.Conv2d, torch.nn.Linear))]
    assert len(report["layers"]) == len(weighted)


@pytest.mark.parametrize("name", ["squeezenet", "googlenet"])
def test_a_classifier_that_fits_every_size_computes_what_pytorch_does(tmp_path, name):
    module = enliven(MODULES[name](), seed=1)
    last = {"squeezenet": "flatten", "googlenet": "fc"}[name]
    x = np.random.default_rng(1).uniform(0, 255, (1, 224, 224, 3)).astype("float32")
    network = nn.load_network(name, save(module, tmp_path)["zip"], top=True)
    network.forward(x)
    with torch.no_grad():
        y = module(preprocessed(name, torch.tensor(x)))
        assert error(network[last].output, y) < 1e-5
        # powers of e, whose exponents are some tens here: what rounding they have grows so much
        assert error(network["softmax"].output, y.softmax(1)) < 1e-3


def narrowed(name):
    """Return our network with a classifier as narrow as `NARROW`."""
    table = get_network(name)
    widths = {"fc6": NARROW["width"], "fc7": NARROW["width"], "fc8": NARROW["classes"]}
    top = [rows.Linear(row.name, widths[row.name]) if row.name in widths else row for row in table.top]
    return Network(table.name, table.rows, tuple(top), table.input_size)


@pytest.mark.parametrize("name", ["alexnet", "vgg11"])
def test_matrices_behind_what_pytorch_flattens_otherwise(tmp_path, name):
    """PyTorch flattens (C, H, W), we (H, W, C): the rows of fc6 change places, the outputs stay."""
    module = enliven(MODULES[name](), seed=2)
    network = nn.load_network(narrowed(name), save(module, tmp_path)["legacy"], top=True)
    x = np.random.default_rng(2).uniform(0, 255, (1, 224, 224, 3)).astype("float32")
    network.forward(x)
    with torch.no_grad():
        y = torch.flatten(module.features(preprocessed(name, torch.tensor(x))), 1)
        linear = {"alexnet": (1, 4, 6), "vgg11": (0, 3, 6)}[name]
        for index, part in enumerate(module.classifier):
            y = part(y)
            if index in linear:
                assert error(network[f"fc{6 + linear.index(index)}"].output, y) < 1e-5
    # the test is worth something: in PyTorch's own order the rows give another result
    flat = network["flatten"].output
    wrong = flat @ module.classifier[linear[0]].weight.detach().numpy().T
    right = network["fc6"].output - module.classifier[linear[0]].bias.detach().numpy()
    assert np.abs(wrong - right).max() > 0.1 * np.abs(right).max()


def test_a_network_wrapped_for_training_and_compiling_is_the_same(tmp_path):
    module = enliven(SqueezeNet(), seed=3)
    wrapped = {f"_orig_mod.module.{name}": tensor for name, tensor in module.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "x.pth")
    network = nn.load_network("squeezenet", tmp_path / "x.pth")
    kernel = module.features[9].expand3x3.weight.detach().numpy()
    np.testing.assert_array_equal(network["fire6/expand3x3"].weight, kernel.transpose(2, 3, 1, 0))
