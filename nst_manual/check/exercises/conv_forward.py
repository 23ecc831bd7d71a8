"""Exercise: convolution forward."""

from __future__ import annotations

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal
from nst_manual.kernels import conv_direct

NAME = "conv-forward"
TITLE = "Convolution: the output of a layer"
TEMPLATE = '''
def conv_forward(x, w, b, stride, padding):
    """Return the convolution of images with kernels, as networks have it (a cross-correlation).

        y[n, i, j, o] = b[o] + sum over u, v, c of
                        x[n, i stride + u - padding, j stride + v - padding, c] w[u, v, c, o]

    where x counts as 0 outside the image.

    Parameters
    ----------
    x : array (N, H, W, C)
        Images.
    w : array (kh, kw, C, O)
        Kernels: one for each output channel.
    b : array (O,)
        Bias.
    stride, padding : int
        Pixels from one window to the next; width of the border of zeros on all four sides.

    Returns
    -------
    array (N, Ho, Wo, O)
        Ho = (H + 2 padding - kh) // stride + 1, and Wo likewise. Pixels that no whole window reaches
        are not used.

    Example
    -------
    One row of pixels 1 2 3 and the kernel 1 10, stride 1, no padding, b = 0:  1 + 20, 2 + 30.
    """
    raise NotImplementedError
'''
HINTS = (
    "Make the padded image first: np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0))).",
    "For one kernel position (u, v), the pixels that all windows meet are a slice of the padded image with "
    "steps of `stride`: padded[:, u : u + stride * Ho : stride, ...] may have one row too many; stop at "
    "u + stride * (Ho - 1) + 1.",
    "Such a slice is (N, Ho, Wo, C), and w[u, v] is (C, O): slice @ w[u, v] is what this position adds to y.",
)


def reference(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: int, padding: int) -> np.ndarray:
    """Return y."""
    return conv_direct.forward(x, w, b, (stride, stride), (padding, padding), (1, 1), 1)


def cases() -> list[Case]:
    """Return the calls to be checked."""
    shapes = [
        ((1, 5, 7, 3), (3, 3, 3, 4), 1, 1, ""),
        ((2, 4, 6, 2), (3, 3, 2, 3), 1, 0, "two images"),
        ((1, 6, 9, 3), (1, 1, 3, 2), 1, 0, "a kernel of one pixel"),
        ((2, 8, 7, 2), (3, 3, 2, 2), 2, 1, "the last row meets no window"),
        ((1, 7, 9, 3), (2, 4, 3, 5), 3, 2, "a kernel that is not square"),
    ]
    return [_case(i, *shape) for i, shape in enumerate(shapes)]


def _case(
    seed: int, x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: int, padding: int, note: str
) -> Case:
    x, w, b = normal(seed, *x_shape), normal(seed + 50, *w_shape), normal(seed + 90, w_shape[3])
    y = reference(x, w, b, stride, padding)
    wrong = {
        "the bias is missing": lambda: reference(x, w, None, stride, padding),
        "the bias is subtracted": lambda: reference(x, w, -b, stride, padding),
        "the bias is added once for every kernel position": lambda: reference(
            x, w, w_shape[0] * w_shape[1] * b, stride, padding
        ),
        "the bias is added once for every input channel": lambda: reference(
            x, w, w_shape[2] * b, stride, padding
        ),
        "the kernel is turned by 180 degrees, as in mathematics: networks do not turn it": (
            lambda: reference(x, w[::-1, ::-1], b, stride, padding)
        ),
        "the border repeats the edge of the image, it is to be 0": lambda: reference(
            _padded(x, padding, "edge"), w, b, stride, 0
        ),
        "the border mirrors the image, it is to be 0": lambda: reference(
            _padded(x, padding, "reflect"), w, b, stride, 0
        ),
    }
    if w_shape[0] == w_shape[1]:
        wrong["rows and columns of the kernel are exchanged"] = lambda: reference(
            x, w.swapaxes(0, 1), b, stride, padding
        )
    size = y.shape[1:3]
    without = tuple((x_shape[a + 1] - w_shape[a]) // stride + 1 for a in (0, 1))
    said = {
        (x_shape[0], *without, w_shape[3]): "the padding is not in the number of windows",
        (x_shape[0], w_shape[3], *size): "the channels stand in front, they are to be the last axis",
        y.shape[1:]: "the axis of the images is missing",
    }
    arguments = {"x": x, "w": w, "b": b, "stride": stride, "padding": padding}
    return Case("conv_forward", arguments, (Expected(y, alternatives=wrong, shapes=said),), note)


def _padded(x: np.ndarray, padding: int, mode: str) -> np.ndarray:
    return np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode=mode)
