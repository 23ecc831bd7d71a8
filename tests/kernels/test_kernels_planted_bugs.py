"""The checks of this folder find mistakes: one is planted in a copy of a kernel, and every check sees it.

A check that passes on a wrong kernel proves nothing when it passes on a right one.
"""

import numpy as np
import pytest
import reference
from kernel_checks import (
    Conv,
    Pool,
    assert_adjoint,
    assert_close,
    assert_complex_step,
    check_avg_pool_by_adjoint,
    check_avg_pool_by_loops,
    check_conv_by_adjoint,
    check_conv_by_loops,
    check_linear_by_adjoint,
    check_linear_by_loops,
    check_max_pool_by_loops,
    check_relu,
    check_softmax,
    draw,
)
from planted import changed, planted

from nst_manual.kernels import avg_pool, conv_direct, linear, max_pool, relu, softmax

# -- convolution: as many input as output channels, else a transposed kernel would not even fit --------------

SQUARE = Conv(x=(2, 6, 5, 4), out=4, stride=(2, 1), padding=(1, 1), dilation=(1, 2))
GROUPS = Conv(x=(2, 6, 5, 4), out=4, groups=2)

right = conv_direct
narrow = "float32"
CONV_DX = {
    "kernel not flipped on the way back": lambda dy, w, *rest: right.input_gradient(dy, w[::-1, ::-1], *rest),
    "kernel transposed in space": lambda dy, w, *rest: right.input_gradient(
        dy, w.transpose(1, 0, 2, 3), *rest
    ),
    "channels transposed": lambda dy, w, *rest: right.input_gradient(dy, w.transpose(0, 1, 3, 2), *rest),
    "last column lost": lambda *args: changed(right.input_gradient(*args), np.s_[:, :, -1], 0),
    "first row lost": lambda *args: changed(right.input_gradient(*args), np.s_[:, 0], 0),
    "corner pixel doubled": lambda *args: changed(right.input_gradient(*args), np.s_[:, 0, 0], 2),
    "one element off by a tenth": lambda *args: changed(right.input_gradient(*args), (1, 2, 3, 1), 1.1),
    "scaled by 1 + 1e-4": lambda *args: right.input_gradient(*args) * (1 + 1e-4),
    "sign": lambda *args: -right.input_gradient(*args),
    "computed in float32": lambda dy, w, *rest: right.input_gradient(
        dy.astype(narrow), w.astype(narrow), *rest
    ).astype(float),
    "shifted by a pixel": lambda *args: np.roll(right.input_gradient(*args), 1, axis=1),
    "second image forgotten": lambda *args: changed(right.input_gradient(*args), np.s_[1], 0),
    "dilation forgotten": lambda dy, w, shape, s, p, d, g: right.input_gradient(
        dy, w, shape, s, p, (1, 1), g
    ),
}
CONV_DW = {
    "dw flipped": lambda dw, db: (dw[::-1, ::-1], db),
    "dw with channels transposed": lambda dw, db: (dw.transpose(0, 1, 3, 2), db),
    "dw of one kernel position lost": lambda dw, db: (changed(dw, np.s_[2, 2], 0), db),
    "dw averaged over images": lambda dw, db: (dw / 2, db),
    "db averaged over pixels": lambda dw, db: (dw, db / 15),
    "dw rounded to float32": lambda dw, db: (dw.astype(narrow).astype(float), db),
}
CONV_FORWARD = {
    "convolution for cross-correlation": lambda x, w, b, *rest: right.forward(x, w[::-1, ::-1], b, *rest),
    "padding repeats the border": lambda x, w, b, s, p, d, g: right.forward(
        np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge"), w, b, s, (0, 0), d, g
    ),
    "bias added twice": lambda x, w, b, *rest: right.forward(x, w, None if b is None else 2 * b, *rest),
    "computed in float32": lambda x, w, b, *rest: right.forward(
        x.astype(narrow), w.astype(narrow), None if b is None else b.astype(narrow), *rest
    ).astype(float),
}
CONV_BUGS = (
    {f"dx: {name}": planted(right, input_gradient=bug) for name, bug in CONV_DX.items()}
    | {
        name: planted(
            right, parameter_gradients=lambda *args, bug=bug: bug(*right.parameter_gradients(*args))
        )
        for name, bug in CONV_DW.items()
    }
    | {f"y: {name}": planted(right, forward=bug) for name, bug in CONV_FORWARD.items()}
)


@pytest.mark.parametrize("check", [check_conv_by_loops, check_conv_by_adjoint])
def test_the_checks_pass_the_right_convolution(check):
    for case in (SQUARE, GROUPS):
        check(planted(right), case)


@pytest.mark.parametrize("check", [check_conv_by_loops, check_conv_by_adjoint])
@pytest.mark.parametrize("bug", CONV_BUGS.values(), ids=CONV_BUGS)
def test_a_wrong_convolution_is_found(bug, check):
    with pytest.raises(AssertionError):
        check(bug, SQUARE)


