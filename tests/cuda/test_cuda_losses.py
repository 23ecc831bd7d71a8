"""Every loss on arrays of the stand-in for CuPy: what NumPy computes, and no iteration that waits."""

import importlib
import pkgutil

import numpy as np
import pytest
from kernel_checks import assert_close, relative_error

import nst_manual.losses
from nst_manual import nn
from nst_manual.backend import numbers, to_device, to_host
from nst_manual.kernels import matrix_sqrt, transport
from nst_manual.kernels.cuda import square_root
from nst_manual.losses import (
    ContentLoss,
    LossModule,
    StyleLoss,
    TotalVariation,
    capture,
    content,
    gram,
    patch,
    style,
)
from nst_manual.losses import total_variation as variation
from nst_manual.losses import wasserstein as gaussian
from nst_manual.losses.capture import Capture
from nst_manual.losses.covariance import CovarianceLoss
from nst_manual.losses.cross_layer_gram import CrossLayerGramLoss, cross_layer_losses
from nst_manual.losses.guided import GuidedStyleLoss, guided_gram
from nst_manual.losses.histogram import HistogramLoss
from nst_manual.losses.laplacian import LaplacianLoss
from nst_manual.losses.masked_content import MaskedContentLoss
from nst_manual.losses.mean_std import MeanStdLoss
from nst_manual.losses.representations import REPRESENTATIONS, wasserstein
from nst_manual.losses.shifted_gram import ShiftedGramLoss
from nst_manual.losses.sliced_wasserstein import SlicedWassersteinLoss
from nst_manual.losses.spatial_gram import SpatialGramLoss

SHAPE, UPPER = (2, 9, 8, 6), (2, 4, 4, 5)
WEIGHT = 1.7


def features(seed, shape=SHAPE):
    """Return features as they are behind a ReLU: many zeros."""
    return np.maximum(np.random.default_rng(seed).standard_normal(shape), 0)


def painting(seed, channels=SHAPE[3]):
    return features(seed, (1, 7, 10, channels))


def mask(seed, shape=SHAPE[1:3]):
    drawn = np.random.default_rng(seed).random(shape)
    drawn[:2] = 0
    return drawn


def represented(kind, form):
    """Return the maker of the loss of two paintings in that representation."""

    def make(there):
        targets = [kind.target_of(there(painting(seed)), form) for seed in (1, 2)]
        return kind.make(kind.blend(targets, [0.3, 0.7]), WEIGHT, form)

    return make


def compared(kind, *settings, **named):
    """Return the maker of a loss with settings that no representation has."""

    def make(there):
        return kind(kind.target_of(there(painting(1)), **named), WEIGHT, *settings, **named)

    return make


def guided(form):
    def make(there):
        target = guided_gram(there(painting(1)), mask(2, (7, 10)), form)[0]
        return GuidedStyleLoss(target, mask(3), WEIGHT, form)

    return make


def kept(kind, form, *masks):
    return lambda there: kind(there(features(1)), *masks, WEIGHT, form)


def laplacian(there):
    image = there(100 * features(1, (1, *SHAPE[1:])))
    return LaplacianLoss(LaplacianLoss.target_of(image, 2), WEIGHT, 2)


def layers(form):
    """Return the maker of a pair of losses, of which the second gets other features."""

    def make(there):
        target = CrossLayerGramLoss.target_of(there(painting(1)), there(features(2, (1, 3, 5, 5))), form)
        return cross_layer_losses(target, WEIGHT, form)

    return make


def normalized(make):
    def normalizing(there):
        module = make(there)
        module.normalized = True
        return module

    return normalizing


MAKERS = {
    **{
        f"{name}, {form}": represented(kind, form)
        for name, kind in REPRESENTATIONS.items()
        for form in style.FORMS
    },
    "wasserstein, absolute": represented(wasserstein(1e-3), "paper"),
    **{
        f"wasserstein, {form}": (
            lambda there, form=form: gaussian.WassersteinLoss(
                gaussian.WassersteinLoss.target_of(there(painting(1))), WEIGHT, form
            )
        )
        for form in gaussian.FORMS
    },
    **{
        f"patches, {form}, strides": (
            lambda there, form=form: patch.PatchLoss(
                patch.PatchLoss.target_of(there(painting(1))), WEIGHT, form, stride=2, target_stride=3
            )
        )
        for form in patch.FORMS
    },
    "histogram, shares": lambda there: HistogramLoss(
        HistogramLoss.target_of(there(painting(1)), quantiles=11), WEIGHT
    ),
    "sliced, shares": lambda there: SlicedWassersteinLoss(
        SlicedWassersteinLoss.target_of(there(painting(1)), directions=9, quantiles=11), WEIGHT
    ),
    "shifted, another": compared(ShiftedGramLoss, form="mean", shift=0.5),
    "spatial, others": compared(SpatialGramLoss, form="mean", shifts=(0, 3, 8)),
    "mean-std, another": compared(MeanStdLoss, eps=0.1),
    "covariance": compared(CovarianceLoss, form="mean"),
    "style": lambda there: StyleLoss(gram(there(painting(1)))[0], WEIGHT),
    **{f"guided, {form}": guided(form) for form in style.FORMS},
    **{f"content, {form}": kept(ContentLoss, form) for form in content.FORMS},
    **{f"masked content, {form}": kept(MaskedContentLoss, form, mask(4)) for form in content.FORMS},
    **{f"cross-layer, {form}": layers(form) for form in style.FORMS},
    **{f"tv, {form}": (lambda there, form=form: TotalVariation(WEIGHT, form)) for form in variation.FORMS},
    "laplacian": laplacian,
    "normalized content": normalized(kept(ContentLoss, "mean")),
    "normalized style": normalized(represented(REPRESENTATIONS["gram"], "paper")),
}
every_loss = pytest.mark.parametrize("name", MAKERS)


