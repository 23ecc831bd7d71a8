"""Every plain module on arrays of the stand-in for CuPy: what NumPy computes, and no pass that waits."""

import importlib
import pkgutil

import numpy as np
import pytest
from kernel_checks import assert_close

from nst_manual import nn
from nst_manual.backend import to_device, to_host
from nst_manual.losses import LossModule
from nst_manual.nn.container import Container
from nst_manual.nn.fused_conv2d import FusedConv2d
from nst_manual.nn.parameters import WithParameters
from nst_manual.store import Preprocessing

IMAGES, VECTORS = (2, 7, 8, 5), (3, 7)
# of others: convolutions have tests of their own, and the rest are not modules by themselves
OTHERS = {nn.Conv2d, FusedConv2d, nn.Fused, Container, WithParameters}


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def batch_norm(dtype):
    module = nn.BatchNorm2d(5, dtype=dtype)
    module.weight, module.bias, module.running_mean = normal(1, 3, 5).astype(dtype)
    module.running_var = (normal(2, 5) ** 2 + 0.1).astype(dtype)
    return module


def preprocess(order):
    return lambda dtype: nn.Preprocess(
        Preprocessing(order, (104.0, 117.0, 124.0), 0.5, (2.0, 3.0, 4.0)), dtype
    )


def overlay(channels, removed=False):
    def make(dtype):
        module = nn.Overlay(
            *(normal(seed, 7, 8, number).astype(dtype) for seed, number in ((1, 1), (2, channels)))
        )
        module.removed = removed
        return module

    return make


def side_by_side(dtype):
    return nn.Concat(nn.ReLU(), nn.AvgPool2d(3, 1, 1), nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.ReLU()))


def classifier(dtype):
    return nn.Sequential(
        nn.LocalResponseNorm(3, alpha=0.1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.4, rng=3),
        nn.Linear(3 * 4 * 5, 6, rng=4, dtype=dtype),
        nn.LogSoftmax(),
    )


# name -> (a function of the dtype that makes the module, the shape of its input)
SAMPLES = {
    "Module": (lambda dtype: nn.Module(), IMAGES),
    "ReLU": (lambda dtype: nn.ReLU(), IMAGES),
    "MaxPool2d": (lambda dtype: nn.MaxPool2d(2), IMAGES),
    "MaxPool2d padded": (lambda dtype: nn.MaxPool2d(3, 2, 1, ceil_mode=True), IMAGES),
    "MaxPool2d dilated": (lambda dtype: nn.MaxPool2d(2, 1, 0, dilation=(2, 3)), IMAGES),
    "AvgPool2d": (lambda dtype: nn.AvgPool2d(2), IMAGES),
    "AvgPool2d padded": (lambda dtype: nn.AvgPool2d(3, 2, 1, ceil_mode=True, scale=2), IMAGES),
    "AvgPool2d uncounted": (lambda dtype: nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGES),
    "L2Pool2d": (lambda dtype: nn.L2Pool2d(2), IMAGES),
    "L2Pool2d padded": (lambda dtype: nn.L2Pool2d(3, 2, 1, ceil_mode=True, scale=0.78), IMAGES),
    "ReplicationPad2d": (lambda dtype: nn.ReplicationPad2d((2, 1)), IMAGES),
    "ReplicationPad2d of rows": (lambda dtype: nn.ReplicationPad2d((1, 0)), IMAGES),
    "LocalResponseNorm": (lambda dtype: nn.LocalResponseNorm(4, alpha=0.3, beta=0.6), IMAGES),
    "BatchNorm2d": (batch_norm, IMAGES),
    "GlobalAvgPool2d": (lambda dtype: nn.GlobalAvgPool2d(), IMAGES),
    "Linear": (lambda dtype: nn.Linear(7, 4, rng=0, dtype=dtype), VECTORS),
    "Linear without bias": (lambda dtype: nn.Linear(7, 4, bias=False, rng=0, dtype=dtype), VECTORS),
    "Flatten": (lambda dtype: nn.Flatten(), IMAGES),
    "Dropout": (lambda dtype: nn.Dropout(0.5, rng=0), IMAGES),
    "Softmax": (lambda dtype: nn.Softmax(), VECTORS),
    "LogSoftmax": (lambda dtype: nn.LogSoftmax(), IMAGES),
    "Preprocess BGR": (preprocess("BGR"), (2, 7, 8, 3)),
    "Preprocess RGB": (preprocess("RGB"), (2, 7, 8, 3)),
    "Overlay": (overlay(3), (2, 7, 8, 3)),
    "Overlay of one channel": (overlay(1), (2, 7, 8, 3)),
    "Overlay removed": (overlay(3, removed=True), (2, 7, 8, 3)),
    "Concat": (side_by_side, IMAGES),
    "Sequential": (classifier, IMAGES),
}
BOUNDS = {"float64": 1e-12, "float32": 1e-5}
every_module = pytest.mark.parametrize("name", SAMPLES)
both_dtypes = pytest.mark.parametrize("dtype", BOUNDS)


def here(array):
    return array


def drawn(name, dtype, there=here, seed=0):
    """Return input and upstream gradient for a module."""
    make, shape = SAMPLES[name]
    x = normal(seed, *shape).astype(dtype)
    dy = normal(seed + 50, *make(dtype).update_output(x).shape).astype(dtype)
    return there(x), there(dy)


def passes(module, x, dy):
    """Return the output and the gradient of a pass forward and a pass back."""
    return module.update_output(x), module.update_grad_input(x, dy)


def assert_same(got, expected, bound):
    for array, right in zip(got, expected, strict=True):
        assert array.dtype == right.dtype
        assert_close(to_host(array), right, bound)