@pytest.mark.parametrize("check", [check_conv_by_loops, check_conv_by_adjoint])
def test_groups_in_the_wrong_order_are_found(check):
    def swapped(dy, w, *rest):
        return right.input_gradient(dy, np.roll(w, 2, axis=3), *rest)

    with pytest.raises(AssertionError):
        check(planted(right, input_gradient=swapped), GROUPS)


def test_a_mistake_common_to_forward_and_backward_is_found_by_the_loops():
    """Two wrong functions may be adjoint to each other; that is why there are loops besides."""
    consistent = planted(
        right,
        forward=lambda x, w, b, *rest: right.forward(x, w[::-1, ::-1], b, *rest),
        input_gradient=lambda dy, w, *rest: right.input_gradient(dy, w[::-1, ::-1], *rest),
        parameter_gradients=lambda *args: (
            right.parameter_gradients(*args)[0][::-1, ::-1],
            right.parameter_gradients(*args)[1],
        ),
    )
    check_conv_by_adjoint(consistent, SQUARE)
    with pytest.raises(AssertionError):
        check_conv_by_loops(consistent, SQUARE)


def test_upstream_gradients_of_ones_would_hide_an_unflipped_kernel():
    """Why no test here uses them: where every window is whole, the flipped kernel has the same sum."""
    x, w = draw(0, (1, 6, 6, 2), (3, 3, 2, 2))
    ones = np.ones((1, 4, 4, 2))
    rest = x.shape, (1, 1), (0, 0), (1, 1), 1
    inside = np.s_[:, 2:4, 2:4]
    flipped = right.input_gradient(ones, w[::-1, ::-1], *rest)
    np.testing.assert_allclose(flipped[inside], right.input_gradient(ones, w, *rest)[inside], rtol=1e-12)


# -- pooling -------------------------------------------------------------------------------------------------

AVERAGED = Pool(
    x=(2, 6, 7, 2), k=(3, 2), stride=(2, 2), padding=(1, 1), ceil_mode=True, count_include_pad=False
)
AVG_BUGS = {
    "dx: without the area": planted(
        avg_pool, input_gradient=lambda dy, *rest: 6 * avg_pool.input_gradient(dy, *rest)
    ),
    "dx: every window whole": planted(
        avg_pool,
        input_gradient=lambda dy, shape, k, s, p, mode: avg_pool.input_gradient(dy, shape, k, s, p, True),
    ),
    "y: padding counted": planted(
        avg_pool, forward=lambda x, k, s, p, ceil, mode: avg_pool.forward(x, k, s, p, ceil, True)
    ),
    "y: sum for average": planted(avg_pool, forward=lambda *args: 6 * avg_pool.forward(*args)),
    "dx: last row lost": planted(
        avg_pool, input_gradient=lambda *args: changed(avg_pool.input_gradient(*args), np.s_[:, -1], 0)
    ),
}


@pytest.mark.parametrize("check", [check_avg_pool_by_loops, check_avg_pool_by_adjoint])
@pytest.mark.parametrize("bug", AVG_BUGS.values(), ids=AVG_BUGS)
def test_a_wrong_average_pool_is_found(bug, check):
    check(avg_pool, AVERAGED)
    with pytest.raises(AssertionError):
        check(bug, AVERAGED)


def last_of_a_tie(x, *args):
    """Winners that are the last of the largest: those of the image upside down."""
    y, winner = max_pool.forward(x[:, ::-1, ::-1], *args)
    return y[:, ::-1, ::-1], 3 - winner[:, ::-1, ::-1]


def to_every_winner(dy, winner, x_shape, k, s, p, d):
    """Gives the gradient to all that tie, of the x that the check is known to draw."""
    x, _ = TIED.arrays_with_ties()
    y = np.repeat(np.repeat(max_pool.forward(x, k, s, p, d)[0], 2, axis=1), 2, axis=2)
    return np.repeat(np.repeat(dy, 2, axis=1), 2, axis=2) * (x == y)


def without_sum(dy, winner, x_shape, k, s, p, d):
    """Overwrites where windows overlap."""
    dx = np.zeros(x_shape)
    for n, i, j, c in np.ndindex(dy.shape):
        u, v = divmod(int(winner[n, i, j, c]), k[1])
        dx[n, i * s[0] + u - p[0], j * s[1] + v - p[1], c] = dy[n, i, j, c]
    return dx


