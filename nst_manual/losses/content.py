"""Content loss: the features of the image beside those of the content photograph.

L. Gatys, A. Ecker, M. Bethge, "Image style transfer using convolutional neural networks" (CVPR 2016),
equations 1 and 2. F features of the image, P of the photograph, at one layer, both (M, C).

    form "sum"    L = weight 1/2 sum (F - P)^2        dL/dF = weight (F - P)                 the paper's
    form "mean"   L = weight mean (F - P)^2           dL/dF = weight 2 / (M C) (F - P)       neural-style's

Differs from the paper in equation 2, which lets the gradient vanish where F < 0: behind a ReLU that never
happens, and before one it would not be the gradient of equation 1.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.errors import unknown_name
from nst_manual.losses.base import LossModule, total

FORMS = ("sum", "mean")


class ContentLoss(LossModule):
    """Squared distance of the features from a target.

    Parameters
    ----------
    target : array (1, H, W, C)
        Features of the content photograph at this layer.
    weight : float
    form : str
        "sum" (half the sum of squares) or "mean".
    """

    buffers = (*LossModule.buffers, "difference")
    difference: Any = None

    def __init__(self, target: Any, weight: float = 1.0, form: str = "sum") -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("content form", form, FORMS)
        self.target, self.form = target, form

    @property
    def coefficient(self) -> float:
        """The factor of the sum of squares."""
        return self.weight / 2 if self.form == "sum" else self.weight / self.target.size

    def measure(self, x: Any) -> float:
        """Return the loss; keep F - P."""
        if x.shape != self.target.shape:
            raise self.shape_error("input", f"expected the target's shape {self.target.shape}, got {x.shape}")
        xp = array_module(x)
        self.difference = xp.subtract(x, self.target, out=self.buffer("difference", x.shape, x.dtype, x))
        return self.coefficient * total(self.difference**2)

    def gradient(self, x: Any, *, out: Any) -> None:
        """Write 2 coefficient (F - P)."""
        array_module(x).multiply(self.difference, 2 * self.coefficient, out=out)

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.form}, weight={self.weight:g}"
