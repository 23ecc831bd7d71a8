"""Every preset against its published definition, stated again in PyTorch with autograd, in float64.

What stands here is written from the publications and from what the programs compute, never from the package's
table of presets: its own list of layers, its own Gram matrix, pooling, total variation, preprocessing. Only
the weights are the same. Pictures have odd and different sizes, so that the pooling's rounding and each Gram
matrix's own size show.

Notation: features F are (N, M), N channels of M positions; S = F F^T is a sum, nothing divided.
"""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
from smooth_pictures import random_start, smooth_picture

from nst_manual import Objective
from nst_manual.errors import UsageError
from nst_manual.presets import PRESETS, get_preset
from nst_manual.store import load_weights
from nst_manual.threads import thread_limit

torch = pytest.importorskip("torch", reason="presets restated in PyTorch: pip install torch==2.13.0")
F = torch.nn.functional

VGG16 = Path(__file__).parents[1] / "weights" / "vgg16.h5"
DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
CONTENT, STYLE = smooth_picture(0, 45, 61), smooth_picture(1, 53, 38)
SIZES = {"size": 61, "style_size": 53}  # the longer sides as they are: nothing is resized
START = random_start(2, (1, 45, 61, 3))
MEAN_BGR = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64).reshape(1, 3, 1, 1)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Run products on one thread: for small matrices the fastest, on a busy machine by a factor of twenty."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with thread_limit(1):
        yield
    torch.set_num_threads(threads)


# -- networks ------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def parameters(network, weights):
    """Return "1_1" -> (kernels (out, in, 3, 3), biases) up to the first convolution of the fifth block."""
    names = [f"{b}_{i}" for b, depth in enumerate(DEPTHS[network], 1) for i in range(1, depth + 1)]
    names = names[: names.index("5_1") + 1]
    widths = [3] + [WIDTHS[int(name[0]) - 1] for name in names]
    shapes = {
        f"conv{name}": ((3, 3, c, o), (o,)) for name, c, o in zip(names, widths[:-1], widths[1:], strict=True)
    }
    arrays = load_weights(weights, network, shapes, 0, "float64").arrays
    return {
        name: (
            torch.tensor(arrays[f"conv{name}"][0].transpose(3, 2, 0, 1).copy()),
            torch.tensor(arrays[f"conv{name}"][1]),
        )
        for name in names
    }


def features(y, layers, pool):
    """Return "conv1_1", "relu1_1", ... -> features (N, M) of a preprocessed image y (1, 3, H, W)."""
    found = {}
    for name, (kernels, biases) in layers.items():
        if name.endswith("_1") and name != "1_1":
            y = pool(y)
        y = F.conv2d(y, kernels, biases, padding=1)
        found[f"conv{name}"] = y.reshape(y.shape[1], -1)
        y = y.clamp(min=0)
        found[f"relu{name}"] = y.reshape(y.shape[1], -1)
    return found


def as_tensor(image):
    """Return an image (H, W, 3) or (1, H, W, 3) as (1, 3, H, W)."""
    return torch.tensor(np.asarray(image, float).reshape(1, *image.shape[-3:])).permute(0, 3, 1, 2)


def mean_square(a, b):
    return ((a - b) ** 2).mean()


# -- the four definitions: how pixels become input, how a network pools, what the losses are -----------------


def paper(y, f, p, a):
    """Gatys, Ecker, Bethge, CVPR 2016: L = alpha L_content + beta L_style, alpha / beta = 1e-3, w_l = 1/5.

    Its 1 / M^2 presumes pictures of one size; here each S has its own M.
    """
    yield "content/conv4_2", ((f["conv4_2"] - p["conv4_2"]) ** 2).sum() / 2
    for layer in ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"):
        n, m = f[layer].shape
        difference = f[layer] @ f[layer].T / m - a[layer] @ a[layer].T / a[layer].shape[1]
        yield f"style/{layer}", 1e3 * (1 / 5) * (difference**2).sum() / (4 * n**2)