TIED = Pool(x=(2, 6, 6, 2), ties=True)
OVERLAPPING = Pool(x=(2, 6, 6, 2), k=(3, 3), stride=(1, 1), padding=(1, 1))
MAX_BUGS = {
    "a tie goes to the last": (planted(max_pool, forward=last_of_a_tie), TIED),
    "a tie is paid twice": (planted(max_pool, input_gradient=to_every_winner), TIED),
    "overlapping windows overwrite": (planted(max_pool, input_gradient=without_sum), OVERLAPPING),
    "padded with zeros": (
        planted(
            max_pool,
            forward=lambda x, k, s, p, d, ceil: max_pool.forward(
                np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), k, s, (0, 0), d, ceil
            ),
        ),
        OVERLAPPING,
    ),
    "smallest for largest": (
        planted(
            max_pool,
            forward=lambda x, *rest: (-max_pool.forward(-x, *rest)[0], max_pool.forward(-x, *rest)[1]),
        ),
        OVERLAPPING,
    ),
}


@pytest.mark.parametrize(("bug", "case"), MAX_BUGS.values(), ids=MAX_BUGS)
def test_a_wrong_max_pool_is_found(bug, case):
    check_max_pool_by_loops(max_pool, case)
    with pytest.raises(AssertionError):
        check_max_pool_by_loops(bug, case)


# -- the others ----------------------------------------------------------------------------------------------

LINEAR_BUGS = {
    "dx: weight not transposed": planted(linear, input_gradient=lambda dy, w: dy @ w),
    "dw: transposed": planted(linear, parameter_gradients=lambda x, dy: (dy.T @ x, dy.sum(axis=0))),
    "dw: one image": planted(linear, parameter_gradients=lambda x, dy: (x[:1].T @ dy[:1], dy.sum(axis=0))),
    "dx: scaled by 1 + 1e-4": planted(linear, input_gradient=lambda dy, w: dy @ w.T * (1 + 1e-4)),
}


@pytest.mark.parametrize("check", [check_linear_by_loops, check_linear_by_adjoint])
@pytest.mark.parametrize("bug", LINEAR_BUGS.values(), ids=LINEAR_BUGS)
def test_a_wrong_linear_layer_is_found(bug, check):
    check(linear, 3, 4, 4)
    with pytest.raises(AssertionError):
        check(bug, 3, 4, 4)


RELU_BUGS = {
    "gradient passes at 0": planted(relu, input_gradient=lambda x, dy: dy * ~(x < 0)),
    "half of it passes at 0": planted(
        relu, input_gradient=lambda x, dy: dy * np.heaviside(np.nan_to_num(x, nan=-1), 0.5)
    ),
    "NaN painted over": planted(relu, forward=lambda x: np.where(x > 0, x, 0)),
    "leaky": planted(relu, forward=lambda x: np.maximum(x, 1e-6 * x)),
}


@pytest.mark.parametrize("bug", RELU_BUGS.values(), ids=RELU_BUGS)
def test_a_wrong_relu_is_found(bug):
    check_relu(relu)
    with pytest.raises(AssertionError):
        check_relu(bug)


SOFTMAX = softmax.softmax, softmax.softmax_input_gradient, reference.softmax, reference.softmax_dx
LOG_SOFTMAX = (
    softmax.log_softmax,
    softmax.log_softmax_input_gradient,
    reference.log_softmax,
    reference.log_softmax_dx,
)
SOFTMAX_BUGS = {
    "softmax: cross term dropped": (SOFTMAX, lambda y, dy: y * (1 - y) * dy),
    "softmax: sum over images too": (SOFTMAX, lambda y, dy: y * (dy - (dy * y).sum())),
    "softmax: scaled by 1 + 1e-12": (
        SOFTMAX,
        lambda y, dy: y * (dy - (dy * y).sum(-1, keepdims=True)) * (1 + 1e-12),
    ),
    "log-softmax: no exp": (LOG_SOFTMAX, lambda y, dy: dy - y * dy.sum(-1, keepdims=True)),
    "log-softmax: assumes an upstream that sums to 1": (LOG_SOFTMAX, lambda y, dy: dy - np.exp(y)),
}


@pytest.mark.parametrize(("case", "bug"), SOFTMAX_BUGS.values(), ids=SOFTMAX_BUGS)
def test_a_wrong_softmax_is_found_by_loops_and_by_complex_step(case, bug):
    forward, input_gradient, loops, loops_dx = case
    check_softmax(forward, input_gradient, loops, loops_dx, (3, 5))
    with pytest.raises(AssertionError):
        check_softmax(forward, bug, loops, loops_dx, (3, 5))
    x, dy = draw(0, (3, 5), (3, 5))
    with pytest.raises(AssertionError):
        assert_complex_step(forward, bug(forward(x), dy), x, dy)


def test_the_comparison_itself_sees_shapes_and_nan():
    x = np.ones((2, 3))
    with pytest.raises(AssertionError):
        assert_close(x[None], x)
    with pytest.raises(AssertionError):
        assert_close(np.full((2, 3), np.nan), x)
    with pytest.raises(AssertionError):
        assert_adjoint(lambda x: x * np.nan, lambda y: y, np.abs, x, x)
