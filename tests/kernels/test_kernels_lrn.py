"""Local response normalisation: beside loops, beside PyTorch, and of odd and even windows."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import assert_close, assert_complex_step, draw

from nst_manual import nn
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import lrn

SETTINGS = {"alpha": 0.3, "beta": 0.75, "k": 1.5}


@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 2**16))
def test_it_is_that_of_the_loops_and_the_gradient_that_of_a_complex_step(size, channels, seed):
    x, dy = draw(seed, (1, 2, 2, channels), (1, 2, 2, channels))
    y, s = lrn.forward(x, size, **SETTINGS)
    assert_close(y, reference.lrn(x, size, **SETTINGS), 1e-14)
    dx = lrn.input_gradient(x, s, dy, size, SETTINGS["alpha"], SETTINGS["beta"])
    assert_close(dx, reference.lrn_dx(x, dy, size, **SETTINGS), 1e-13)
    assert_complex_step(lambda x: lrn.forward(x, size, **SETTINGS)[0], dx, x, dy)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
def test_the_module_is_pytorch_s(size):
    torch = pytest.importorskip("torch")
    from torch_compare import from_torch, reorder, to_torch

    x, dy = draw(size, (2, 3, 4, 6), (2, 3, 4, 6))
    module = nn.LocalResponseNorm(size, **SETTINGS)
    tensor = to_torch(x)
    expected = torch.nn.functional.local_response_norm(tensor, size, **SETTINGS)
    expected.backward(torch.tensor(reorder(dy)))
    assert_close(module.forward(x), from_torch(expected), 1e-13)
    assert_close(module.backward(x, dy), from_torch(tensor.grad), 1e-12)


def test_float32_stays_float32_and_the_input_is_not_written():
    x = np.ones((1, 2, 2, 3), "float32")
    module = nn.LocalResponseNorm(3)
    y, dx = module.forward(x), module.backward(x, x)
    assert y.dtype == dx.dtype == "float32"
    assert (x == 1).all()


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "5"])
def test_a_window_has_a_whole_number_of_channels(size):
    with pytest.raises(UsageError, match="whole number of at least 1"):
        nn.LocalResponseNorm(size)


def test_it_takes_images():
    with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
        nn.LocalResponseNorm(3).forward(np.zeros((2, 3)))
    assert repr(nn.LocalResponseNorm(5)) == "LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=1)"
