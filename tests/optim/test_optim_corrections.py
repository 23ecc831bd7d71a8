"""The directions of L-BFGS against those of the dense BFGS matrix, and its dot products."""

import numpy as np
import pytest
from descent_functions import quadratic, rosenbrock, start, wide

from nst_manual.optim import LBFGS
from nst_manual.optim.corrections import BLOCK, Corrections, dot


def dense_inverse_hessian(pairs, size):
    """BFGS, Nocedal and Wright equation 6.17, from the scaled identity of equation 6.20."""
    s, y = pairs[-1]
    h = np.eye(size) * (s @ y) / (y @ y)
    for s, y in pairs:
        r = 1 / (s @ y)
        v = np.eye(size) - r * np.outer(y, s)
        h = v.T @ h @ v + r * np.outer(s, s)
    return h


@pytest.mark.parametrize("function", [quadratic, rosenbrock, wide])
def test_directions_are_those_of_the_dense_matrix(function):
    """History longer than the run: each step goes along -H g, with the H of all pairs before it."""
    shown = [start()]
    LBFGS(history=30).minimize(function, start(), 10, lambda iteration, x: shown.append(x.copy()))
    points = [x.ravel() for x in shown]
    gradients = [function(x)[1].ravel() for x in shown]
    pairs = []
    for here, there, g, following in zip(points, points[1:], gradients, gradients[1:], strict=False):
        step = there - here
        expected = -dense_inverse_hessian(pairs, g.size) @ g if pairs else -g
        np.testing.assert_allclose(
            step / np.linalg.norm(step), expected / np.linalg.norm(expected), rtol=1e-6, atol=1e-8
        )
        pairs.append((step, following - g))
    assert len(pairs) == 10


@pytest.mark.parametrize("history", [1, 3, 7])
def test_only_the_newest_pairs_count(history):
    rng = np.random.default_rng(5)
    root = rng.standard_normal((12, 12))
    hessian = root @ root.T + np.eye(12)
    pairs = [(s, hessian @ s) for s in rng.standard_normal((7, 12))]
    corrections = Corrections(history, np.zeros(12))
    for number, (s, y) in enumerate(pairs, start=1):
        assert corrections.add(s, y)
        q = rng.standard_normal(12)
        expected = dense_inverse_hessian(pairs[max(0, number - history) : number], 12) @ q
        corrections.multiply(q)
        np.testing.assert_allclose(q, expected, rtol=1e-8)
    assert len(corrections) == history


def test_a_pair_without_curvature_is_refused_and_nothing_is_lost():
    corrections = Corrections(2, np.zeros(3))
    for row in (0, 1):
        assert corrections.add(np.eye(3)[row], 2 * np.eye(3)[row])
    for s, y in [
        ([1, 0, 0], [-1, 0, 0]),
        ([1, 0, 0], [0, 1, 0]),
        ([0, 0, 0], [1, 0, 0]),
        ([1, 0, 0], [np.nan] * 3),
    ]:
        assert not corrections.add(np.array(s, float), np.array(y, float))
    q = np.ones(3)
    corrections.multiply(q)
    np.testing.assert_allclose(q, 0.5 * np.ones(3))


def test_without_pairs_the_matrix_is_the_identity():
    q = start().ravel()
    Corrections(4, q).multiply(q)
    np.testing.assert_array_equal(q, start().ravel())


def test_dot_products_of_float32_are_good_to_seven_digits():
    a, b = np.random.default_rng(3).uniform(100, 255, (2, 5 * BLOCK + 17)).astype(np.float32)
    assert dot(a, b) == pytest.approx(float(a.astype(float) @ b.astype(float)), rel=1e-7)
    assert isinstance(dot(a, b), float)
