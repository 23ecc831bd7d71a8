"""The checks that the tests of kernels are made of; each raises AssertionError.

`tests/kernels/test_kernels_planted_bugs.py` holds the checks themselves to account: it plants mistakes and
asserts that these functions find them.
"""

import contextlib
from dataclasses import dataclass

import numpy as np
import pytest
import reference

from nst_manual.kernels import conv_matmul, conv_planes, conv_winograd
from nst_manual.kernels.conv_winograd import winograd, winograd6
from nst_manual.kernels.window import output_shape

EPS = np.finfo(float).eps
# Sums of a few hundred terms round off by a few eps of the magnitudes summed; a wrong term shows far above.
ADJOINT_FACTOR = 50
# Winograd's transforms add and subtract numbers of different size; its results round off so many times as
# much, by the side of its tiles.
WINOGRAD_ROUNDING = {4: 10, 6: 15}


def draw(seed, *shapes, dtype=float):
    """Return normal arrays of the shapes; one array for one shape."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    if np.dtype(dtype).kind == "c":
        arrays = [array + 1j * rng.standard_normal(array.shape) for array in arrays]
    arrays = [array.astype(dtype) for array in arrays]
    return arrays[0] if len(arrays) == 1 else arrays


def scattered(x):
    """Return a view equal to x whose elements lie apart and backwards in memory."""
    apart = np.full(tuple(2 * side for side in x.shape), 99, x.dtype)
    view = apart[tuple(slice(None, None, -2) for _ in x.shape)]
    view[...] = x
    return view


def relative_error(got, expected, magnitude=None):
    """Return ||got - expected|| / ||expected||; 0 for two zeros.

    `magnitude`, what the same sums make of absolute values, takes the place of the divisor: sums of few terms
    that happen to cancel have a large relative error and are right all the same.
    """
    difference = np.linalg.norm(np.ravel(got - expected))
    return difference / (np.linalg.norm(np.ravel(expected if magnitude is None else magnitude)) or 1.0)


def assert_close(got, expected, bound=1e-12, magnitude=None):
    """Same shape, and a relative error within the bound."""
    assert got.shape == expected.shape
    error = relative_error(got, expected, magnitude)
    assert error <= bound, f"relative error {error:.2e} exceeds {bound:.0e}"


def rounding(algorithm):
    """Return by how much more than a direct sum an algorithm of convolution may round."""
    return WINOGRAD_ROUNDING.get(tile_of(algorithm), 1)


def tile_of(algorithm):
    """Return the side of Winograd's tiles, None for other algorithms."""
    return getattr(algorithm, "tile", None)


def assert_adjoint(forward, adjoint, magnitude, x, y, rounding=1):
    """<A x, y> = <x, A' y> up to rounding.

    `magnitude` is A with the absolute values of its coefficients: what it makes of |x|, times |y|, is the
    size of the terms that were summed, so the bound is tight for large and for cancelling inputs alike.
    """
    ax, aty = forward(x), adjoint(y)
    assert ax.shape == y.shape
    assert aty.shape == x.shape
    error = abs(np.vdot(ax, y) - np.vdot(x, aty))
    bound = rounding * ADJOINT_FACTOR * EPS * np.vdot(magnitude(np.abs(x)), np.abs(y))
    assert error <= bound, f"<Ax, y> and <x, A'y> differ by {error:.2e}, more than {bound:.2e}"


def assert_complex_step(forward, dx, x, dy, bound=1e-13):
    """Dx is the gradient of <forward(x), dy>, element by element, by complex step: exact to rounding."""
    step, expected = 1e-30, np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[index] += 1j * step
        expected[index] = np.sum(forward(moved) * dy).imag / step
    assert_close(dx, expected, bound)


