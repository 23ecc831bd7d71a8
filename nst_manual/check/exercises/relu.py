"""Exercise: ReLU forward and backward."""

from __future__ import annotations

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal
from nst_manual.kernels import relu

NAME = "relu"
TITLE = "ReLU: forward and backward, also at 0"
TEMPLATE = '''
def relu_forward(x):
    """Return x where it is positive, else 0.

    Parameters
    ----------
    x : array (N, H, W, C)
        Left as it is: the result is an array of its own.

    Returns
    -------
    array (N, H, W, C)
    """
    raise NotImplementedError


def relu_backward(x, dy):
    """Return the gradient of a loss with respect to the input of ReLU.

        dx = dy where x > 0, else 0        (at x = 0 the derivative is taken as 0)

    Parameters
    ----------
    x : array (N, H, W, C)
        What forward was given.
    dy : array (N, H, W, C)
        Gradient of the loss with respect to the output.

    Returns
    -------
    array (N, H, W, C)
        dx.

    Example
    -------
    x = -1 0 2 and dy = 5 6 7:  dx = 0 0 7.
    """
    raise NotImplementedError
'''
HINTS = (
    "A comparison of arrays gives an array of True and False, which count as 1 and 0 in a product.",
    "np.maximum(x, 0) forward. Backward: dy times the mask of x > 0; the sign of dy does not matter.",
)


def cases() -> list[Case]:
    """Return the calls to be checked."""
    found = []
    plain = normal(1, 1, 4, 5, 3)
    whole = np.random.default_rng(2).integers(-2, 3, (2, 5, 3, 2)).astype(float)
    for x, note in ((plain, ""), (whole, "two images of whole numbers, some 0")):
        wrong = {
            "it is |x|": np.abs(x),
            "it is the mask x > 0, not x where that holds": (x > 0).astype(float),
            "it is x unchanged": x,
            "positive numbers are cut off, it is to be the negative ones": np.minimum(x, 0),
        }
        found.append(Case("relu_forward", {"x": x}, (Expected(relu.forward(x), alternatives=wrong),), note))
    for seed, (x, note) in enumerate(((plain, ""), (whole, "two images; some x are 0"))):
        found.append(_backward(x, normal(seed + 5, *x.shape), note))
    return found


def _backward(x: np.ndarray, dy: np.ndarray, note: str) -> Case:
    wrong = {
        "the gradient passes where x is 0: it is to be x > 0, not x >= 0": dy * (x >= 0),
        "half of the gradient passes where x is 0, nothing is to": dy * ((x > 0) + 0.5 * (x == 0)),
        "it is dy as it came: the mask x > 0 is missing": dy,
        "the mask is made of dy (dy > 0), it is to be made of x": dy * (dy > 0),
        "the masks of x > 0 and dy > 0 are both applied: gradients may be negative": dy * (x > 0) * (dy > 0),
        "it is the mask x > 0 alone: dy is not used": (x > 0).astype(float),
        "dy is multiplied with max(x, 0), it is to be multiplied with the mask x > 0": dy * np.maximum(x, 0),
        "the gradient passes where x is negative, it is to pass where x is positive": dy * (x < 0),
    }
    expected = Expected(relu.input_gradient(x, dy), alternatives=wrong)
    return Case("relu_backward", {"x": x, "dy": dy}, (expected,), note)
