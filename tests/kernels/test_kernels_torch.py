"""Every kernel against PyTorch in float64."""

from drawn_settings import convolutions, examples, poolings
from hypothesis import assume, given
from hypothesis import strategies as st
from kernel_checks import assert_close, bands_of, draw
from test_kernels_conv import every_algorithm
from torch_compare import (
    from_torch,
    kernel_from_torch,
    kernel_to_torch,
    output_and_gradients,
    to_torch,
    torch,
)

from nst_manual.kernels import avg_pool, linear, max_pool, relu, softmax
from nst_manual.nets.sizes import output_size

F = torch.nn.functional
images = st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 6))
seeds = st.integers(0, 2**16)


@every_algorithm
@given(data=st.data())
@examples(0.4)
def test_convolution_is_that_of_pytorch(algorithm, data):
    case = data.draw(convolutions(algorithm))
    x, w, b, dy = case.arrays()
    stride, padding, dilation, groups = case.geometry
    with bands_of(case.band_bytes):
        y = algorithm.forward(x, w, b, *case.geometry)
        dx = algorithm.input_gradient(dy, w, x.shape, *case.geometry)
        dw, db = algorithm.parameter_gradients(x, dy, w.shape, *case.geometry)
    expected_y, expected_dx, expected_dw, expected_db = output_and_gradients(
        lambda x, w, b: F.conv2d(x, w, b, stride, padding, dilation, groups),
        x,
        dy,
        kernel_to_torch(w),
        None if b is None else to_torch(b),
    )
    assert_close(y, expected_y)
    assert_close(dx, expected_dx)
    assert_close(dw, kernel_from_torch(expected_dw))
    if b is not None:
        assert_close(db, from_torch(expected_db))


@given(case=poolings(dilated=True))
@examples(0.6)
def test_max_pool_is_that_of_pytorch_ties_included(case):
    assume(case.sees_image)
    x, dy = case.arrays_with_ties()
    geometry = case.k, case.stride, case.padding, case.dilation
    y, winner = max_pool.forward(x, *geometry, case.ceil_mode)
    expected_y, expected_dx = output_and_gradients(
        lambda x: F.max_pool2d(x, *geometry, ceil_mode=case.ceil_mode), x, dy
    )
    assert_close(y, expected_y, 0)
    assert_close(max_pool.input_gradient(dy, winner, x.shape, *geometry), expected_dx)


@given(case=poolings())
@examples(0.6)
def test_average_pool_is_that_of_pytorch(case):
    x, dy = case.arrays()
    geometry, modes = (case.k, case.stride, case.padding), (case.ceil_mode, case.count_include_pad)
    expected_y, expected_dx = output_and_gradients(lambda x: F.avg_pool2d(x, *geometry, *modes), x, dy)
    assert_close(avg_pool.forward(x, *geometry, *modes), expected_y)
    assert_close(avg_pool.input_gradient(dy, x.shape, *geometry, case.count_include_pad), expected_dx)


@given(shape=images, seed=seeds)
def test_relu_is_that_of_pytorch(shape, seed):
    x, dy = draw(seed, shape, shape)
    x[..., 0] = 0
    y, dx = output_and_gradients(F.relu, x, dy)
    assert_close(relu.forward(x), y, 0)
    assert_close(relu.input_gradient(x, dy), dx, 0)


@given(shape=images, seed=seeds)
@examples(0.6)
def test_softmax_and_log_softmax_are_those_of_pytorch(shape, seed):
    x, dy = draw(seed, shape, shape)
    assume(shape[-1] > 1)  # else the gradient is 0, and a relative error says nothing
    y, dx = output_and_gradients(lambda x: F.softmax(x, dim=1), x, dy)
    assert_close(softmax.softmax(x), y)
    assert_close(softmax.softmax_input_gradient(y, dy), dx)
    y, dx = output_and_gradients(lambda x: F.log_softmax(x, dim=1), x, dy)
    assert_close(softmax.log_softmax(x), y)
    assert_close(softmax.log_softmax_input_gradient(y, dy), dx)


@given(n=st.integers(1, 4), c=st.integers(1, 9), o=st.integers(1, 9), seed=seeds)
def test_linear_is_that_of_pytorch(n, c, o, seed):
    x, w, b, dy = draw(seed, (n, c), (c, o), (o,), (n, o))
    y, dx, dw, db = output_and_gradients(F.linear, x, dy, kernel_to_torch(w), to_torch(b))
    assert_close(linear.forward(x, w, b), y)
    assert_close(linear.input_gradient(dy, w), dx)
    ours = linear.parameter_gradients(x, dy)
    assert_close(ours[0], kernel_from_torch(dw))
    assert_close(ours[1], from_torch(db))


def test_nan_passes_relu_and_max_pool_as_in_pytorch():
    x = draw(0, (1, 4, 4, 2))
    x[0, 1, 2, 0] = x[0, 3, 3, 1] = float("nan")
    assert torch.equal(to_torch(relu.forward(x)).isnan(), F.relu(to_torch(x)).isnan())
    y, _ = max_pool.forward(x, (2, 2), (2, 2), (0, 0))
    assert torch.equal(to_torch(y).isnan(), F.max_pool2d(to_torch(x), 2).isnan())


def test_ceil_mode_sizes_are_those_of_pytorch_for_every_small_geometry():
    for k in range(1, 5):
        for s in range(1, 5):
            for p in range(k // 2 + 1):
                for size in range(max(1, k - 2 * p), 10):
                    line = torch.zeros(1, 1, size)
                    for ceil_mode in (False, True):
                        expected = F.max_pool1d(line, k, s, p, ceil_mode=ceil_mode).shape[2]
                        assert output_size(size, k, s, p, 1, ceil_mode) == expected, (
                            size,
                            k,
                            s,
                            p,
                            ceil_mode,
                        )