def content_and_gram_means(f, p, a, content_weight, style_weight):
    """Means over all elements, S divided by N M: the losses that the Lua program and its port share."""
    yield "content/relu4_2", content_weight * mean_square(f["relu4_2"], p["relu4_2"])
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        grams = [x[layer] @ x[layer].T / x[layer].numel() for x in (f, a)]
        yield f"style/{layer}", style_weight * mean_square(*grams)


def neural_style(y, f, p, a):
    """The Lua program. Its total variation is a gradient only, that of this energy of the interior."""
    yield from content_and_gram_means(f, p, a, 5, 100)
    interior = y[:, :, :-1, :-1]
    squares = (y[:, :, :-1, 1:] - interior) ** 2 + (y[:, :, 1:, :-1] - interior) ** 2
    yield "tv", 1e-3 / 2 * squares.sum()


def neural_style_pt(y, f, p, a):
    """Its port to PyTorch: absolute differences over all pairs."""
    yield from content_and_gram_means(f, p, a, 5, 100)
    yield "tv", 1e-3 * ((y[..., 1:, :] - y[..., :-1, :]).abs().sum() + (y[..., 1:] - y[..., :-1]).abs().sum())


def gatys(y, f, p, a):
    """Gatys's own code: S / M, mean over N^2, weights 1e3 / N^2."""
    yield "content/relu4_2", 1 * mean_square(f["relu4_2"], p["relu4_2"])
    for block, n in enumerate((64, 128, 256, 512, 512), start=1):
        layer = f"relu{block}_1"
        grams = [x[layer] @ x[layer].T / x[layer].shape[1] for x in (f, a)]
        yield f"style/{layer}", 1e3 / n**2 * mean_square(*grams)


def quality(y, f, p, a):
    """Ours: content as Gatys, ten times the style weight on covariances divided by N."""
    yield "content/relu4_2", mean_square(f["relu4_2"], p["relu4_2"])
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        covariances = []
        for x in (f[layer], a[layer]):
            centred = x - x.mean(1, keepdim=True)
            covariances.append(centred @ centred.T / x.numel())
        yield f"style/{layer}", 1e4 * mean_square(*covariances)


@dataclasses.dataclass(frozen=True)
class Definition:
    """Factor on pixels 0..1, pooling, losses."""

    scale: float
    pool: object
    losses: object


DEFINITIONS = {
    "paper": Definition(255, functools.partial(F.avg_pool2d, kernel_size=2), paper),
    "neural-style": Definition(
        256, functools.partial(F.max_pool2d, kernel_size=2, ceil_mode=True), neural_style
    ),
    "neural-style-pt": Definition(255, functools.partial(F.max_pool2d, kernel_size=2), neural_style_pt),
    "gatys": Definition(255, functools.partial(F.max_pool2d, kernel_size=2), gatys),
    "fast": Definition(255, functools.partial(F.max_pool2d, kernel_size=2), gatys),
    "quality": Definition(255, functools.partial(F.max_pool2d, kernel_size=2), quality),
}
every_preset = pytest.mark.parametrize("preset", DEFINITIONS)


# -- style-transfer-pytorch, whose network, input and losses are others --------------------------------------

MEAN_RGB, STD_RGB = (
    torch.tensor(values, dtype=torch.float64).reshape(1, 3, 1, 1)
    for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)


def wasserstein(f, a):
    """Mean over the channels of the squared distance of two normal distributions, 1e-4 on all variances.

    Of S = B B^T the trace of (R S R)^1/2 is the sum of the singular values of R B: so nothing is squared that
    a root is taken of, and nothing small is lost.
    """
    (mean, factor), (target_mean, target_factor) = (spread(f), spread(a))
    u, singular, _ = torch.linalg.svd(target_factor, full_matrices=False)
    target_root = u @ torch.diag(singular) @ u.T
    between = torch.linalg.svdvals(target_root @ factor).sum()
    traces = (factor**2).sum() + (singular**2).sum()
    return ((mean - target_mean) ** 2).mean() + (traces - 2 * between) / len(f)


