"""The border of repeated pixels against loops, against PyTorch, and its adjoint."""

import numpy as np
import pytest
from drawn_settings import examples, pairs
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import assert_adjoint, assert_close, draw

from nst_manual.kernels import replication_pad

shapes = st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
paddings = pairs(0, 5)  # also wider than the image
seeds = st.integers(0, 99)


def source(i, side, p):
    """The pixel that place i of a padded axis shows."""
    return min(max(i - p, 0), side - 1)


@given(shape=shapes, p=paddings, seed=seeds)
def test_output_and_gradient_are_those_of_the_loops(shape, p, seed):
    n, height, width, c = shape
    padded = (n, height + 2 * p[0], width + 2 * p[1], c)
    x, dy = draw(seed, shape, padded)
    y, dx, scale = np.zeros(padded), np.zeros(shape), np.zeros(shape)
    for at in np.ndindex(padded):
        place = at[0], source(at[1], height, p[0]), source(at[2], width, p[1]), at[3]
        y[at] = x[place]
        dx[place] += dy[at]
        scale[place] += abs(dy[at])
    np.testing.assert_array_equal(replication_pad.forward(x, p), y)
    assert_close(replication_pad.input_gradient(dy, p), dx, 1e-14, scale)


@given(shape=shapes, p=paddings, seed=seeds)
def test_backward_is_the_adjoint(shape, p, seed):
    def forward(x):
        return replication_pad.forward(x, p)

    x = draw(seed, shape)
    dy = draw(seed + 1, forward(x).shape)
    assert_adjoint(forward, lambda dy: replication_pad.input_gradient(dy, p), forward, x, dy)


@given(shape=shapes, p=paddings, seed=seeds)
@examples(0.6)
def test_it_is_that_of_pytorch(shape, p, seed):
    torch = pytest.importorskip("torch")
    from torch_compare import output_and_gradients

    x = draw(seed, shape)
    y = replication_pad.forward(x, p)
    dy = draw(seed + 1, y.shape)
    expected, expected_dx = output_and_gradients(
        lambda x: torch.nn.functional.pad(x, (p[1], p[1], p[0], p[0]), mode="replicate"), x, dy
    )
    np.testing.assert_array_equal(y, expected)
    assert_close(replication_pad.input_gradient(dy, p), expected_dx)


def test_how_often_each_pixel_is_shown():
    dx = replication_pad.input_gradient(np.ones((1, 3 + 4, 4 + 2, 1)), (2, 1))
    assert dx[0, :, :, 0].tolist() == [[6, 3, 3, 6], [2, 1, 1, 2], [6, 3, 3, 6]]
