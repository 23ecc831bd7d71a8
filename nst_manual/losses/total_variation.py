"""Total variation: neighbouring pixels should not differ without need.

    d = x[h+1, w] - x[h, w]  and  e = x[h, w+1] - x[h, w]

    form "absolute"   L = weight (sum |d| + sum |e|)         over all pairs; neural-style-pt's
    form "squared"    L = weight / 2 sum (d^2 + e^2)         over h < H-1, w < W-1
    form "isotropic"  L = weight sum sqrt(d^2 + e^2 + eps)   over h < H-1, w < W-1

L. Rudin, S. Osher, E. Fatemi, "Nonlinear total variation based noise removal algorithms" (1992) is where the
term comes from, in the last form, which likes slanting edges as much as upright ones; A. Mahendran,
A. Vedaldi, "Understanding deep image representations by inverting them" (CVPR 2015) brought it to images made
from features. Each channel is an image of its own. eps, `EPSILON`, rounds off the tip of the root, so that
there is a derivative where d = e = 0 too, and costs sqrt(eps) for each pixel and channel of a flat picture.

The Lua program neural-style adds the gradient of the second form and leaves the loss out of the number that
its optimiser sees. Here the number is in the loss. The derivative of |d| at d = 0 is taken as 0.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.errors import unknown_name
from nst_manual.losses.base import LossModule, total

FORMS = ("absolute", "squared", "isotropic")

# In squared units of what passes: its root is a hundredth of a pixel value where pixels are 0..255, half of
# one where weights want them divided by a standard deviation.
EPSILON = 1e-4


class TotalVariation(LossModule):
    """Differences of neighbours, summed over an image (N, H, W, C).

    Parameters
    ----------
    weight : float
    form : str
        "absolute", "squared" or "isotropic".
    """

    def __init__(self, weight: float = 1.0, form: str = "absolute") -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("total variation form", form, FORMS)
        self.form = form

    def measure(self, x: Any) -> float:
        """Return the loss."""
        self.expect_images(x)
        down, right = self._differences(x)
        if self.form == "absolute":
            # |d| as d sign(d), which a complex step can pass through
            return self.weight * (total(down * _sign(down)) + total(right * _sign(right)))
        if self.form == "isotropic":
            return self.weight * total(_length(down, right))
        return self.weight / 2 * (total(down**2) + total(right**2))

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add the gradient: each difference pulls at its two pixels."""
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


def _sign(d: Any) -> Any:
    return array_module(d).sign(d.real).astype(d.real.dtype)