def spread(x):
    """Return the mean of features (N, M), and B with B B^T their covariance and 1e-4 on the diagonal."""
    mean = x.mean(1, keepdim=True)
    return mean, torch.cat([(x - mean) / x.shape[1] ** 0.5, 1e-2 * torch.eye(len(x), dtype=x.dtype)], 1)


def nine_points(x):
    """Twice the mean squared differences of pixels 0..1: / 3 across and down, / 12 along both diagonals."""
    x = F.pad(x, (1, 1, 1, 1), "replicate")
    middle = x[..., 1:-1, 1:-1]
    straight = mean_square(x[..., 1:-1, 2:], middle) + mean_square(x[..., 2:, 1:-1], middle)
    slanted = mean_square(x[..., 1:, 1:], x[..., :-1, :-1]) + mean_square(x[..., 1:, :-1], x[..., :-1, 1:])
    return 2 * (straight / 3 + slanted / 12)


def crowson(layers, pixels):
    """Return the leaf and the losses: pixels 0..1 less their mean over their deviation, borders repeated."""

    def seen(image):
        y = (image / 255 - MEAN_RGB) / STD_RGB
        found = {}
        for name, (kernels, biases) in layers.items():
            if name.endswith("_1") and name != "1_1":
                y = F.max_pool2d(y, 2)
            first = name == "1_1"
            y = F.pad(y, (1, 1, 1, 1), "replicate") if first else y
            y = F.conv2d(y, kernels, biases, padding=0 if first else 1).clamp(min=0)
            found[f"relu{name}"] = y.reshape(y.shape[1], -1)
        return found

    leaf = as_tensor(pixels).clone().requires_grad_()
    with torch.no_grad():
        photograph, painting = seen(as_tensor(CONTENT)), seen(as_tensor(STYLE))
    f = seen(leaf)
    losses = {"content/relu4_2": 0.015 * mean_square(f["relu4_2"], photograph["relu4_2"])}
    for block, weight in enumerate((256, 64, 16, 4, 1), start=1):
        layer = f"relu{block}_1"
        losses[f"style/{layer}"] = weight / 341 * wasserstein(f[layer], painting[layer])
    losses["tv"] = 2.0 * nine_points(leaf / 255)
    return leaf, losses


@pytest.mark.parametrize("kind", ["all", "content", "style", "tv"])
def test_style_transfer_pytorch_is_its_definition(kind):
    leaf, losses = crowson(parameters("vgg11", "random"), START)
    off = {} if kind == "all" else {f"{k}_weight": 0 for k in ("content", "style", "tv") if k != kind}
    wanted = {name: loss for name, loss in losses.items() if kind == "all" or name.startswith(kind)}
    ours = objective("style-transfer-pytorch", "vgg11", "random", preprocessing="torchvision", **off)
    assert_same_function(ours, wanted, leaf)


def test_weights_made_for_another_unit_of_the_input_have_losses_of_the_same_size():
    """Of a network without biases, features grow with the input; so the losses do as its square."""
    unit = 255 * (0.229 + 0.224 + 0.225) / 3
    few = {"content_layers": "relu1_1", "style_layers": "relu1_1", "tv_weight": 0}
    made = [
        objective("style-transfer-pytorch", "vgg11", "random", preprocessing=name, **few)
        for name in ("torchvision", "caffe")
    ]
    weights = [[m.weight for m in ours.modules] for ours in made]
    np.testing.assert_allclose(np.array(weights[0]) / weights[1], unit**2, rtol=1e-2)
    added = [ours.network["style/relu1_1"].added for ours in made]
    assert added[0] == pytest.approx(1e-4, rel=1e-2)
    assert added[1] / added[0] == pytest.approx(unit**2, rel=1e-2)