# -- convolution ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Conv:
    """A convolution to try: shapes, geometry, and the seed of its numbers."""

    x: tuple = (2, 6, 5, 3)
    k: tuple = (3, 3)
    out: int = 4
    stride: tuple = (1, 1)
    padding: tuple = (1, 1)
    dilation: tuple = (1, 1)
    groups: int = 1
    bias: bool = True
    band_bytes: int = 2**21
    seed: int = 0

    @property
    def geometry(self):
        """Stride, padding, dilation and groups."""
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def w(self):
        """The kernel's shape."""
        return (*self.k, self.x[3] // self.groups, self.out)

    @property
    def y(self):
        """The output's shape."""
        return (self.x[0], *output_shape(self.x, self.k, *self.geometry[:3]), self.out)

    def arrays(self):
        """Return x, w, b, dy."""
        x, w, b, dy = draw(self.seed, self.x, self.w, (self.out,), self.y)
        return x, w, b if self.bias else None, dy


@contextlib.contextmanager
def bands_of(size):
    """Let the columns of a band take so many bytes, so that small images have several bands.

    With few bytes, Winograd's bands are of one tile or two, and its kernels are transformed a few at a time.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv_matmul, "BAND_BYTES", size)
        patch.setattr(conv_planes, "BAND_BYTES", size)
        if size < 2**12:
            for algorithm in (winograd, winograd6):
                patch.setattr(algorithm, "band_tiles", 1 if size < 2**8 else 2)
            patch.setattr(conv_winograd, "KERNEL_CHUNK", 3)
        yield


def check_conv_by_loops(algorithm, case, bound=1e-14):
    """Output and all gradients as the loops have them."""
    x, w, b, dy = case.arrays()
    bound *= rounding(algorithm)
    with bands_of(case.band_bytes):
        y = algorithm.forward(x, w, b, *case.geometry)
        dx = algorithm.input_gradient(dy, w, x.shape, *case.geometry)
        dw, db = algorithm.parameter_gradients(x, dy, w.shape, *case.geometry)

    def check(got, loops, *arguments):
        absolute = [abs(value) if isinstance(value, np.ndarray) else value for value in arguments]
        assert_close(got, loops(*arguments), bound, loops(*absolute))

    check(y, reference.conv, x, w, b, *case.geometry)
    check(dx, reference.conv_dx, dy, w, x.shape, *case.geometry)
    check(dw, reference.conv_dw, x, dy, w.shape, *case.geometry)
    check(db, reference.conv_db, dy)


def check_conv_by_adjoint(algorithm, case):
    """Backward is the adjoint of forward: in x for a fixed kernel, in the kernel for a fixed x, in bias."""
    x, w, _, dy = case.arrays()
    zero, slack = np.zeros(case.out), rounding(algorithm)
    with bands_of(case.band_bytes):
        assert_adjoint(
            lambda x: algorithm.forward(x, w, None, *case.geometry),
            lambda dy: algorithm.input_gradient(dy, w, x.shape, *case.geometry),
            lambda x: conv_matmul.forward(x, np.abs(w), None, *case.geometry),
            x,
            dy,
            slack,
        )
        assert_adjoint(
            lambda w: algorithm.forward(x, w, None, *case.geometry),
            lambda dy: algorithm.parameter_gradients(x, dy, w.shape, *case.geometry)[0],
            lambda w: conv_matmul.forward(np.abs(x), w, None, *case.geometry),
            w,
            dy,
            slack,
        )
        assert_adjoint(
            lambda b: algorithm.forward(np.zeros_like(x), w, b, *case.geometry),
            lambda dy: algorithm.parameter_gradients(x, dy, w.shape, *case.geometry)[1],
            lambda b: conv_matmul.forward(np.zeros_like(x), w, b, *case.geometry),
            draw(case.seed + 1, zero.shape),
            dy,
        )


# -- pooling -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pool:
    """A pooling to try."""

    x: tuple = (2, 6, 5, 3)
    k: tuple = (2, 2)
    stride: tuple = (2, 2)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    ceil_mode: bool = False
    count_include_pad: bool = True
    ties: bool = False
    seed: int = 0

    @property
    def y(self):
        """The output's shape."""
        size = output_shape(self.x, self.k, self.stride, self.padding, self.dilation, self.ceil_mode)
        return (self.x[0], *size, self.x[3])

    @property
    def sees_image(self):
        """Whether every window sees at least a pixel; one that sees padding alone has no maximum."""
        axes = zip(self.x[1:3], self.y[1:3], self.k, self.stride, self.padding, self.dilation, strict=True)
        return all(reference.window(i, size, k, s, p, d) for size, n, k, s, p, d in axes for i in range(n))

    def arrays(self):
        """Return x and dy."""
        return draw(self.seed, self.x, self.y)

    def arrays_with_ties(self):
        """Return x, of few different values where ties are wanted, and dy."""
        x, dy = self.arrays()
        return np.round(x) if self.ties else x, dy


def check_max_pool_by_loops(kernel, case):
    """Output, winners and gradient are exactly those of the loops, up to the order of sums."""
    x, dy = case.arrays_with_ties()
    geometry = case.k, case.stride, case.padding, case.dilation
    y, winner = kernel.forward(x, *geometry, case.ceil_mode)
    expected, winners = reference.max_pool(x, *geometry, case.ceil_mode)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winner, winners)
    dx = kernel.input_gradient(dy, winner, x.shape, *geometry)
    assert_close(dx, reference.max_pool_dx(dy, winners, x.shape, *geometry), 1e-14)


