"""What holds for every module: who owns arrays, when forward is run again, what is kept and what is freed."""

import numpy as np
import pytest
from kernel_checks import assert_close, draw
from module_samples import SAMPLES, input_and_upstream, small_network, with_gradient_sums

from nst_manual import nn
from nst_manual.errors import ShapeError

every_module = pytest.mark.parametrize(("make", "shape"), SAMPLES.values(), ids=SAMPLES)


@every_module
def test_forward_and_backward_return_arrays_of_the_callers_own(make, shape):
    module = make()
    x, dy = input_and_upstream(make, shape)
    y, dx = module.forward(x), module.backward(x, dy)
    kept_y, kept_dx = y.copy(), dx.copy()
    again = module.forward(x + 1), module.backward(x + 1, 2 * dy)
    np.testing.assert_array_equal(y, kept_y)
    np.testing.assert_array_equal(dx, kept_dx)
    for array in (y, dx):
        assert not any(np.shares_memory(array, other) for other in (x, dy, *again))
        array[...] = 0  # and may be written
    np.testing.assert_array_equal(module.forward(x), kept_y)
    np.testing.assert_array_equal(module.backward(x, dy), kept_dx)


@every_module
def test_inputs_are_not_written(make, shape):
    x, dy = input_and_upstream(make, shape)
    x.flags.writeable = dy.flags.writeable = False
    module = with_gradient_sums(make())
    module.forward(x)
    module.backward(x, dy)


@every_module
def test_backward_without_forward_runs_it(make, shape):
    x, dy = input_and_upstream(make, shape)
    module = make()
    module.forward(x)
    np.testing.assert_array_equal(make().backward(x, dy), module.backward(x, dy))


@every_module
def test_backward_of_another_input_runs_forward_again(make, shape):
    x, dy = input_and_upstream(make, shape)
    other = draw(5, shape)
    module = make()
    module.forward(other)
    np.testing.assert_array_equal(module.backward(x, dy), make().backward(x, dy))
    assert_close(module.output, make().forward(x), 0)


@pytest.mark.parametrize(
    "name",
    [
        *("Conv2d", "ReLU", "MaxPool2d", "AvgPool2d", "L2Pool2d", "L2Pool2d scaled", "ReplicationPad2d"),
        *("Linear", "Softmax", "Preprocess"),
    ],
)
def test_buffers_are_the_same_object_until_shape_or_type_change(name):
    make, shape = SAMPLES[name]
    module = make()
    x, dy = input_and_upstream(make, shape)
    y, dx = module.update_output(x), module.update_grad_input(x, dy)
    assert module.update_output(x + 1) is y
    assert module.update_grad_input(x + 1, dy) is dx
    assert module.update_output(x[:1]) is not y
    assert module.update_output(x) is not y
    assert module.update_output(x.astype(complex)).dtype == complex


def test_the_second_pass_of_a_network_makes_no_new_buffers():
    network = small_network()
    x, dy = draw(0, (2, 6, 6, 3), (2, 5))

    def buffers():
        network.update_output(x)
        network.update_grad_input(x, dy)
        # flatten and dropout hand on views of their neighbours' buffers
        own = [module for module in network if not isinstance(module, (nn.Flatten, nn.Dropout))]
        return [array for module in own for array in (module.output, module.grad_input)]

    assert all(first is second for first, second in zip(buffers(), buffers(), strict=True))


@every_module
def test_clear_state_frees_every_buffer_and_nothing_is_lost(make, shape):
    module = make()
    x, dy = input_and_upstream(make, shape)
    dx = module.backward(x, dy)
    module.clear_state()
    assert not any(getattr(part, name) is not None for part in parts(module) for name in part.buffers)
    np.testing.assert_array_equal(module.backward(x, dy), dx)


def parts(module):
    """The module and all that are in it."""
    return [module, *(inner for child in getattr(module, "modules", []) for inner in parts(child))]


@every_module
@pytest.mark.parametrize("change", ["longer", "flat"])
def test_an_upstream_gradient_of_another_shape_is_a_shape_error(make, shape, change):
    x, dy = input_and_upstream(make, shape)
    wrong = np.concatenate([dy, dy]) if change == "longer" else dy.ravel()
    module = make()
    with pytest.raises(ShapeError, match="upstream gradient: expected shape"):
        module.backward(x, wrong)


@every_module
def test_the_gradient_is_linear_in_the_upstream_and_zero_gives_exactly_zero(make, shape):
    x, dy = input_and_upstream(make, shape)
    module = make()
    assert not module.backward(x, np.zeros_like(dy)).any()
    assert_close(module.backward(x, -2 * dy), -2 * module.backward(x, dy), 1e-14)


@every_module
def test_two_images_give_twice_what_one_gives(make, shape):
    x, dy = input_and_upstream(make, shape)
    module = make()
    y, dx = module.forward(x), module.backward(x, dy)
    for n in range(len(x)):
        assert_close(module.forward(x[n : n + 1]), y[n : n + 1], 1e-14)
        assert_close(module.backward(x[n : n + 1], dy[n : n + 1]), dx[n : n + 1], 1e-13)


