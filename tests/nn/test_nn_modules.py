"""Each module computes what its kernel does, with the settings it was given."""

import numpy as np
import pytest
from kernel_checks import assert_adjoint, assert_close, assert_complex_step, draw
from module_samples import PREPROCESSING, SAMPLES, input_and_upstream

from nst_manual import nn
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import avg_pool, linear, max_pool, relu, softmax
from nst_manual.kernels.conv import algorithms_on
from nst_manual.store import CAFFE_BGR, Preprocessing

ALGORITHMS = algorithms_on("cpu")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("bias", [True, False])
def test_conv2d_is_its_kernel(algorithm, bias):
    k, *rest = (3, 2), (2, 1), (1, 0), (1, 2), 2
    if not ALGORITHMS[algorithm].supports(k, *rest):
        k, *rest = (3, 3), (1, 1), (1, 0), (1, 1), 1
    module = nn.Conv2d(4, 6, k, *rest, bias, algorithm=algorithm, rng=0, dtype="float64")
    module.training = True
    x = draw(1, (2, 7, 6, 4))
    if bias:
        module.bias = draw(2, (6,))
    y = module.forward(x)
    dy = draw(3, y.shape)
    dx = module.backward(x, dy)
    kernel = ALGORITHMS[algorithm]
    np.testing.assert_array_equal(y, kernel.forward(x, module.weight, module.bias, *rest))
    np.testing.assert_array_equal(dx, kernel.input_gradient(dy, module.weight, x.shape, *rest))
    dw, db = kernel.parameter_gradients(x, dy, module.weight.shape, *rest)
    np.testing.assert_array_equal(module.grad_weight, dw)
    if bias:
        np.testing.assert_array_equal(module.grad_bias, db)
    else:
        assert module.bias is None
        assert module.grad_bias is None


@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_its_kernel(bias):
    module = nn.Linear(5, 3, bias, rng=0, dtype="float64")
    module.training = True
    x, dy = draw(1, (4, 5), (4, 3))
    np.testing.assert_array_equal(module.forward(x), linear.forward(x, module.weight, module.bias))
    np.testing.assert_array_equal(module.backward(x, dy), linear.input_gradient(dy, module.weight))
    dw, db = linear.parameter_gradients(x, dy)
    np.testing.assert_array_equal(module.grad_weight, dw)
    if bias:
        np.testing.assert_array_equal(module.grad_bias, db)
    else:
        assert module.grad_bias is None


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool_is_its_kernel(ceil_mode):
    geometry = (3, 2), (2, 3), (1, 0), (1, 2)
    module = nn.MaxPool2d(*geometry, ceil_mode)
    x = draw(0, (2, 8, 9, 3))
    y, winner = max_pool.forward(x, *geometry, ceil_mode)
    dy = draw(1, y.shape)
    np.testing.assert_array_equal(module.forward(x), y)
    np.testing.assert_array_equal(
        module.backward(x, dy), max_pool.input_gradient(dy, winner, x.shape, *geometry)
    )
    assert module.winner.dtype == np.uint8


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("counted", [False, True])
def test_average_pool_is_its_kernel(ceil_mode, counted):
    geometry = (3, 2), (2, 3), (1, 0)
    module = nn.AvgPool2d(*geometry, ceil_mode, counted)
    x = draw(0, (2, 8, 9, 3))
    y = avg_pool.forward(x, *geometry, ceil_mode, counted)
    dy = draw(1, y.shape)
    np.testing.assert_array_equal(module.forward(x), y)
    np.testing.assert_array_equal(
        module.backward(x, dy), avg_pool.input_gradient(dy, x.shape, *geometry, counted)
    )


@pytest.mark.parametrize("pool", [nn.MaxPool2d, nn.AvgPool2d, nn.L2Pool2d])
def test_a_pool_without_a_stride_steps_by_its_size(pool):
    assert pool((3, 2)).stride == (3, 2)
    assert pool(3, 1).stride == (1, 1)


