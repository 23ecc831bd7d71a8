"""Exercise: the input gradient of a convolution."""

from __future__ import annotations

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal
from nst_manual.kernels import conv_direct

NAME = "conv-backward"
TITLE = "Convolution: the gradient with respect to its input"
TEMPLATE = '''
def conv_backward(dy, w, x_shape, stride, padding):
    """Return the gradient of a loss with respect to the input of a convolution.

    Forward, y[n, i, j, o] is a sum of x[n, i stride + u - padding, j stride + v - padding, c] w[u, v, c, o].
    What a pixel was multiplied with going forward, its gradient is multiplied with on the way back:

        dx[n, h, k, c] = sum over o and all (i, j, u, v) with
                         i stride + u - padding = h  and  j stride + v - padding = k
                         of dy[n, i, j, o] w[u, v, c, o]

    The gradients of the weights are not needed: style transfer changes the image, and the network stays.

    Parameters
    ----------
    dy : array (N, Ho, Wo, O)
        Gradient of the loss with respect to y.
    w : array (kh, kw, C, O)
    x_shape : tuple
        (N, H, W, C). Ho and Wo do not tell H and W: a remainder that no window reaches has gradient 0.
    stride, padding : int

    Returns
    -------
    array (N, H, W, C)
        dx.

    Example
    -------
    One row of three pixels, the kernel 1 10, stride 1, no padding, dy = 1 0:  dx = 1 10 0.
    With dy = 0 1:  dx = 0 1 10.
    """
    raise NotImplementedError
'''
HINTS = (
    "Start from zeros in the shape of the padded image, and cut the border off at the end.",
    "Forward has y[n, i, j] += padded[n, i stride + u, j stride + v] @ w[u, v]. Exchange the places: "
    "the padded dx at the same index += dy[n, i, j] @ w[u, v].T.",
    "Those who write it as a convolution of dy with w (stride 1): the kernel is turned by 180 degrees, its "
    "channels in and out exchanged, and the padding becomes kh - 1 - padding.",
)


def reference(
    dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: int, padding: int
) -> np.ndarray:
    """Return dx."""
    return conv_direct.input_gradient(dy, w, x_shape, (stride, stride), (padding, padding), (1, 1), 1)


def cases() -> list[Case]:
    """Return the calls to be checked; kernels and upstream are random, ones would hide an unturned kernel."""
    shapes = [
        ((1, 5, 7, 3), (3, 3, 3, 4), 1, 1, ""),
        ((2, 4, 6, 3), (3, 3, 3, 3), 1, 0, "two images"),
        ((1, 6, 9, 3), (1, 1, 3, 2), 1, 0, "a kernel of one pixel"),
        ((2, 8, 7, 2), (3, 3, 2, 2), 2, 1, "the last row meets no window"),
        ((1, 7, 9, 3), (2, 4, 3, 5), 3, 2, "a kernel that is not square"),
    ]
    return [_case(i, *shape) for i, shape in enumerate(shapes)]


def _case(
    seed: int, x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: int, padding: int, note: str
) -> Case:
    geometry = ((stride, stride), (padding, padding), (1, 1), 1)
    w = normal(seed + 50, *w_shape)
    dy = normal(seed + 20, *conv_direct.forward(np.zeros(x_shape), w, None, *geometry).shape)

    def with_kernel(kernel: np.ndarray) -> np.ndarray:
        return reference(dy, kernel, x_shape, stride, padding)

    dx = with_kernel(w)
    wrong = {
        "the kernel is not turned by 180 degrees": lambda: with_kernel(w[::-1, ::-1]),
        "the kernel is turned in its rows alone, both axes are to be turned": lambda: with_kernel(w[:, ::-1]),
        "the kernel is turned in its columns alone, both axes are to be turned": lambda: with_kernel(w[::-1]),
        "dy is not used: this is the gradient for an upstream of ones": lambda: reference(
            np.ones_like(dy), w, x_shape, stride, padding
        ),
        "where windows overlap, the last one is kept: add to dx (+=), do not assign (=)": lambda: _assigned(
            dy, w, x_shape, stride, padding
        ),
    }
    if w_shape[0] == w_shape[1] > 1:
        wrong["rows and columns of the kernel are exchanged"] = lambda: with_kernel(w.swapaxes(0, 1))
    if w_shape[2] == w_shape[3]:
        wrong[
            "the channels in and out are exchanged: w[u, v] where w[u, v].T belongs, or the other way round"
        ] = lambda: with_kernel(w.swapaxes(2, 3))
        wrong["the kernel is not turned, and its channels in and out are exchanged"] = lambda: with_kernel(
            w[::-1, ::-1].swapaxes(2, 3)
        )
    n, h, width, c = x_shape
    said = (
        {(n, h + 2 * padding, width + 2 * padding, c): "the border of the padding is still on it"}
        if padding
        else {}
    )
    reached = [(dy.shape[a] - 1) * stride + w_shape[a - 1] - 2 * padding for a in (1, 2)]
    if tuple(reached) != (h, width):
        said[n, *reached, c] = (
            "the remainder that no window reaches is missing: dx has the shape of x, with 0 there"
        )
    arguments = {"dy": dy, "w": w, "x_shape": x_shape, "stride": stride, "padding": padding}
    return Case("conv_backward", arguments, (Expected(dx, alternatives=wrong, shapes=said),), note)


def _assigned(
    dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: int, padding: int
) -> np.ndarray:
    """Return dx as it comes out where every window overwrites what the one before has left."""
    n, h, width, c = x_shape
    dx = np.zeros((n, h + 2 * padding, width + 2 * padding, c))
    kh, kw = w.shape[:2]
    for i in range(dy.shape[1]):
        for j in range(dy.shape[2]):
            window = np.einsum("no,uvco->nuvc", dy[:, i, j], w)
            dx[:, i * stride : i * stride + kh, j * stride : j * stride + kw] = window
    return dx[:, padding : padding + h, padding : padding + width]