def check_avg_pool_by_loops(kernel, case):
    """Output and gradient as the loops have them."""
    x, dy = case.arrays()
    geometry, mode = (case.k, case.stride, case.padding), case.count_include_pad
    y = kernel.forward(x, *geometry, case.ceil_mode, mode)
    dx = kernel.input_gradient(dy, x.shape, *geometry, mode)
    rest = *geometry, case.ceil_mode, mode
    assert_close(y, reference.avg_pool(x, *rest), 1e-14, reference.avg_pool(abs(x), *rest))
    scale = reference.avg_pool_dx(abs(dy), x.shape, *rest)
    assert_close(dx, reference.avg_pool_dx(dy, x.shape, *rest), 1e-14, scale)


def check_avg_pool_by_adjoint(kernel, case):
    """Backward is the adjoint of forward."""
    x, dy = case.arrays()
    geometry, mode = (case.k, case.stride, case.padding), case.count_include_pad
    assert_adjoint(
        lambda x: kernel.forward(x, *geometry, case.ceil_mode, mode),
        lambda dy: kernel.input_gradient(dy, x.shape, *geometry, mode),
        lambda x: kernel.forward(x, *geometry, case.ceil_mode, mode),
        x,
        dy,
    )


# -- the others ----------------------------------------------------------------------------------------------


def check_linear_by_loops(kernel, n, c, o, seed=0):
    """Output and all gradients as the loops have them."""
    x, w, b, dy = draw(seed, (n, c), (c, o), (o,), (n, o))
    dw, db = kernel.parameter_gradients(x, dy)
    for got, loops, arguments in (
        (kernel.forward(x, w, b), reference.linear, (x, w, b)),
        (kernel.forward(x, w, None), reference.linear, (x, w, np.zeros(o))),
        (kernel.input_gradient(dy, w), reference.linear_dx, (dy, w)),
        (dw, reference.linear_dw, (x, dy)),
        (db, reference.conv_db, (dy,)),
    ):
        assert_close(got, loops(*arguments), 1e-14, loops(*map(abs, arguments)))


def check_linear_by_adjoint(kernel, n, c, o, seed=0):
    """Backward is the adjoint of forward, in x and in w."""
    x, w, dy = draw(seed, (n, c), (c, o), (n, o))
    assert_adjoint(
        lambda x: kernel.forward(x, w, None),
        lambda dy: kernel.input_gradient(dy, w),
        lambda x: kernel.forward(x, np.abs(w), None),
        x,
        dy,
    )
    assert_adjoint(
        lambda w: kernel.forward(x, w, None),
        lambda dy: kernel.parameter_gradients(x, dy)[0],
        lambda w: kernel.forward(np.abs(x), w, None),
        w,
        dy,
    )


def check_softmax(forward, input_gradient, loops, loops_dx, shape, seed=0):
    """Output and gradient as the loops have them, and the gradient by complex step."""
    x, dy = draw(seed, shape, shape)
    y = forward(x)
    dx = input_gradient(y, dy)
    assert_close(y, loops(x), 1e-13)
    assert_close(dx, loops_dx(x, dy), 1e-13)
    assert_complex_step(forward, dx, x, dy)


def check_relu(kernel, seed=0):
    """Output and gradient exactly those of the loops, also at 0, at -0 and at NaN."""
    x, dy = draw(seed, (2, 4, 5, 3), (2, 4, 5, 3))
    x[0, 0, 0], x[0, 0, 1, 0], x[0, 0, 2, 0] = 0.0, -0.0, np.nan
    np.testing.assert_array_equal(kernel.forward(x), reference.relu(x))
    np.testing.assert_array_equal(kernel.input_gradient(x, dy), reference.relu_dx(x, dy))
