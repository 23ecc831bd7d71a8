"""Exercise: content loss and its gradient."""

from __future__ import annotations

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal, scaled
from nst_manual.losses import ContentLoss

NAME = "content-gradient"
TITLE = "Content loss: the number and its gradient"
TEMPLATE = '''
def content_loss(x, target):
    """Return the content loss (Gatys, Ecker and Bethge 2016, equation 1).

        L = 1/2 sum (x - target)^2        over all elements

    Parameters
    ----------
    x : array (1, H, W, C)
        Features of the image that is being made, at one layer (the paper's F).
    target : array (1, H, W, C)
        Features of the content photograph at that layer (the paper's P).

    Returns
    -------
    float

    Example
    -------
    x = 1 5, target = 3 4:  L = (4 + 1) / 2 = 2.5.
    """
    raise NotImplementedError


def content_gradient(x, target):
    """Return the gradient of `content_loss` with respect to x.

    It is what an infinitely small change of each element of x does to L. Differs from the paper's
    equation 2 in one point: that one has 0 where x < 0, which is the derivative of another function.

    Parameters
    ----------
    x, target : array (1, H, W, C)

    Returns
    -------
    array (1, H, W, C)
    """
    raise NotImplementedError
'''
HINTS = (
    "Square each difference first, then sum: the square of the sum lets differences cancel.",
    "The derivative of d^2 / 2 is d, and one element of x stands in one term of the sum only.",
)


def cases() -> list[Case]:
    """Return the calls to be checked."""
    pairs = [
        (normal(1, 1, 4, 6, 3), normal(2, 1, 4, 6, 3), ""),
        (
            np.maximum(normal(3, 1, 5, 3, 4), 0),
            np.maximum(normal(4, 1, 5, 3, 4), 0),
            "zeros, as behind a ReLU",
        ),
        (normal(5, 1, 3, 3, 2), normal(5, 1, 3, 3, 2), "x equals target"),
    ]
    return [_loss(*pair) for pair in pairs] + [_gradient(*pair) for pair in pairs]


def _loss(x: np.ndarray, target: np.ndarray, note: str) -> Case:
    d = x - target
    loss = ContentLoss(target).measure(x)
    wrong = {
        "it is the square of the sum of differences: square each first, then sum": d.sum() ** 2 / 2,
        "it is the square of the sum of differences, and without the 1/2: square each first, then sum": (
            d.sum() ** 2
        ),
        "it is the square of the mean of differences": d.mean() ** 2,
        "it is the sum of |x - target|: the differences are to be squared": np.abs(d).sum(),
        "it is the root of the sum of squares (a norm), not the sum": np.linalg.norm(d),
        "it is half the root of the sum of squares (a norm), not the sum": np.linalg.norm(d) / 2,
        "it is the sum of differences: they are to be squared": d.sum(),
        "it is the difference of the sums of squares": (x**2).sum() - (target**2).sum(),
    }
    if loss:
        wrong = scaled(loss, _scales(d.size)) | wrong
    return Case("content_loss", {"x": x, "target": target}, (Expected(loss, alternatives=wrong),), note)


def _scales(size: int) -> dict[str, float]:
    """Return wrong factors by what to say of them."""
    return {
        "the factor 1/2 is missing": 2,
        "there is a factor 1/2 too many": 0.5,
        "it is the mean of the squares, not half their sum": 2 / size,
        "it is half the mean, it is to be half the sum": 1 / size,
    }


def _gradient(x: np.ndarray, target: np.ndarray, note: str) -> Case:
    d = x - target
    gradient = np.zeros_like(x)
    ContentLoss(target).add_gradient(x, gradient)
    wrong = {
        "the 1/2 of the loss is not in it: the derivative of d^2 / 2 is d": 2 * d,
        "the 2 of the derivative is missing: the derivative of d^2 / 2 is d": d / 2,
        "it is target - x: the difference is taken the other way round": -d,
        "it is the gradient of the mean, the loss is half the sum": 2 * d / d.size,
        "it is divided by the number of elements, the loss is a sum": d / d.size,
        "it is 0 where x < 0 (the paper's equation 2): that is not the gradient of the loss": d * (x >= 0),
        "it is 0 where x <= 0 (the paper's equation 2): that is not the gradient of the loss": d * (x > 0),
        "it is half the gradient of (sum d)^2: each element has its own difference": np.full_like(d, d.sum()),
        "it is the gradient of (sum d)^2: each element has its own difference": np.full_like(d, 2 * d.sum()),
        "it is the sign of the difference: the gradient of |d|": np.sign(d),
        "it is the square of the difference: that is the loss, not yet summed": d**2,
        "it is half the square of the difference: that is the loss, not yet summed": d**2 / 2,
        "it is x alone": x,
    }
    expected = Expected(gradient, alternatives=wrong, factors={"the number of elements": d.size})
    return Case("content_gradient", {"x": x, "target": target}, (expected,), note)
