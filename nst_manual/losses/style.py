"""Style loss: the Gram matrix of the features beside that of the painting.

L. Gatys, A. Ecker, M. Bethge, "Image style transfer using convolutional neural networks" (CVPR 2016),
equations 3 to 6. F (M, C) are the features of the image at one layer, M positions of C channels; the paper's
letters are F^T and N = C.

    S = F^T F                                              (C, C), the paper's G
    form "paper"   L = weight / (4 C^2) sum (S / M - A)^2          A = target's S / M
    form "mean"    L = weight / C^2     sum (S / (M C) - A)^2      A = target's S / (M C); neural-style's

    with G = S / Z and L = c sum (G - A)^2:    dL/dF = 2 c / Z  F ((G - A) + (G - A)^T)

Differs from the paper where painting and image have different sizes: the paper's 1 / M^2 in front of the sum
presumes one M for both; here each Gram matrix is divided by its own M, which is the same when they agree.
"""

from __future__ import annotations

from typing import Any

from nst_manual.errors import unknown_name
from nst_manual.kernels import gram as kernel
from nst_manual.losses.base import LossModule, total

FORMS = ("paper", "mean")


def gram(x: Any, form: str = "paper") -> Any:
    """Return the Gram matrices (N, C, C) of features x (N, H, W, C), divided by Z of the form."""
    return kernel.forward(x) / divisor(x.shape, form)


def divisor(shape: tuple[int, ...], form: str) -> float:
    """Return Z for features (N, H, W, C)."""
    if form not in FORMS:
        raise unknown_name("style form", form, FORMS)
    positions = shape[1] * shape[2]
    return float(positions if form == "paper" else positions * shape[3])


class StyleLoss(LossModule):
    """Squared distance of the Gram matrix from a target.

    Parameters
    ----------
    target : array (C, C)
        `gram` of the painting's features at this layer, in the same form.
    weight : float
    form : str
        "paper" or "mean".
    """

    buffers = (*LossModule.buffers, "difference")
    difference: Any = None

    def __init__(self, target: Any, weight: float = 1.0, form: str = "paper") -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("style form", form, FORMS)
        self.target, self.form = target, form

    @property
    def coefficient(self) -> float:
        """c, the factor of the sum of squares."""
        channels = self.target.shape[-1]
        return self.weight / channels**2 / (4 if self.form == "paper" else 1)

    def measure(self, x: Any) -> float:
        """Return the loss; keep G - A."""
        self.expect_images(x, self.target.shape[-1])
        self.difference = gram(x, self.form) - self.target  # (N, C, C)
        return self.coefficient * total(self.difference**2)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 c / Z F (D + D^T) with D = G - A."""
        ds = self.difference * (2 * self.coefficient / divisor(x.shape, self.form))
        kernel.input_gradient(x, ds, out=dx, add=True)

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.form}, weight={self.weight:g}"