@every_module
@both_dtypes
def test_output_and_gradient_are_those_of_numpy(standin, name, dtype):
    make = SAMPLES[name][0]
    expected = passes(make(dtype), *drawn(name, dtype))
    assert_same(passes(make(dtype), *drawn(name, dtype, to_device)), expected, BOUNDS[dtype])


@every_module
def test_after_the_first_pass_nothing_waits_and_nothing_is_transferred(standin, name):
    module = SAMPLES[name][0]("float64")
    passes(module, *drawn(name, "float64", to_device))
    others = drawn(name, "float64", to_device, seed=1)
    standin.counts.reset()
    got = passes(module, *others)
    counts = standin.counts
    assert (counts.synchronisations, counts.to_host, counts.to_device) == (0, 0, 0)
    # of the other numbers, and not of the first pass
    expected = passes(SAMPLES[name][0]("float64"), *drawn(name, "float64", seed=1))
    assert_same(got, expected, 1e-12)


def test_every_module_has_a_sample(standin):
    for found in pkgutil.iter_modules(nn.__path__):
        importlib.import_module(f"nst_manual.nn.{found.name}")

    def under(kind):
        return {each for sub in kind.__subclasses__() for each in {sub, *under(sub)}}

    wanted = {kind for kind in under(nn.Module) if kind.__module__.startswith("nst_manual.nn.")}
    sampled = {type(make("float64")) for make, _ in SAMPLES.values()}
    assert wanted - sampled == OTHERS
    assert not any(issubclass(kind, LossModule) for kind in wanted)


@pytest.mark.parametrize("name", ["Linear", "BatchNorm2d", "Preprocess BGR", "Overlay"])
def test_arrays_are_brought_over_again_when_others_have_come_or_the_state_is_cleared(standin, name):
    module, right = (SAMPLES[name][0]("float64") for _ in range(2))
    given = drawn(name, "float64", to_device)
    passes(module, *given)
    for each in (module, right):
        field = "factor" if hasattr(each, "factor") else "weight"
        setattr(each, field, 2 * getattr(each, field))
    expected = passes(right, *drawn(name, "float64"))
    assert_same(passes(module, *given), expected, 1e-12)
    assert module.brought is not None
    module.clear_state()
    assert module.brought is None
    assert_same(passes(module, *given), expected, 1e-12)


@pytest.mark.parametrize("name", ["Linear", "BatchNorm2d", "Preprocess BGR", "Overlay"])
def test_arrays_may_live_on_the_gpu(standin, name):
    module = SAMPLES[name][0]("float64")
    expected = passes(module, *drawn(name, "float64"))
    module.clear_state()
    for field, value in list(vars(module).items()):
        if isinstance(value, np.ndarray):
            setattr(module, field, to_device(value))
    given = drawn(name, "float64", to_device)
    standin.counts.reset()
    assert_same(passes(module, *given), expected, 1e-12)
    assert standin.counts.to_device == 0


@pytest.mark.parametrize("there", [here, to_device])
def test_gradients_of_parameters_are_where_the_parameters_are(standin, there):
    x, dy = normal(1, 3, 7), normal(2, 3, 4)
    right, module = (nn.Linear(7, 4, rng=0, dtype="float64") for _ in range(2))
    module.weight, module.bias = there(module.weight), there(module.bias)
    for each, put in ((right, here), (module, to_device)):
        each.training = True
        for _ in range(2):
            each.backward(put(x), put(dy))
    for field in ("grad_weight", "grad_bias"):
        found = getattr(module, field)
        assert type(found) is type(module.weight)
        assert_close(to_host(found), getattr(right, field))


def test_dropout_in_training_draws_the_same_mask(standin):
    x, dy = normal(1, *IMAGES), normal(2, *IMAGES)
    modules = [nn.Dropout(0.5, rng=7) for _ in range(2)]
    for module in modules:
        module.training = True
    y, dx = modules[0].update_output(x), modules[0].update_grad_input(x, dy)
    moved = to_device(x)
    np.testing.assert_array_equal(to_host(modules[1].update_output(moved)), y)
    np.testing.assert_array_equal(to_host(modules[1].update_grad_input(moved, to_device(dy))), dx)


@pytest.mark.parametrize("padding", [0, 1])
def test_ties_and_nan_in_a_pool_are_decided_alike(standin, padding):
    x, dy = np.round(normal(1, 2, 8, 8, 3)), None
    x[0, 2:4, 2:4], x[1, ::3, 1::3], x[1, 5:, 5:] = 0, np.nan, -np.inf
    found = []
    for there in (here, to_device):
        module = nn.MaxPool2d(2, padding=padding)
        y = module.update_output(there(x))
        dy = normal(2, *y.shape)
        found.append([to_host(a) for a in (y, module.winner, module.update_grad_input(there(x), there(dy)))])
    for got, expected in zip(found[1], found[0], strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_rectifier_keeps_nan_and_what_is_behind_zeros_gets_none(standin):
    x = np.array([[-1.0, 0.0, -0.0, 2.0, np.nan, np.inf, -np.inf]])
    dy = np.array([[np.inf, np.nan, 1.0, 2.0, 3.0, 4.0, np.inf]])
    found = []
    for there in (here, to_device):
        module = nn.ReLU()
        found.append([to_host(array) for array in passes(module, there(x), there(dy))])
    np.testing.assert_array_equal(found[1][0], found[0][0])
    np.testing.assert_array_equal(found[1][1], found[0][1])
    np.testing.assert_array_equal(found[1][1], [[0, 0, 0, 2, 0, 4, 0]])