def restate(preset, layers, pixels=START):
    """Return the leaf of pixels (1, 3, H, W) and the losses by name, as PyTorch has them."""
    definition = DEFINITIONS[preset]

    def to_input(image):
        return image.flip(1) / 255 * definition.scale - MEAN_BGR

    with torch.no_grad():
        photograph, painting = (
            features(to_input(as_tensor(picture)), layers, definition.pool) for picture in (CONTENT, STYLE)
        )
    leaf = as_tensor(pixels).clone().requires_grad_()
    y = to_input(leaf)
    losses = definition.losses(y, features(y, layers, definition.pool), photograph, painting)
    return leaf, dict(losses)


def gradient(loss, leaf):
    """Return dloss/dpixels as (1, H, W, 3)."""
    (found,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    return found.permute(0, 2, 3, 1).numpy()


def objective(preset, network="vgg16", weights=VGG16, **options):
    """Return ours."""
    options = SIZES | {"dtype": "float64", "seed": 0} | options
    return Objective(CONTENT, [STYLE], network=network, weights=weights, preset=preset, **options)


def assert_same_function(ours, losses, leaf):
    """Every loss by name and the total to 1e-10, the gradient to 1e-8."""
    loss, dx = ours(START)
    assert set(ours.losses) == set(losses)
    for name, expected in losses.items():
        assert ours.losses[name] == pytest.approx(expected.item(), rel=1e-10), name
    total = sum(losses.values())
    assert loss == pytest.approx(total.item(), rel=1e-10)
    expected = gradient(total, leaf)
    assert dx.shape == expected.shape
    assert np.linalg.norm(dx - expected) <= 1e-8 * np.linalg.norm(expected)


@every_preset
@pytest.mark.parametrize(
    ("network", "weights"), [("vgg16", VGG16), ("vgg19", "random")], ids=["vgg16", "vgg19"]
)
def test_loss_and_gradient_are_those_of_the_definition(network, weights, preset):
    leaf, losses = restate(preset, parameters(network, weights))
    assert_same_function(objective(preset, network, weights), losses, leaf)


@every_preset
def test_each_of_the_three_sums_alone(preset):
    """A loss of small weight hides behind the others in the gradient of all."""
    leaf, losses = restate(preset, parameters("vgg11", "random"))
    kinds = ["content", "style", "tv"] if "tv" in losses else ["content", "style"]
    for kind in kinds:
        off = {f"{other}_weight": 0 for other in kinds if other != kind}
        alone = {name: loss for name, loss in losses.items() if name.startswith(kind)}
        assert_same_function(objective(preset, "vgg11", "random", **off), alone, leaf)


@every_preset
def test_options_left_out_and_given_as_published_are_the_same(preset):
    """What a reader of the tables above would type is what the preset does."""
    relus, convs = ([f"{kind}{block}_1" for block in range(1, 6)] for kind in ("relu", "conv"))
    given = {
        "paper": ("conv4_2", convs, 1, 1e3, 0, "average"),
        "neural-style": ("relu4_2", relus, 5, 100, 1e-3, "max-ceil"),
        "neural-style-pt": ("relu4_2", relus, 5, 100, 1e-3, "max"),
        "gatys": ("relu4_2", relus, 1, 1000, 0, "max"),
        "fast": ("relu4_2", relus, 1, 1000, 0, "max"),
        "quality": ("relu4_2", relus, 1, 10000, 0, "max"),
    }[preset]
    names = ("content_layers", "style_layers", "content_weight", "style_weight", "tv_weight", "pooling")
    options = dict(zip(names, given, strict=True)) | {"content_layers": given[0]}
    plain, spelled = (objective(preset, "vgg11", "random", **more) for more in ({}, options))
    (loss, dx), (same_loss, same_dx) = plain(START), spelled(START)
    assert loss == same_loss
    np.testing.assert_array_equal(dx, same_dx)


# -- what follows from the definitions -----------------------------------------------------------------------

GATYS_WEIGHTS = {"content_weight": 1, "style_weight": 1000, "tv_weight": 0}


def test_gatys_is_the_port_of_neural_style_with_other_weights():
    (loss, dx), (same_loss, same_dx) = (
        ours(START)
        for ours in (
            objective("gatys", "vgg11", "random"),
            objective("neural-style-pt", "vgg11", "random", **GATYS_WEIGHTS),
        )
    )
    assert loss == same_loss
    np.testing.assert_array_equal(dx, same_dx)


def test_gatys_is_neural_style_with_other_weights_but_for_256_and_the_ceiling(monkeypatch):
    few = GATYS_WEIGHTS | {"content_layers": "relu3_1", "style_layers": "relu1_1,relu2_1,relu3_1"}
    expected, expected_dx = objective("gatys", "vgg11", "random", **few)(START)
    for scale, pooling, same in [
        (1.0, "max", True),
        (1.0, "max-ceil", False),
        (256 / 255, "max", False),
    ]:
        changed = dataclasses.replace(PRESETS["neural-style"], pixel_scale=scale)
        monkeypatch.setitem(PRESETS, "neural-style", changed)
        loss, dx = objective("neural-style", "vgg11", "random", pooling=pooling, **few)(START)
        assert (loss == expected) == same, (scale, pooling)
        assert np.array_equal(dx, expected_dx) == same, (scale, pooling)
        # and the differences are no rounding: a test that could not see them would be none
        assert same or abs(loss / expected - 1) > 1e-3, (scale, pooling)


def test_sums_over_the_positions_with_small_weights_are_means_with_weight_1000():
    """1e3 / N^2 mean (S/M - A/M)^2 = 1000 mean (S/(N M) - A/(N M))^2 for the N of every style layer."""
    layers = parameters("vgg11", "random")
    _, own = restate("gatys", layers)
    with torch.no_grad():
        pictures = [
            torch.tensor(x.reshape(1, *x.shape[-3:]) * 1.0).permute(0, 3, 1, 2)
            for x in (START, CONTENT, STYLE)
        ]
        f, p, a = (features(x.flip(1) - MEAN_BGR, layers, DEFINITIONS["gatys"].pool) for x in pictures)
        means = dict(content_and_gram_means(f, p, a, 1, 1000))
    assert set(own) == set(means)
    for name, loss in own.items():
        assert loss.item() == pytest.approx(means[name].item(), rel=1e-12), name


def test_starts_and_optimisers_are_the_published_ones():
    facts = {name: (p.init, p.optimizer) for name, p in PRESETS.items()}
    assert facts == {
        "paper": ("noise", "lbfgs"),
        "neural-style": ("noise", "lbfgs"),
        "neural-style-pt": ("noise", "lbfgs"),
        "gatys": ("content", "lbfgs"),
        "style-transfer-pytorch": ("content", "adam"),
        "fast": ("content", "lbfgs"),
        "quality": ("content", "lbfgs"),
    }
    crowson = PRESETS["style-transfer-pytorch"]
    assert (crowson.learning_rate, crowson.betas, crowson.averaging) == (
        pytest.approx(5.1),
        (0.9, 0.99),
        0.99,
    )
    assert (crowson.bounds, crowson.coarsest, crowson.scale_state) == ((0, 255), 128, "carried")
    assert PRESETS["neural-style"].learning_rate == 10
    assert PRESETS["neural-style-pt"].learning_rate == 1
    for name in ("neural-style", "neural-style-pt"):  # 0.001 in what the network sees
        assert PRESETS[name].noise_std * PRESETS[name].pixel_scale == pytest.approx(1e-3, rel=1e-14)


def test_every_preset_of_the_package_is_restated_here():
    assert set(PRESETS) == {*DEFINITIONS, "style-transfer-pytorch"}
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset.source
        assert preset.published


def test_an_unknown_preset_is_refused_and_the_nearest_suggested():
    assert get_preset("paper") is PRESETS["paper"]
    with pytest.raises(UsageError, match="'neuralstyle' is unknown, did you mean 'neural-style'"):
        get_preset("neuralstyle")
