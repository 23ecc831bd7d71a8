"""Exercise: style loss and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal
from nst_manual.losses import StyleLoss, gram

NAME = "style-gradient"
TITLE = "Style loss: the number and its gradient"
TEMPLATE = '''
def style_loss(x, style):
    """Return the style loss of one layer (Gatys, Ecker and Bethge 2016, equations 3 to 5).

        L = 1 / (4 C^2 M^2) sum (G - A)^2        over all C x C elements

    G = F^T F is the Gram matrix of the image's features, with F (M, C) and M = H W positions; A is that of
    the painting's features. Neither is divided by anything: the factor in front does it. (The paper writes
    N for the number of channels C.)

    Parameters
    ----------
    x : array (1, H, W, C)
        Features of the image that is being made, at one layer.
    style : array (1, H, W, C)
        Features of the painting at that layer, of the same size.

    Returns
    -------
    float

    Example
    -------
    One position of two channels, x = (1, 2) and style = (1, 0):

        G = 1 2    A = 1 0    sum (G - A)^2 = 0 + 4 + 4 + 16 = 24    L = 24 / (4 * 4 * 1) = 1.5
            2 4        0 0
    """
    raise NotImplementedError


def style_gradient(x, style):
    """Return the gradient of `style_loss` with respect to x (equation 6).

        dL/dF = 1 / (C^2 M^2) F (G - A)

    The 4 of the derivative (2 of the square, and each element of F stands in G twice) takes the 1/4 away.
    Differs from the paper in not setting it to 0 where F < 0.

    Parameters
    ----------
    x, style : array (1, H, W, C)

    Returns
    -------
    array (1, H, W, C)
        In the shape of x: the gradient of each feature.

    Example
    -------
    With the numbers above, F (G - A) = (1, 2) times the matrix (0 2; 2 4) = (4, 10), divided by 4 * 1:
    (1, 2.5).
    """
    raise NotImplementedError
'''
HINTS = (
    "Write F = x.reshape(-1, C) and a function for the Gram matrix; the exercise gram checks that.",
    "Shapes: F is (M, C) and G - A is (C, C), so that only F @ (G - A) fits; reshape the product to x.shape.",
    "The derivative is with respect to x. The painting's features stand in A alone.",
)


def cases() -> list[Case]:
    """Return the calls to be checked; odd sizes, so that no two wrong scales are the same number."""
    pairs = [
        (normal(1, 1, 5, 7, 3), normal(2, 1, 5, 7, 3), ""),
        (
            np.maximum(normal(3, 1, 3, 7, 5), 0),
            np.maximum(normal(4, 1, 3, 7, 5), 0),
            "zeros, as behind a ReLU",
        ),
        (normal(5, 1, 2, 3, 7), normal(6, 1, 2, 3, 7), "more channels than positions"),
    ]
    return [_loss(*pair) for pair in pairs] + [_gradient(*pair) for pair in pairs]


def _scales(c: int, m: int, in_words: str, right: float) -> dict[str, float]:
    """Return wrong scales by what to say of them, as multiples of the right one."""
    found = {
        "the scale {} is missing": 1.0,
        "the scale 1 / (C^2 M^2) is missing, the 4 is there": 4 if right == 1 else 1 / 4,
        "the scale is 2 / (C^2 M^2), it is to be {}": 2 / (c * m) ** 2,
        "the scale is 4 / (C^2 M^2), it is to be {}": 4 / (c * m) ** 2,
        "the scale is 1 / (C^2 M^2), it is to be {}": 1 / (c * m) ** 2,
        "the scale is 1 / (2 C^2 M^2), it is to be {}": 1 / 2 / (c * m) ** 2,
        "the scale is 1 / (4 C^2 M^2), it is to be {}": 1 / 4 / (c * m) ** 2,
        "the scale {} is missing, and there is a 2": 2.0,
        "the scale {} is missing, and there is a 1/2": 0.5,
    }
    for number in (1, 2, 4, 0.5, 0.25):
        shown = {1: "1", 2: "2", 4: "4", 0.5: "1/2", 0.25: "1/4"}[number]
        for divisor, value in (
            ("M", m),
            ("C", c),
            ("M^2", m**2),
            ("C^2", c**2),
            ("(C M)", c * m),
            ("(C^2 M)", c * c * m),
            ("(C M^2)", c * m * m),
        ):
            found[f"the scale is {shown} / {divisor}, it is to be {{}}"] = number / value
    found["each Gram matrix is divided by C M besides: the scale {} does it alone"] = right / (c * m) ** 4
    wanted = right / (c * m) ** 2
    factors = {words.format(in_words): value / wanted for words, value in found.items()}
    return {words: factor for words, factor in factors.items() if abs(factor - 1) > 1e-9}


def _mixed(x: np.ndarray) -> np.ndarray:
    """Return F (M, C) as it comes out where x is reshaped to (C, M): channels and positions are mixed up."""
    return x.reshape(x.shape[3], -1).T


def _loss(x: np.ndarray, style: np.ndarray, note: str) -> Case:
    c, m = x.shape[3], x.shape[1] * x.shape[2]
    loss = StyleLoss(gram(style)).measure(x)
    d = (gram(x) - gram(style)) * m  # the paper's G - A
    scales = _scales(c, m, "1 / (4 C^2 M^2)", 0.25)
    unit = 4 * (c * m) ** 2
    wrong: dict[str, Any] = {words: loss * factor for words, factor in scales.items()}
    f, p = _mixed(x), _mixed(style)
    for words, value in {
        "it is the square of the sum of differences: square each first, then sum": d.sum() ** 2,
        "it is the sum of |G - A|: the differences are to be squared": np.abs(d).sum(),
        "the channels are mixed up: reshape(C, H W) does not move an axis; reshape to (H W, C)": np.sum(
            (f.T @ f - p.T @ p) ** 2
        ),
        "it is the norm of G - A: it is to be the sum of squares": np.linalg.norm(d),
        "it compares F with the painting's features: it is to compare their Gram matrices": np.sum(
            (x - style) ** 2
        ),
    }.items():
        wrong |= {words: value / unit, f"{words}; and the scale is missing": value}
    return Case("style_loss", {"x": x, "style": style}, (Expected(loss, alternatives=wrong),), note)


def _gradient(x: np.ndarray, style: np.ndarray, note: str) -> Case:
    c, m = x.shape[3], x.shape[1] * x.shape[2]
    module = StyleLoss(gram(style))
    module.measure(x)
    right = np.zeros_like(x)
    module.add_gradient(x, right)
    d = module.difference[0] * m  # G - A
    scales = _scales(c, m, "1 / (C^2 M^2)", 1.0)
    wrong: dict[str, Any] = {words: right * factor for words, factor in scales.items()}
    f, p = _mixed(x), _mixed(style)
    for words, value in {
        "the painting's features stand in front, P (G - A): the derivative is with respect to x, F (G - A)": (
            style @ d
        ),
        "the difference of the features stands in front: it is to be F (G - A)": (x - style) @ d,
        "it is A - G: the difference is taken the other way round": -(x @ d),
        "it is F G: the painting's Gram matrix A is not subtracted": x @ (d + gram(style)[0] * m),
        "it is 0 where x < 0 (the paper's equation 6): that is not the gradient of the loss": (x @ d)
        * (x > 0),
        "the channels are mixed up: reshape(C, H W) does not move an axis; reshape to (H W, C)": (
            (f @ (f.T @ f - p.T @ p)).T.reshape(x.shape)
        ),
    }.items():
        wrong[words] = value / (c * m) ** 2
        for scale, factor in scales.items():
            wrong[f"{words}; and {scale}"] = value * factor / (c * m) ** 2
    in_matrix = "; the gradient is with respect to the features, in the shape of x: F (G - A), reshaped"
    said = {
        (c, c): "this is the shape of G - A, the gradient with respect to G" + in_matrix,
        (1, c, c): "this is the shape of G - A, the gradient with respect to G" + in_matrix,
        (m, c): "this is the shape of F, reshape it to x.shape",
        (c, m): "this is the shape of F^T, transpose it and reshape it to x.shape",
        (): "this is one number: the gradient has one for each feature",
    }
    expected = Expected(right, alternatives=wrong, shapes=said)
    return Case("style_gradient", {"x": x, "style": style}, (expected,), note)
