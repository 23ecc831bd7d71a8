"""The average over a whole image."""

import numpy as np
import pytest

from nst_manual import nn
from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError
from nst_manual.kernels import global_avg_pool

X = np.random.default_rng(0).standard_normal((2, 5, 7, 3))


def test_it_is_the_mean_and_its_gradient_is_checked():
    pool = nn.GlobalAvgPool2d()
    y = pool.forward(X)
    assert y.shape == pool.output_shape(X.shape) == (2, 1, 1, 3)
    for n in range(2):
        for c in range(3):
            assert y[n, 0, 0, c] == pytest.approx(sum(X[n, :, :, c].ravel().tolist()) / 35, rel=1e-13)
    report = gradcheck(pool, X)
    assert report.passed, str(report)


def test_kernels_write_where_they_are_told_to():
    out, dy = np.empty((2, 1, 1, 3)), np.random.default_rng(1).standard_normal((2, 1, 1, 3))
    assert global_avg_pool.forward(X, out=out) is out
    np.testing.assert_array_equal(out, global_avg_pool.forward(X))
    np.testing.assert_array_equal(global_avg_pool.input_gradient(dy, X.shape)[:, 3, 4], dy[:, 0, 0] / 35)


def test_it_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    from torch_compare import from_torch, reorder, to_torch

    leaf, dy = to_torch(X), np.random.default_rng(1).standard_normal((2, 1, 1, 3))
    y = torch.nn.functional.adaptive_avg_pool2d(leaf, 1)
    y.backward(torch.tensor(reorder(dy)))
    pool = nn.GlobalAvgPool2d()
    np.testing.assert_allclose(pool.forward(X), from_torch(y), rtol=1e-12)
    np.testing.assert_allclose(pool.backward(X, dy), from_torch(leaf.grad), rtol=1e-12)


def test_what_is_no_image_is_refused():
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        nn.GlobalAvgPool2d().forward(X[0])
    with pytest.raises(ShapeError, match="at least one position"):
        nn.GlobalAvgPool2d().forward(X[:, :0])
