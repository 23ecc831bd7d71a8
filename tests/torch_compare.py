"""The same computations in PyTorch, in float64; tests that import this are skipped where it is missing.

Shapes go in and come out as the package has them: images (N, H, W, C), kernels (kh, kw, C / groups, O).
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="comparison with PyTorch: pip install torch==2.13.0")


def to_torch(array):
    """Return a leaf tensor that collects its gradient; images and convolution kernels in PyTorch's order."""
    tensor = torch.tensor(reorder(np.asarray(array, float)))
    return tensor.requires_grad_()


def from_torch(tensor):
    """Return the array of a tensor that stands for images or vectors."""
    array = tensor.detach().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def reorder(array):
    """(N, H, W, C) to (N, C, H, W)."""
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array


def kernel_to_torch(w):
    """(kh, kw, C / groups, O) to a leaf (O, C / groups, kh, kw), (in, out) to (out, in)."""
    return torch.tensor(
        np.ascontiguousarray(w.transpose((3, 2, 0, 1) if w.ndim == 4 else (1, 0)))
    ).requires_grad_()


def kernel_from_torch(tensor):
    """The way back."""
    array = tensor.detach().numpy()
    return array.transpose((2, 3, 1, 0) if array.ndim == 4 else (1, 0))


def output_and_gradients(function, x, dy, *parameters):
    """Return y, dx and the gradients of the other tensors, of <function(x, *parameters), dy>."""
    leaf = to_torch(x)
    y = function(leaf, *parameters)
    y.backward(torch.tensor(reorder(dy)))
    return from_torch(y), from_torch(leaf.grad), *[None if p is None else p.grad for p in parameters]
