"""Shifted Gram loss: the Gram matrix of the features with a constant added to each of them.

R. Novak, Y. Nikulin, "Improving the neural algorithm of artistic style" (2016), the section on activation
shift. F (M, C) are the features at M positions of C channels, s the shift.

    S = (F + s)^T (F + s)                                          (C, C)
    form "paper"   L = weight / (4 C^2) sum (S / M - A)^2          A = target's S / M
    form "mean"    L = weight / C^2     sum (S / (M C) - A)^2      A = target's S / (M C)

    with G = S / Z and L = c sum (G - A)^2:    dL/dF = 2 c / Z  (F + s) ((G - A) + (G - A)^T)

Behind a ReLU most features are 0, and so are most products of two of them; such a product says that one of
the two is silent, not which, nor whether both are. With s = -1, the paper's choice, a position where both are
silent adds 1 to the sum, and one where a single one is active, with a value of a, adds 1 - a.

How much -1 is depends on how large the features are, which the network and its weights decide: say another
shift where they are in the hundreds. With s = 0 this is `StyleLoss`, whose forms and weights serve here too;
both forms divide by the layer's own size, so that L does not depend on that of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from nst_manual.errors import ShapeError, UsageError, unknown_name
from nst_manual.kernels import gram as kernel
from nst_manual.losses.base import LossModule, total
from nst_manual.losses.style import FORMS, divisor


class ShiftedGramLoss(LossModule):
    """Squared distance of the Gram matrix of F + shift from a target.

    Parameters
    ----------
    target : array (C, C)
        `target_of` the painting's features at this layer, of the same form and shift.
    weight : float
    form : str
        "paper" or "mean", as of `StyleLoss`.
    shift : float
        What is added to all features, in their own units.

    Raises
    ------
    UsageError
        There is no such form, or the shift is not finite.
    ShapeError
        The target is not square.
    """

    buffers = (*LossModule.buffers, "difference")
    difference: Any = None

    def __init__(self, target: Any, weight: float = 1.0, form: str = "paper", shift: float = -1.0) -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("shifted Gram form", form, FORMS)
        if target.ndim != 2 or target.shape[0] != target.shape[1]:
            raise self.shape_error("target", f"expected (C, C), got shape {target.shape}")
        self.target, self.form, self.shift = target, form, _finite(shift)

    @staticmethod
    def target_of(features: Any, form: str = "paper", shift: float = -1.0) -> Any:
        """Return G (C, C) of features (N, H, W, C), the average over images if there are several."""
        if features.ndim != 4:
            raise ShapeError(
                "ShiftedGramLoss, features", f"expected (N, H, W, C), got shape {features.shape}"
            )
        z = divisor(features.shape, form)
        return (kernel.forward(features, -_finite(shift)) / z).mean(axis=0)

    @staticmethod
    def blend(targets: Iterable[Any], shares: Iterable[float]) -> Any:
        """Return the average of several paintings' matrices."""
        return sum(share * target for share, target in zip(shares, targets, strict=True))

    @property
    def coefficient(self) -> float:
        """c, the factor of the sum of squares."""
        channels = self.target.shape[-1]
        return self.weight / channels**2 / (4 if self.form == "paper" else 1)

    def measure(self, x: Any) -> float:
        """Return the loss; keep G - A."""
        self.expect_images(x, self.target.shape[-1])
        self.difference = kernel.forward(x, -self.shift) / divisor(x.shape, self.form) - self.target
        return self.coefficient * total(self.difference**2)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 c / Z (F + s) (D + D^T) with D = G - A."""
        ds = self.difference * (2 * self.coefficient / divisor(x.shape, self.form))  # (N, C, C)
        kernel.input_gradient(x, ds, -self.shift, out=dx, add=True)

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.form}, shift={self.shift:g}, weight={self.weight:g}"


def _finite(shift: float) -> float:
    if not math.isfinite(shift):
        raise UsageError("shift of the features", f"expected a finite number, got {shift}")
    return float(shift)