def here(array):
    return array


def modules_of(made):
    """Return the modules that a maker has made, in the order of the network."""
    return made if isinstance(made, tuple) else (made,)


def inputs(seed, there=here, dtype=float):
    """Return features and upstream gradients of one or two layers."""
    drawn = np.random.default_rng(seed + 100)
    return [
        (there(features(seed, shape).astype(dtype)), there(drawn.standard_normal(shape).astype(dtype)))
        for shape in (SHAPE, UPPER)
    ]


def passes(modules, layers):
    """Return the losses and the gradients of a pass forward and a pass back."""
    pairs = list(zip(modules, layers, strict=False))
    for module, (x, _) in pairs:
        assert module.update_output(x) is x
    gradients = [module.update_grad_input(x, dy).copy() for module, (x, dy) in reversed(pairs)]
    return [module.loss for module in modules], gradients


def assert_same(got, expected, bound):
    """The losses and gradients of the GPU are those of NumPy."""
    (losses, gradients), (right_losses, right_gradients) = got, expected
    for loss, right in zip(numbers(losses), right_losses, strict=True):
        assert abs(loss - right) <= bound * abs(right)
    for gradient, right in zip(gradients, right_gradients, strict=True):
        assert gradient.dtype == right.dtype
        assert_close(to_host(gradient), right, bound)


@every_loss
def test_loss_and_gradient_are_those_of_numpy(standin, name):
    expected = passes(modules_of(MAKERS[name](here)), inputs(5))
    assert any(np.any(gradient) for gradient in expected[1])
    layers = inputs(5, to_device)
    before = [to_host(array) for layer in layers for array in layer]
    got = passes(modules_of(MAKERS[name](to_device)), layers)
    assert_same(got, expected, 1e-12)
    for array, kept in zip((array for layer in layers for array in layer), before, strict=True):
        np.testing.assert_array_equal(to_host(array), kept)


@every_loss
def test_loss_and_gradient_in_float32(standin, name):
    def single(array):
        return array.astype("float32")

    expected = passes(modules_of(MAKERS[name](single)), inputs(5, dtype="float32"))
    made = MAKERS[name](lambda array: to_device(single(array)))
    assert_same(passes(modules_of(made), inputs(5, to_device, "float32")), expected, 2e-5)


@every_loss
def test_after_the_first_pass_nothing_waits_and_nothing_is_transferred(standin, name):
    modules = modules_of(MAKERS[name](to_device))
    passes(modules, inputs(5, to_device))
    others = inputs(6, to_device)
    standin.counts.reset()
    got = passes(modules, others)
    counts = standin.counts
    assert (counts.synchronisations, counts.to_host, counts.to_device) == (0, 0, 0)
    assert counts.launches > 0
    for module in modules:
        if module.reported:
            assert (type(module.loss), module.loss.shape) == (standin.cupy.ndarray, ())
            assert module.loss.dtype == float
    # of the other features, and not of the first pass
    assert_same(got, passes(modules_of(MAKERS[name](here)), inputs(6)), 1e-12)


@every_loss
def test_dy_may_be_added_to_in_place(standin, name):
    modules = modules_of(MAKERS[name](to_device))
    for module in modules:
        module.in_place = True
    layers = inputs(5, to_device)
    expected = passes(modules_of(MAKERS[name](here)), inputs(5))
    got = passes(modules, layers)
    assert_same(got, expected, 1e-12)
    for (_, dy), gradient in zip(layers, reversed(got[1]), strict=False):
        np.testing.assert_array_equal(to_host(dy), to_host(gradient))


def test_every_loss_has_a_sample(standin):
    for found in pkgutil.iter_modules(nst_manual.losses.__path__):
        importlib.import_module(f"nst_manual.losses.{found.name}")

    def under(kind):
        return {each for sub in kind.__subclasses__() for each in {sub, *under(sub)}}

    wanted = {kind for kind in under(LossModule) if kind.__module__.startswith("nst_manual.losses.")}
    sampled = {type(module) for make in MAKERS.values() for module in modules_of(make(here))}
    assert wanted - sampled == {Capture}


