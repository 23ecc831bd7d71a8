"""The Gram matrix and the mask against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from nst_manual.kernels import gram
from nst_manual.kernels.masked import masked


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 5, 4, 3), (1, 3, 9, 1)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_gram_matrix_and_its_gradient_are_those_of_the_definition(shape, dtype):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape).astype(dtype)
    if dtype == "complex128":
        x += 1j * rng.standard_normal(shape)
    n, h, w, c = shape
    ds = rng.standard_normal((n, c, c))  # not symmetric
    s = np.zeros((n, c, c), dtype)
    dx = np.zeros(shape, dtype)
    for index in np.ndindex(n, h, w):
        for i in range(c):
            for j in range(c):
                s[index[0], i, j] += x[index][i] * x[index][j]
                dx[index][i] += ds[index[0], i, j] * x[index][j]
                dx[index][j] += ds[index[0], i, j] * x[index][i]
    np.testing.assert_allclose(gram.forward(x), s, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(gram.input_gradient(x, ds), dx, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("given", [False, True])
def test_what_is_masked_is_zero_and_the_rest_is_itself(dtype, given):
    x = np.array([[1.5, -2, np.inf, np.nan], [-0.0, np.inf, np.nan, 7]], dtype)
    mask = np.array([[True, False, True, True], [True, False, False, True]])
    out = np.full_like(x, 9) if given else None
    y = masked(x, mask, out=out)
    assert y.dtype == x.dtype
    assert not given or y is out
    np.testing.assert_array_equal(y, np.where(mask, x, 0))


def test_views_are_masked_in_place():
    x = np.arange(24.0, dtype="float32").reshape(2, 3, 4).transpose(1, 0, 2)
    out = np.full((3, 4, 4), 5, "float32")[:, ::2]
    masked(x, x % 2 == 0, out=out)
    np.testing.assert_array_equal(out, np.where(x % 2 == 0, x, 0))
