"""Square root of a matrix against its eigenvalues, its backward pass against Sylvester's equation."""

import itertools

import numpy as np
import pytest
from scipy.linalg import solve_sylvester

from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError
from nst_manual.kernels import matrix_sqrt

SIZES = (1, 2, 5, 17, 64, 150)  # the last has more than one band of rows


def draw(seed, size, spread=1e3):
    """Return a symmetric matrix with eigenvalues from 3 down to 3 / spread."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.standard_normal((size, size)))[0]
    a = (vectors * (3 * np.logspace(0, -np.log10(spread), size))) @ vectors.T
    return (a + a.T) / 2


def by_eigenvalues(a):
    values, vectors = np.linalg.eigh(a)
    return (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T


def error(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


class OfAnything:
    """The square root of X^T X + I as a function of any X: the matrix is positive definite everywhere."""

    def forward(self, x):
        self.root, _ = matrix_sqrt.forward(x.T @ x + np.eye(x.shape[1]), 1.0)
        return self.root

    def backward(self, x, dy):
        da = matrix_sqrt.input_gradient(self.root, dy, 1.0)
        return x @ (da + da.T)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [False, True])
def test_root_and_inverse_are_those_of_the_eigenvalues(size, known):
    for seed, spread in itertools.product(
        range(3 if size < 100 else 1), (1.0, 1e2, 1e6)[: 3 if size < 100 else 2]
    ):
        a = draw(seed, size, spread)
        root, inverse = matrix_sqrt.forward(a, 3 / spread if known else 0.0)
        expected, expected_inverse = by_eigenvalues(a)
        assert error(root, expected) <= 1e-14 * np.sqrt(spread) * 20
        assert error(inverse, expected_inverse) <= 1e-15 * spread * 20 + 1e-13
        assert error(root @ root, a) <= 1e-14 * np.sqrt(spread) * 20


def test_a_spread_of_1e12_still_has_its_root():
    a = draw(0, 40, 1e12)
    root, inverse = matrix_sqrt.forward(a, 3e-12)
    expected, expected_inverse = by_eigenvalues(a)
    assert error(root, expected) <= 1e-9
    assert error(inverse, expected_inverse) <= 1e-3


def test_a_lower_bound_that_is_wrong_by_far_either_way_changes_no_digit_that_counts():
    a = draw(1, 12, 1e4)
    expected, _ = by_eigenvalues(a)
    for smallest in (1e-12, 1e-6, 3e-4, 1e-1, 3.0, 100.0):
        assert error(matrix_sqrt.forward(a, smallest)[0], expected) <= 1e-12


def test_a_known_bound_spares_steps(monkeypatch):
    steps = []
    factor = matrix_sqrt._Step.factor
    monkeypatch.setattr(matrix_sqrt._Step, "factor", lambda self, p: steps.append(1) or factor(self, p))
    a = draw(0, 20, 1e10)
    matrix_sqrt.forward(a)
    without = len(steps)
    matrix_sqrt.forward(a, 3e-10)
    assert len(steps) - without <= 0.6 * without


@pytest.mark.parametrize("size", SIZES)
def test_backward_solves_sylvesters_equation(size):
    for seed in range(3 if size < 100 else 1):
        a = draw(seed, size)
        root, inverse = matrix_sqrt.forward(a)
        droot = np.random.default_rng(seed).standard_normal((size, size))  # not symmetric
        for smallest in (0.0, 3e-3):
            da = matrix_sqrt.input_gradient(root, droot, smallest)
            assert error(da, solve_sylvester(root, root, droot)) <= 1e-11
            assert error(matrix_sqrt.input_gradient(root, np.eye(size), smallest), inverse / 2) <= 1e-11


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(seed):
    report = gradcheck(OfAnything(), np.random.default_rng(seed).standard_normal((7, 5)))
    assert report.passed, str(report)


def test_backward_is_the_derivative_by_every_entry():
    a, droot = draw(3, 5), np.random.default_rng(4).standard_normal((5, 5))
    da = matrix_sqrt.input_gradient(matrix_sqrt.forward(a)[0], droot)
    for index in np.ndindex(a.shape):
        moved = a.astype(complex)
        moved[index] += 1e-30j  # which makes it not symmetric
        slope = np.sum(matrix_sqrt.forward(moved)[0].imag * droot) / 1e-30
        assert abs(slope - da[index]) <= 1e-11 * np.abs(da).max()


@pytest.mark.parametrize("size", [2, 9, 40])
def test_backward_is_that_of_pytorch_through_eigenvalues(size):
    torch = pytest.importorskip("torch", reason="comparison with PyTorch: pip install torch==2.13.0")
    a = draw(size, size)
    droot = np.random.default_rng(size).standard_normal((size, size))
    droot += droot.T  # eigh takes symmetric matrices, and gives the symmetric part of the gradient
    leaf = torch.tensor(a, requires_grad=True)
    values, vectors = torch.linalg.eigh(leaf)
    root = (vectors * values.sqrt()) @ vectors.T
    (root * torch.tensor(droot)).sum().backward()
    expected = (leaf.grad + leaf.grad.T).numpy() / 2
    da = matrix_sqrt.input_gradient(matrix_sqrt.forward(a)[0], droot)
    assert error(da, expected) <= 1e-9


def test_float32_stays_float32_and_is_right_to_its_precision():
    a = draw(0, 30, 1e3)
    root, inverse = matrix_sqrt.forward(a.astype(np.float32), 3e-3)
    expected, expected_inverse = by_eigenvalues(a)
    assert root.dtype == inverse.dtype == np.float32
    assert error(root, expected) <= 1e-5
    assert error(inverse, expected_inverse) <= 1e-3
    da = matrix_sqrt.input_gradient(root, np.eye(30, dtype=np.float32), 3e-3)
    assert da.dtype == np.float32
    assert error(da, expected_inverse / 2) <= 1e-3


def test_what_has_no_root_is_filled_with_nan():
    indefinite, singular = np.diag([1.0, -0.5]), np.diag([1.0, 0.0])
    for a in (indefinite, singular, np.full((2, 2), np.nan), np.zeros((2, 2))):
        root, inverse = matrix_sqrt.forward(a)
        assert np.isnan(root).all()
        assert np.isnan(inverse).all()
    assert np.isnan(matrix_sqrt.input_gradient(singular, np.eye(2))).all()


def test_inputs_are_not_written():
    a, droot = draw(0, 4), np.ones((4, 4))
    before = a.copy()
    root, _ = matrix_sqrt.forward(a)
    kept = root.copy()
    matrix_sqrt.input_gradient(root, droot)
    np.testing.assert_array_equal(a, before)
    np.testing.assert_array_equal(root, kept)
    np.testing.assert_array_equal(droot, np.ones((4, 4)))


def test_other_shapes_are_refused():
    for shape in [(3, 4), (3,), (1, 3, 3)]:
        with pytest.raises(ShapeError, match="square matrix"):
            matrix_sqrt.forward(np.ones(shape))
    with pytest.raises(ShapeError, match="upstream gradient"):
        matrix_sqrt.input_gradient(np.eye(3), np.eye(2))