def test_targets_are_captured_on_the_gpu(standin):
    def statistics():
        return {
            "pool": lambda x: guided_gram(x, mask(1, (4, 5)), "mean"),
            "relu": lambda x: REPRESENTATIONS["wasserstein"].target_of(x, "paper")[1],
        }

    image, expected = features(1, (1, 8, 10, 3)), None
    for there in (here, to_device):
        network = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2))
        for module, name in zip(network, ("relu", "pool"), strict=True):
            module.name = name
        found = capture(network, there(image), statistics())
        if expected is None:
            expected = found
    assert all(type(array) is standin.cupy.ndarray for array in found.values())
    for name, array in found.items():
        assert_close(to_host(array), expected[name])


def test_the_loss_of_a_guide_that_comes_from_the_gpu(standin):
    target, guide, x = gram(painting(1))[0], mask(2), features(3)
    expected = passes((GuidedStyleLoss(target, guide, WEIGHT),), [(x, x)])
    module = GuidedStyleLoss(to_device(target), to_device(guide), WEIGHT)
    assert_same(passes((module,), [(to_device(x), to_device(x))]), expected, 1e-12)


def spread(seed, size, largest):
    """Return a positive definite matrix whose eigenvalues go from 1 to `largest`."""
    turned, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return turned * np.geomspace(1, largest, size) @ turned.T


@pytest.mark.parametrize("largest", [2, 1e4, 1e12])
@pytest.mark.parametrize("known", [False, True])
def test_a_square_root_decides_on_the_gpu_what_it_decides_on_a_processor(standin, largest, known):
    a, smallest = spread(1, 12, largest), 1.0 if known else 0.0
    droot = np.random.default_rng(2).standard_normal(a.shape)
    root, inverse = matrix_sqrt.forward(a, smallest)
    da = matrix_sqrt.input_gradient(root, droot, smallest)
    on_gpu, slope, given = to_device(a), to_device(droot), to_device(root)
    standin.counts.reset()
    found = [*matrix_sqrt.forward(on_gpu, smallest), matrix_sqrt.input_gradient(given, slope, smallest)]
    assert (standin.counts.synchronisations, standin.counts.to_device) == (0, 0)
    # rounding is amplified by the spread of the eigenvalues, and once more on the way back
    for got, expected, spreading in zip(found, (root, inverse, da), (0.5, 0.5, 1), strict=True):
        assert relative_error(to_host(got), expected) <= 1e-14 * largest**spreading


def test_a_square_root_stands_still_behind_its_last_step(standin):
    identity = to_device(np.eye(4))
    steps = square_root.Steps(
        identity, to_device(np.array(0.5)), matrix_sqrt.LARGEST_SCALING, matrix_sqrt.NEAR
    )
    factors = [to_host(steps.factor(identity * (1 + 1e-6))) for _ in range(4)]
    # the residual shrinks no more at the second, which is the last
    assert [np.array_equal(factor, np.eye(4)) for factor in factors] == [False, False, True, True]
    assert float(steps.scaling) == 0
    assert float(steps.valid()) == 1


def test_a_square_root_that_there_is_not_is_nan_on_the_gpu(standin):
    singular = np.diag([1.0, 0.0, 1.0])
    for a in (np.diag([1.0, -1.0, 2.0]), np.full((3, 3), np.nan), np.diag([1.0, np.inf, 1.0]), singular):
        for result in matrix_sqrt.forward(to_device(a)):
            assert np.isnan(to_host(result)).all()
    assert np.isnan(to_host(matrix_sqrt.input_gradient(to_device(singular), to_device(np.eye(3))))).all()


@pytest.mark.parametrize(
    ("module", "constant", "name"),
    [
        (patch, "GPU_TILE_VALUES", "patches, paper"),
        (patch, "GPU_TILE_VALUES", "patches, distance, strides"),
        (transport, "GPU_VALUES", "histogram, shares"),
        (gaussian, "GPU_POSITIONS", "wasserstein, paper"),
    ],
)
def test_what_takes_too_much_memory_at_once_is_done_in_pieces(standin, monkeypatch, module, constant, name):
    expected = passes(modules_of(MAKERS[name](here)), inputs(5))
    layers = inputs(5, to_device)
    whole = modules_of(MAKERS[name](to_device))
    standin.counts.reset()
    passes(whole, layers)
    launches = standin.counts.launches
    monkeypatch.setattr(module, constant, 300 if module is patch else 16)
    pieces = modules_of(MAKERS[name](to_device))
    standin.counts.reset()
    got = passes(pieces, layers)
    assert standin.counts.launches > launches
    assert standin.counts.synchronisations == 0
    assert_same(got, expected, 1e-12)


@pytest.mark.parametrize("kind", [ContentLoss, MaskedContentLoss, StyleLoss])
def test_nothing_as_large_as_the_features_is_made(standin, kind):
    x, target, dx = (to_device(features(seed, (1, 32, 32, 8))) for seed in (1, 2, 3))
    if kind is StyleLoss:
        module = StyleLoss(gram(target)[0], WEIGHT)
    else:
        module = kind(target, *[mask(4, (32, 32))] * (kind is MaskedContentLoss), WEIGHT)
    standin.peak_bytes = before = standin.live_bytes
    module.measure(x)
    module.add_gradient(x, dx)
    assert standin.peak_bytes - before < x.nbytes / 4