@every_module
@pytest.mark.parametrize("kind", ["uint8", "int64"])
def test_integers_are_taken_as_the_same_floats(make, shape, kind):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(kind)
    dy = input_and_upstream(make, shape)[1]
    module = make()
    y, dx = module.forward(pixels), module.backward(pixels, dy)
    same = pixels.astype("float32")
    np.testing.assert_array_equal(y, make().forward(same))
    np.testing.assert_array_equal(dx, make().backward(same, dy))


def test_a_list_of_numbers_is_taken_as_float64():
    y = nn.ReLU().forward([[-1, 2], [3, -4]])
    assert y.dtype == float
    assert y.tolist() == [[0, 2], [3, 0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_have_the_type_of_input_and_weights(dtype):
    x = draw(0, (2, 6, 6, 3)).astype(dtype)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, dtype=dtype), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Softmax()
    )
    y = network.forward(x)
    assert y.dtype == dtype
    assert network.backward(x, y).dtype == dtype


def test_a_module_on_its_own_is_the_identity_without_loss_or_parameters():
    x = draw(0, (2, 3))
    module = nn.Module()
    np.testing.assert_array_equal(module.forward(x), x)
    np.testing.assert_array_equal(module.backward(x, 2 * x), 2 * x)
    assert module.loss == 0
    assert module.parameters() == []


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (
            nn.Conv2d(3, 4, 3),
            (1, 5, 5, 2),
            r"Conv2d, input: expected 3 channels \(last axis\), got shape \(1, 5, 5, 2\)",
        ),
        (nn.Conv2d(3, 4, 3), (5, 5, 3), r"Conv2d, input: expected \(N, H, W, C\), got shape \(5, 5, 3\)"),
        (nn.Conv2d(3, 4, 3), (1, 2, 5, 3), "2 x 5 pixels do not hold one window, expected at least 3 x 3"),
        (nn.MaxPool2d(2), (5, 5), r"MaxPool2d, input: expected \(N, H, W, C\)"),
        (nn.MaxPool2d(2), (1, 1, 5, 3), "1 x 5 pixels do not hold one window"),
        (nn.AvgPool2d(2), (5, 5), r"AvgPool2d, input: expected \(N, H, W, C\)"),
        (nn.AvgPool2d(2), (1, 5, 1, 3), "5 x 1 pixels do not hold one window"),
        (nn.L2Pool2d(2), (5, 5), r"L2Pool2d, input: expected \(N, H, W, C\)"),
        (nn.L2Pool2d(2), (1, 5, 1, 3), "5 x 1 pixels do not hold one window"),
        (nn.ReplicationPad2d(1), (5, 5), r"ReplicationPad2d, input: expected \(N, H, W, C\)"),
        (nn.ReplicationPad2d(1), (1, 5, 0, 3), "ReplicationPad2d, input: expected at least one pixel"),
        (nn.Linear(3, 4), (2, 5), r"Linear, input: expected \(N, 3\), got shape \(2, 5\)"),
        (nn.Linear(3, 4), (3,), r"Linear, input: expected \(N, 3\), got shape \(3,\)"),
        (
            nn.Preprocess(SAMPLES["Preprocess"][0]().settings),
            (1, 5, 5, 1),
            "Preprocess, input: expected 3 channels",
        ),
    ],
)
def test_an_input_of_the_wrong_shape_is_a_shape_error_that_says_what_was_expected(module, shape, message):
    with pytest.raises(ShapeError, match=message):
        module.forward(np.zeros(shape))


def test_every_module_prints_its_settings():
    assert repr(nn.Conv2d(4, 6, 3)) == "Conv2d(4, 6, (3, 3))"
    assert repr(nn.Conv2d(4, 6, 3, 2, 1, (1, 2), 2, bias=False)) == (
        "Conv2d(4, 6, (3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 2), groups=2, bias=False)"
    )
    assert repr(nn.MaxPool2d(3, 2)) == (
        "MaxPool2d((3, 3), stride=(2, 2), padding=(0, 0), dilation=(1, 1), ceil_mode=False)"
    )
    assert repr(nn.AvgPool2d(2)) == (
        "AvgPool2d((2, 2), stride=(2, 2), padding=(0, 0), ceil_mode=False, count_include_pad=True)"
    )
    assert repr(nn.AvgPool2d(2, scale=2)).endswith("count_include_pad=True, scale=2)")
    assert repr(nn.L2Pool2d(2)) == "L2Pool2d((2, 2), stride=(2, 2), padding=(0, 0), ceil_mode=False)"
    assert repr(nn.L2Pool2d(2, scale=0.78)).endswith("ceil_mode=False, scale=0.78)")
    assert repr(nn.ReplicationPad2d((1, 2))) == "ReplicationPad2d((1, 2))"
    assert repr(nn.Linear(3, 4, bias=False)) == "Linear(3, 4, bias=False)"
    assert repr(nn.Dropout(0.25)) == "Dropout(0.25)"
    assert repr(nn.ReLU()) == "ReLU()"
    assert len(repr(small_network()).splitlines()) == 12
