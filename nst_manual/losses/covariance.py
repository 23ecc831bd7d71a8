"""Covariance loss: the Gram matrix of the features with the mean of each channel taken away.

The Gram matrix of L. Gatys, A. Ecker, M. Bethge, "Image style transfer using convolutional neural networks"
(CVPR 2016), equations 3 to 6, of centred features. F (M, C) at M positions of C channels, m their mean (C,).

    S = (F - m)^T (F - m)                                          (C, C); S / M is the covariance, over M
    form "paper"   L = weight / (4 C^2) sum (S / M - A)^2          A = target's S / M
    form "mean"    L = weight / C^2     sum (S / (M C) - A)^2      A = target's S / (M C)

    with V = S / Z and L = c sum (V - A)^2:    dL/dF = 2 c / Z  (F - m) ((V - A) + (V - A)^T)

The gradient has no part through m: that would be a sum over all positions of F - m, which is 0.

Differs from the paper in the mean: its Gram matrix is V + m^T m, so that how strong a channel is and how it
goes with the others are one number there. Here the mean is left free; a `MeanStdLoss` may hold it besides.
The forms are those of `StyleLoss`, whose weights serve here too; both divide by the layer's own size, so that
L does not depend on that of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nst_manual.errors import ShapeError, unknown_name
from nst_manual.kernels import gram as kernel
from nst_manual.kernels import moments
from nst_manual.losses.base import LossModule, total
from nst_manual.losses.style import FORMS, divisor


class CovarianceLoss(LossModule):
    """Squared distance of the channels' covariance from a target.

    Parameters
    ----------
    target : array (C, C)
        `target_of` the painting's features at this layer, in the same form.
    weight : float
    form : str
        "paper" or "mean", as of `StyleLoss`.

    Raises
    ------
    UsageError
        There is no such form.
    ShapeError
        The target is not square.
    """

    buffers = (*LossModule.buffers, "difference", "mean")
    difference: Any = None
    mean: Any = None

    def __init__(self, target: Any, weight: float = 1.0, form: str = "paper") -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("covariance form", form, FORMS)
        if target.ndim != 2 or target.shape[0] != target.shape[1]:
            raise self.shape_error("target", f"expected (C, C), got shape {target.shape}")
        self.target, self.form = target, form

    @staticmethod
    def target_of(features: Any, form: str = "paper") -> Any:
        """Return V (C, C) of features (N, H, W, C), the average over images if there are several."""
        if features.ndim != 4:
            raise ShapeError("CovarianceLoss, features", f"expected (N, H, W, C), got shape {features.shape}")
        z = divisor(features.shape, form)
        return (kernel.forward(features, moments.mean(features)) / z).mean(axis=0)

    @staticmethod
    def blend(targets: Iterable[Any], shares: Iterable[float]) -> Any:
        """Return the average of several paintings' covariances.

        It is that of a painting which has each of them in a share of its area if their means agree.
        """
        return sum(share * target for share, target in zip(shares, targets, strict=True))

    @property
    def coefficient(self) -> float:
        """c, the factor of the sum of squares."""
        channels = self.target.shape[-1]
        return self.weight / channels**2 / (4 if self.form == "paper" else 1)

    def measure(self, x: Any) -> float:
        """Return the loss; keep m and V - A."""
        self.expect_images(x, self.target.shape[-1])
        self.mean = moments.mean(x)  # (N, C)
        self.difference = kernel.forward(x, self.mean) / divisor(x.shape, self.form) - self.target
        return self.coefficient * total(self.difference**2)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 c / Z (F - m) (D + D^T) with D = V - A."""
        ds = self.difference * (2 * self.coefficient / divisor(x.shape, self.form))  # (N, C, C)
        kernel.input_gradient(x, ds, self.mean, out=dx, add=True)

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.form}, weight={self.weight:g}"