def test_relu_softmax_and_log_softmax_are_their_kernels():
    x, dy = draw(0, (2, 3, 4, 5), (2, 3, 4, 5))
    np.testing.assert_array_equal(nn.ReLU().forward(x), relu.forward(x))
    np.testing.assert_array_equal(nn.ReLU().backward(x, dy), relu.input_gradient(x, dy))
    y = softmax.softmax(x)
    np.testing.assert_array_equal(nn.Softmax().forward(x), y)
    np.testing.assert_array_equal(nn.Softmax().backward(x, dy), softmax.softmax_input_gradient(y, dy))
    y = softmax.log_softmax(x)
    np.testing.assert_array_equal(nn.LogSoftmax().forward(x), y)
    np.testing.assert_array_equal(nn.LogSoftmax().backward(x, dy), softmax.log_softmax_input_gradient(y, dy))


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax", "L2Pool2d", "L2Pool2d scaled"])
def test_gradients_of_smooth_modules_are_the_complex_step(name):
    make, shape = SAMPLES[name]
    x, dy = input_and_upstream(make, shape)
    assert_complex_step(lambda moved: make().forward(moved), make().backward(x, dy), x, dy)


def test_flatten_puts_rows_first_channels_last_and_is_its_own_adjoint():
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    assert nn.Flatten().forward(x).tolist() == [list(range(24))]
    x, dy = draw(0, (2, 3, 4, 5), (2, 60))
    module = nn.Flatten()
    assert_adjoint(module.forward, lambda dy: module.backward(x, dy), module.forward, x, dy)
    assert module.forward(x)[1, (2 * 4 + 3) * 5 + 1] == x[1, 2, 3, 1]


def test_flatten_copies_nothing():
    x = np.zeros((2, 3, 4, 5))
    assert np.shares_memory(nn.Flatten().update_output(x), x)


def test_preprocess_reverses_channels_scales_and_subtracts_the_mean():
    x = np.array([10.0, 20.0, 30.0]).reshape(1, 1, 1, 3)
    y = nn.Preprocess(PREPROCESSING, "float64").forward(x)
    expected = [(15 - 104) / 2, (10 - 117) / 3, (5 - 124) / 4]
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-15)
    y = nn.Preprocess(Preprocessing("RGB", (1.0, 2.0, 3.0)), "float64").forward(x)
    assert y.ravel().tolist() == [9, 18, 27]
    y = nn.Preprocess(CAFFE_BGR, "float64").forward(x)
    np.testing.assert_allclose(y.ravel(), [30 - 103.939, 20 - 116.779, 10 - 123.68], rtol=1e-15)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_preprocess_backward_is_the_adjoint_of_its_linear_part(order):
    module = nn.Preprocess(Preprocessing(order, (1.0, 2.0, 3.0), 0.25, (1.0, 2.0, 4.0)), "float64")
    x, dy = draw(0, (2, 3, 4, 3), (2, 3, 4, 3))

    def linear_part(x):
        return module.forward(x) - module.forward(np.zeros_like(x))

    # the mean, added and taken off again, rounds too
    assert_adjoint(linear_part, lambda dy: module.backward(x, dy), lambda x: linear_part(x) + 1, x, dy)


def test_pixels_become_numbers_of_the_weights_type():
    pixels = np.zeros((1, 2, 2, 3), "uint8")
    assert nn.Preprocess(CAFFE_BGR, "float32").forward(pixels).dtype == "float32"
    assert nn.Preprocess(CAFFE_BGR, "float64").forward(pixels).dtype == "float64"


def test_a_replaced_weight_is_used_and_its_type_counts():
    module = nn.Conv2d(3, 4, 3, rng=0)
    x = draw(0, (1, 5, 5, 3)).astype("float32")
    assert module.forward(x).dtype == "float32"
    module.weight, module.bias = draw(1, (3, 3, 3, 4), (4,))
    y = module.forward(x)
    assert y.dtype == float
    expected = ALGORITHMS[module.chosen].forward(x, module.weight, module.bias, (1, 1), (0, 0), (1, 1), 1)
    np.testing.assert_array_equal(y, expected)
    dx = module.backward(x, y)
    assert dx.dtype == float
    assert_close(
        dx, ALGORITHMS["direct"].input_gradient(y, module.weight, x.shape, (1, 1), (0, 0), (1, 1), 1)
    )


@pytest.mark.parametrize(
    ("attribute", "shape", "message"),
    [
        ("weight", (4, 3, 3, 3), r"Conv2d, weight: expected shape \(3, 3, 3, 4\), got \(4, 3, 3, 3\)"),
        ("bias", (3,), r"Conv2d, bias: expected shape \(4,\), got \(3,\)"),
    ],
)
def test_a_replaced_parameter_of_the_wrong_shape_is_a_shape_error(attribute, shape, message):
    module = nn.Conv2d(3, 4, 3)
    setattr(module, attribute, np.zeros(shape))
    with pytest.raises(ShapeError, match=message):
        module.forward(np.zeros((1, 5, 5, 3)))


