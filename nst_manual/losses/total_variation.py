"""Total variation: neighbouring pixels should not differ without need.

    d = x[h+1, w] - x[h, w]  and  e = x[h, w+1] - x[h, w]

    form "absolute"   L = weight (sum |d| + sum |e|)         over all pairs; neural-style-pt's
    form "squared"    L = weight / 2 sum (d^2 + e^2)         over h < H-1, w < W-1
    form "isotropic"  L = weight sum sqrt(d^2 + e^2 + eps)   over h < H-1, w < W-1
    form "nine-point" L = 2 weight (mean d^2 / 3 + mean e^2 / 3 + mean f^2 / 12 + mean g^2 / 12)

    f = p[h+1, w+1] - p[h, w]  and  g = p[h+1, w] - p[h, w+1], the diagonals of p: x with a border of one
    pixel that repeats its edges. Means are over N H W C (d and e beyond the edge are 0), N (H+1) (W+1) C.

L. Rudin, S. Osher, E. Fatemi, "Nonlinear total variation based noise removal algorithms" (1992) is where the
term comes from, in the isotropic form, which likes slanting edges as much as upright ones; A. Mahendran,
A. Vedaldi, "Understanding deep image representations by inverting them" (CVPR 2015) brought it to images made
from features. Each channel is an image of its own. eps, `EPSILON`, rounds off the tip of the root, so that
there is a derivative where d = e = 0 too, and costs sqrt(eps) for each pixel and channel of a flat picture.

The Lua program neural-style adds the gradient of the second form and leaves the loss out of the number that
its optimiser sees. Here the number is in the loss. The derivative of |d| at d = 0 is taken as 0.

The nine-point form is that of K. Crowson's style-transfer-pytorch (pixels there are 0..1): a pixel and its
eight neighbours, with factors that make it the mean squared slope of a smooth picture, alike in all
directions up to the fourth order. p is never made: a diagonal that reaches into the border is a difference
along the edge, met once as f and once as g; at the corners it is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nst_manual.backend import array_module
from nst_manual.errors import unknown_name
from nst_manual.losses.base import LossModule, total

FORMS = ("absolute", "squared", "isotropic", "nine-point")

# In squared units of what passes: its root is a hundredth of a pixel value where pixels are 0..255, half of
# one where weights want them divided by a standard deviation.
EPSILON = 1e-4


class TotalVariation(LossModule):
    """Differences of neighbours in an image (N, H, W, C), summed; nine-point, their means.

    Parameters
    ----------
    weight : float
    form : str
        "absolute", "squared", "isotropic" or "nine-point".
    """

    def __init__(self, weight: float = 1.0, form: str = "absolute") -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("total variation form", form, FORMS)
        self.form = form

    def measure(self, x: Any) -> float:
        """Return the loss."""
        self.expect_images(x)
        if self.form == "nine-point":
            pairs = _nine_point(x.shape)
            return self.weight * sum((factor * total((x[a] - x[b]) ** 2) for a, b, factor in pairs), 0.0)
        down, right = self._differences(x)
        if self.form == "absolute":
            # |d| as d sign(d), which a complex step can pass through
            return self.weight * (total(down * _sign(down)) + total(right * _sign(right)))
        if self.form == "isotropic":
            return self.weight * total(_length(down, right))
        return self.weight / 2 * (total(down**2) + total(right**2))

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add the gradient: each difference pulls at its two pixels."""
        if self.form == "nine-point":
            for a, b, factor in _nine_point(x.shape):
                difference = x[a] - x[b]
                difference *= 2 * self.weight * factor
                dx[a] += difference
                dx[b] -= difference
            return
        down, right = self._differences(x)
        if self.form == "absolute":
            down, right = _sign(down), _sign(right)
        elif self.form == "isotropic":
            length = _length(down, right)
            down, right = down / length, right / length
        h, w = down.shape[1], right.shape[2]
        down, right = (d * d.dtype.type(self.weight) for d in (down, right))
        dx[:, 1:, : down.shape[2]] += down
        dx[:, :h, : down.shape[2]] -= down
        dx[:, : right.shape[1], 1:] += right
        dx[:, : right.shape[1], :w] -= right

    def _differences(self, x: Any) -> tuple[Any, Any]:
        """Return the differences to the pixel below and to the one on the right."""
        down, right = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
        if self.form != "absolute":  # the interior: pixels that have both neighbours
            down, right = down[:, :, :-1], right[:, :-1]
        return down, right

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.form}, weight={self.weight:g}"


def _length(down: Any, right: Any) -> Any:
    """Return sqrt(d^2 + e^2 + eps); complex numbers keep to the branch of the positive root."""
    squares = down**2
    squares += right**2
    squares += squares.real.dtype.type(EPSILON)
    return array_module(squares).sqrt(squares)


def _nine_point(shape: tuple[int, ...]) -> Iterator[tuple[tuple, tuple, float]]:
    """Yield, for images (N, H, W, C), pixels, their neighbours, and the factor of the squared difference."""
    n, h, w, c = shape
    near, far = 2 / (3 * n * h * w * c), 2 / (12 * n * (h + 1) * (w + 1) * c)
    every, first, last = slice(None), slice(None, -1), slice(1, None)
    yield (every, last), (every, first), near
    yield (every, every, last), (every, every, first), near
    yield (every, last, last), (every, first, first), far
    yield (every, last, first), (every, first, last), far
    for edge in (0, -1):  # diagonals into the border, of both kinds
        yield (every, last, edge), (every, first, edge), 2 * far
        yield (every, edge, last), (every, edge, first), 2 * far


def _sign(d: Any) -> Any:
    return array_module(d).sign(d.real).astype(d.real.dtype)
