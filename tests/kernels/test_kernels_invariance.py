"""What holds for every kernel: types, `out=`, inputs left alone, memory layout, batches, the upstream."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from kernel_checks import assert_close, draw, rounding, scattered

from nst_manual.kernels import avg_pool, gram, l2_pool, linear, max_pool, relu, replication_pad, softmax
from nst_manual.kernels.conv import algorithms_on

ALGORITHMS = algorithms_on("cpu")

X, Y = (2, 7, 6, 4), (2, 4, 6, 6)
W = (3, 2, 2, 6)
CONV = (2, 1), (1, 1), (1, 2), 2  # stride, padding, dilation, groups
POOL = (3, 2), (2, 2), (1, 1)
POOLED = (2, 4, 4, 4)


@dataclass
class Call:
    """A kernel call: the function of its arrays, their shapes, and what may be asked of it."""

    function: object
    shapes: list
    batched: tuple = (0,)  # which arrays have N as their first axis
    upstream: int | None = None  # which array the result is linear in
    whole_batch: bool = False  # the result is a sum over the batch
    out: bool = True
    rounding: int = 1  # by how much more than a direct sum it may round
    make: list = field(default_factory=list)  # what to do to drawn arrays before the call

    def arrays(self, dtype="float64"):
        """Draw the arrays."""
        arrays = draw(3, *self.shapes, dtype=dtype)
        arrays = arrays if isinstance(arrays, list) else [arrays]
        for index, change in self.make:
            arrays[index] = change(arrays)
        return arrays


def winners(arrays):
    """The winners of a max-pool, for the test of its backward."""
    return max_pool.forward(draw(4, X), *POOL)[1]


def roots(arrays):
    """What L2 pooling makes of the first array, for the test of its backward."""
    return l2_pool.forward(arrays[0], *POOL)


def parts(result):
    """The results of a kernel that returns several."""
    return result if isinstance(result, tuple) else (result,)


CALLS = {
    "max-pool": Call(lambda x, **o: max_pool.forward(x, *POOL, **o)[0], [X]),
    "max-pool dilated, ceil": Call(
        lambda x, **o: max_pool.forward(x, (2, 2), (2, 3), (0, 1), (2, 2), True, **o)[0], [X]
    ),
    "max-pool dx": Call(
        lambda dy, winner, **o: max_pool.input_gradient(dy, winner, (len(dy), *X[1:]), *POOL, **o),
        [POOLED, POOLED],
        batched=(0, 1),
        upstream=0,
        make=[(1, winners)],
    ),
    "avg-pool": Call(lambda x, **o: avg_pool.forward(x, *POOL, **o), [X]),
    "avg-pool ceil, without padding": Call(lambda x, **o: avg_pool.forward(x, *POOL, True, False, **o), [X]),
    "avg-pool dx": Call(
        lambda dy, **o: avg_pool.input_gradient(dy, (len(dy), *X[1:]), *POOL, **o), [POOLED], upstream=0
    ),
    "L2 pool": Call(lambda x, **o: l2_pool.forward(x, *POOL, **o), [X]),
    "L2 pool, ceil": Call(lambda x, **o: l2_pool.forward(x, *POOL[:2], (0, 0), True, **o), [X]),
    "L2 pool dx": Call(
        lambda x, y, dy, **o: l2_pool.input_gradient(x, y, dy, *POOL, **o),
        [X, POOLED, POOLED],
        batched=(0, 1, 2),
        upstream=2,
        make=[(1, roots)],
    ),
    "replication": Call(lambda x, **o: replication_pad.forward(x, (2, 1), **o), [X]),
    "replication dx": Call(lambda dy, **o: replication_pad.input_gradient(dy, (2, 1), **o), [X], upstream=0),
    "linear": Call(linear.forward, [(2, 5), (5, 3), (3,)]),
    "linear dx": Call(linear.input_gradient, [(2, 3), (5, 3)], upstream=0),
    "linear dw, db": Call(
        linear.parameter_gradients, [(2, 5), (2, 3)], batched=(0, 1), upstream=1, whole_batch=True, out=False
    ),
    "relu": Call(relu.forward, [X]),
    "relu dx": Call(relu.input_gradient, [X, X], batched=(0, 1), upstream=1),
    "softmax": Call(softmax.softmax, [X]),
    "softmax dx": Call(softmax.softmax_input_gradient, [X, X], batched=(0, 1), upstream=1),
    "log-softmax": Call(softmax.log_softmax, [X]),
    "log-softmax dx": Call(softmax.log_softmax_input_gradient, [X, X], batched=(0, 1), upstream=1),
    "gram": Call(gram.forward, [X], out=False),
    "gram dx": Call(gram.input_gradient, [X, (2, 4, 4)], batched=(0, 1), upstream=1),
}


def forward_call(algorithm, w, stride, padding, dilation, groups):
    """An algorithm of convolution forward, with bias."""
    return Call(
        lambda x, w, b, **o: algorithm.forward(x, w, b, stride, padding, dilation, groups, **o),
        [X, w, (w[3],)],
        rounding=rounding(algorithm),
    )


def backward_call(algorithm, dy, w, *geometry):
    """An algorithm of convolution backward."""
    return Call(
        lambda dy, w, **o: algorithm.input_gradient(dy, w, (len(dy), *X[1:]), *geometry, **o),
        [dy, w],
        upstream=0,
        rounding=rounding(algorithm),
    )


SQUARE = (3, 3, 4, 5)
for name, algorithm in ALGORITHMS.items():
    geometries = {  # the shapes of w and y, stride, padding, dilation, groups
        "": (W, Y, *CONV),
        ", one group": (SQUARE, (2, 7, 6, 5), (1, 1), (1, 1), (1, 1), 1),
        ", no padding": (SQUARE, (2, 5, 4, 5), (1, 1), (0, 0), (1, 1), 1),
        ", 1x1": ((1, 1, 4, 5), (2, 7, 6, 5), (1, 1), (0, 0), (1, 1), 1),
        ", stride": (SQUARE, (2, 3, 4, 5), (2, 1), (0, 0), (1, 1), 1),
    }
    for text, (w, y, *geometry) in geometries.items():
        if algorithm.supports(w[:2], *geometry):
            CALLS[f"conv {name}{text}"] = forward_call(algorithm, w, *geometry)
            CALLS[f"conv {name} dx{text}"] = backward_call(algorithm, y, w, *geometry)
    CALLS[f"conv {name} dw, db"] = Call(
        lambda x, dy, a=algorithm: a.parameter_gradients(x, dy, W, *CONV),
        [X, Y],
        batched=(0, 1),
        upstream=1,
        whole_batch=True,
        out=False,
    )

every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
with_out = {name: call for name, call in CALLS.items() if call.out}
every_call_with_out = pytest.mark.parametrize("call", with_out.values(), ids=with_out)
linear_in_upstream = {name: call for name, call in CALLS.items() if call.upstream is not None}
every_backward = pytest.mark.parametrize("call", linear_in_upstream.values(), ids=linear_in_upstream)


@every_call
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_results_have_the_type_of_the_inputs(call, dtype):
    for result in parts(call.function(*call.arrays(dtype))):
        assert result.dtype == dtype


@every_call
def test_real_numbers_written_as_complex_give_the_same(call):
    arrays = call.arrays()
    written = [a.astype(complex) if a.dtype.kind == "f" else a for a in arrays]
    for got, expected in zip(parts(call.function(*written)), parts(call.function(*arrays)), strict=True):
        assert_close(got.real, expected, 1e-14 * call.rounding)
        assert not got.imag.any()


@every_call
def test_inputs_are_not_written(call):
    arrays = call.arrays()
    for array in arrays:
        array.flags.writeable = False
    before = [array.copy() for array in arrays]
    results = parts(call.function(*arrays))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not any(np.shares_memory(result, array) for result in results)


@every_call
def test_the_same_call_twice_gives_the_same_bits(call):
    arrays = call.arrays()
    for first, second in zip(parts(call.function(*arrays)), parts(call.function(*arrays)), strict=True):
        np.testing.assert_array_equal(first, second)


@every_call
def test_inputs_that_lie_apart_in_memory_give_the_same(call):
    arrays = call.arrays()
    apart = [scattered(array) for array in arrays]
    for got, expected in zip(parts(call.function(*apart)), parts(call.function(*arrays)), strict=True):
        assert_close(got, expected, 1e-14 * call.rounding)


@every_call
def test_images_with_channels_first_in_memory_give_the_same(call):
    arrays = call.arrays()
    turned = [
        np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 1)), 1, -1) if a.ndim == 4 else a for a in arrays
    ]
    for got, expected in zip(parts(call.function(*turned)), parts(call.function(*arrays)), strict=True):
        assert_close(got, expected, 1e-14 * call.rounding)


@every_call_with_out
def test_out_is_filled_and_returned(call):
    arrays = call.arrays()
    expected = call.function(*arrays)
    out = np.full_like(expected, np.nan)
    assert call.function(*arrays, out=out) is out
    assert_close(out, expected, 1e-14 * call.rounding)


@every_call_with_out
def test_out_that_lies_apart_in_memory_is_filled_and_returned(call):
    arrays = call.arrays()
    expected = call.function(*arrays)
    out = scattered(np.full_like(expected, 7))
    assert call.function(*arrays, out=out) is out
    assert_close(out, expected, 1e-14 * call.rounding)


@every_call
def test_two_images_give_twice_what_one_gives(call):
    arrays = call.arrays()
    both = parts(call.function(*arrays))
    single = [
        parts(call.function(*(a[n : n + 1] if i in call.batched else a for i, a in enumerate(arrays))))
        for n in (0, 1)
    ]
    for got, first, second in zip(both, *single, strict=True):
        expected = first + second if call.whole_batch else np.concatenate([first, second])
        assert_close(got, expected, 1e-14 * call.rounding)


@every_backward
def test_no_upstream_gives_exactly_no_gradient(call):
    arrays = call.arrays()
    arrays[call.upstream] = np.zeros_like(arrays[call.upstream])
    assert not any(result.any() for result in parts(call.function(*arrays)))


@every_backward
def test_the_gradient_is_linear_in_the_upstream(call):
    arrays, at = call.arrays(), call.upstream
    other = draw(9, arrays[at].shape)

    def gradients(dy):
        return parts(call.function(*arrays[:at], dy, *arrays[at + 1 :]))

    together = gradients(3 * arrays[at] - 2 * other)
    for got, first, second in zip(together, gradients(arrays[at]), gradients(other), strict=True):
        assert_close(got, 3 * first - 2 * second, 1e-14 * call.rounding)