def test_given_parameters_are_taken_as_they_are():
    w, b = draw(0, (3, 3, 2, 4), (4,))
    module = nn.Conv2d(2, 4, 3, parameters=(w, b))
    assert module.weight is w
    assert module.bias is b
    matrix = draw(1, (2, 4))
    module = nn.Linear(2, 4, parameters=(matrix, b))
    assert module.weight is matrix
    with pytest.raises(ShapeError, match="Conv2d, weight: expected shape"):
        nn.Conv2d(2, 4, 3, parameters=(w[..., :3], b))
    with pytest.raises(ShapeError, match="Linear, bias: expected shape"):
        nn.Linear(2, 4, parameters=(matrix, b[:3]))


@pytest.mark.parametrize(
    "make", [lambda rng: nn.Conv2d(16, 64, 3, rng=rng), lambda rng: nn.Linear(144, 64, rng=rng)]
)
def test_drawn_weights_follow_he_and_the_seed(make):
    module = make(5)
    assert module.weight.dtype == "float32"
    assert module.weight.std() == pytest.approx((2 / 144) ** 0.5, rel=0.02)
    assert not module.bias.any()
    np.testing.assert_array_equal(make(5).weight, module.weight)
    assert (make(6).weight != module.weight).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups: 2 does not divide 3 and 4 channels"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "groups: 2 does not divide 4 and 3 channels"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), "groups: 0 does not divide"),
        (lambda: nn.Conv2d(4, 4, 0), "kernel_size: expected an int or a pair of ints of at least 1, got 0"),
        (lambda: nn.Conv2d(4, 4, (3, 0)), "kernel_size: expected"),
        (lambda: nn.Conv2d(4, 4, (3, 3, 3)), "kernel_size: expected"),
        (
            lambda: nn.Conv2d(4, 4, 3, stride=0),
            "stride: expected an int or a pair of ints of at least 1, got 0",
        ),
        (
            lambda: nn.Conv2d(4, 4, 3, padding=-1),
            "padding: expected an int or a pair of ints of at least 0, got -1",
        ),
        (lambda: nn.Conv2d(4, 4, 3, dilation=0), "dilation: expected"),
        (lambda: nn.Conv2d(4, 4, 3, algorithm="direkt"), "did you mean 'direct'"),
        (lambda: nn.Conv2d(0, 4, 3), "in_channels"),
        (lambda: nn.Conv2d(4, 0, 3), "out_channels"),
        (lambda: nn.Linear(0, 4), "in_features"),
        (lambda: nn.Linear(4, 0), "out_features"),
        (lambda: nn.MaxPool2d(0), "kernel_size: expected"),
        (lambda: nn.MaxPool2d(2, 0), "stride: expected"),
        (
            lambda: nn.MaxPool2d(3, padding=2),
            r"padding: expected at most half the kernel size \(3, 3\), got \(2, 2\)",
        ),
        (lambda: nn.MaxPool2d((4, 2), padding=2), "padding: expected at most half"),
        (lambda: nn.MaxPool2d(2, dilation=0), "dilation: expected"),
        (lambda: nn.AvgPool2d(0), "kernel_size: expected"),
        (lambda: nn.AvgPool2d(2, 0), "stride: expected"),
        (lambda: nn.AvgPool2d(3, padding=2), "padding: expected at most half"),
        (lambda: nn.AvgPool2d(3, scale=0), "scale: expected a number above 0, got 0"),
        (lambda: nn.L2Pool2d(0), "kernel_size: expected"),
        (lambda: nn.L2Pool2d(2, 0), "stride: expected"),
        (lambda: nn.L2Pool2d(3, padding=2), "padding: expected at most half"),
        (lambda: nn.L2Pool2d(3, scale=-1), "scale: expected a number above 0, got -1"),
        (lambda: nn.L2Pool2d(3, scale=float("nan")), "scale: expected a number above 0, got nan"),
        (lambda: nn.ReplicationPad2d(-1), "padding: expected an int or a pair of ints of at least 0, got -1"),
        (lambda: nn.ReplicationPad2d((1, 1, 2, 2)), "padding: expected an int or a pair"),
        (lambda: nn.Dropout(-0.1), "p: expected a probability"),
        (lambda: nn.Dropout(1.1), "p: expected a probability"),
    ],
)
def test_settings_that_make_no_sense_are_usage_errors(make, message):
    with pytest.raises(UsageError, match=message):
        make()
