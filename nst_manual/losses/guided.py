"""Style loss of a region: the Gram matrix of the features under a mask.

L. Gatys, A. Ecker, M. Bethge, A. Hertzmann, E. Shechtman, "Controlling perceptual factors in neural style
transfer" (CVPR 2017), section 3.1. F (M, C) are the features of the image at one layer, T (M) the mask at its
positions, soft or hard; several regions are several modules in a row, each with its mask and its target.

    T <- T / sqrt(sum T^2)                                     so that sum T^2 = 1
    S = (T F)^T (T F)                                          (C, C), T times each channel
    form "paper"   L = weight / (4 C^2) sum (S - A)^2          A = target's S
    form "mean"    L = weight / C^2     sum (S / C - A)^2      A = target's S / C

    with G = S / Z and L = c sum (G - A)^2:    dL/dF = 2 c / Z  T^2 F ((G - A) + (G - A)^T)

Where T is the same everywhere, T^2 = 1 / M, and both forms are those of `nst_manual.losses.style`. Since the
sum is 1, a small region counts as much as a large one; who wants otherwise has the weight.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, beside, on_gpu, scratch
from nst_manual.errors import UsageError, unknown_name
from nst_manual.kernels import gram as kernel
from nst_manual.kernels.gram import BACKWARD_POSITIONS, BANDS
from nst_manual.kernels.rows import band_slices
from nst_manual.losses.base import total
from nst_manual.losses.style import FORMS, StyleLoss
from nst_manual.threads import parallel


def guided_gram(x: Any, guide: Any, form: str = "paper") -> Any:
    """Return the Gram matrices (N, C, C) of features x (N, H, W, C) under a mask, divided by Z of the form.

    Parameters
    ----------
    x : array (N, H, W, C)
    guide : array (H, W)
        The mask at the positions of the layer, 0 and more, of any scale; not 0 everywhere.
    form : str
        "paper" (Z = 1) or "mean" (Z = C).

    Raises
    ------
    UsageError
        An unknown form; a mask that is 0 everywhere, negative somewhere or not finite.
    """
    return _sums(x, beside(normalised(guide), x)) / _divisor(x.shape[3], form)


def normalised(guide: Any) -> Any:
    """Return the mask (H, W) in double precision with sum T^2 = 1.

    Raises
    ------
    UsageError
        It is 0 everywhere, negative somewhere, not finite or not (H, W).
    """
    xp = array_module(guide)
    guide = xp.asarray(guide).astype("float64")
    if guide.ndim != 2:
        raise UsageError("guide", f"expected a mask (H, W), got shape {guide.shape}")
    if not bool(xp.isfinite(guide).all() and (guide >= 0).all()):
        raise UsageError("guide", "expected finite values of at least 0")
    largest = float(guide.max()) if guide.size else 0.0
    if largest == 0:
        hint = "a small region may have no position inside it at a deep layer: another rule may grow it there"
        raise UsageError("guide", "the mask is 0 at every position of the layer", hint)
    guide /= largest  # of the smallest numbers the square is 0
    return guide / float((guide**2).sum()) ** 0.5


class GuidedStyleLoss(StyleLoss):
    """Squared distance of a region's Gram matrix from a target.

    Parameters
    ----------
    target : array (C, C)
        `guided_gram` of the painting's features at this layer under the painting's own mask, or `gram` of
        them all, in the same form.
    guide : array (H, W)
        The mask at this layer's positions for the image, 0 and more.
    weight : float
    form : str
        "paper" or "mean".

    Raises
    ------
    UsageError
        As `normalised`.
    """

    def __init__(self, target: Any, guide: Any, weight: float = 1.0, form: str = "paper") -> None:
        super().__init__(target, weight, form)
        self.guide = beside(normalised(guide), target)

    def measure(self, x: Any) -> float:
        """Return the loss; keep G - A."""
        self.expect_images(x, self.target.shape[-1])
        if x.shape[1:3] != self.guide.shape:
            cause = f"expected the mask's {self.guide.shape} positions, got shape {x.shape}"
            raise self.shape_error("input", cause)
        self.difference = _sums(x, self.guide) / _divisor(x.shape[3], self.form) - self.target  # (N, C, C)
        return self.coefficient * total(self.difference**2)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 c / Z T^2 F (D + D^T) with D = G - A, at the positions where T is not 0."""
        xp = array_module(x)
        both = self.difference + self.difference.transpose(0, 2, 1)
        both *= both.real.dtype.type(2 * self.coefficient / _divisor(x.shape[3], self.form))
        squares = (self.guide**2).astype(x.real.dtype)[..., None]  # (H, W, 1)
        if on_gpu(x):
            kernel.add_product(x * squares, both, out=dx)
            return

        def band(rows: slice) -> None:
            part = x[:, rows]
            flat = part.reshape(part.shape[0], -1, part.shape[3])  # (N, rows W, C)
            product = scratch("guided gradient", flat.shape, xp.result_type(x, both), x)
            xp.matmul(flat, both, out=product)
            product = product.reshape(part.shape)
            product *= squares[rows]
            dx[:, rows] += product

        height = max(1, min(BACKWARD_POSITIONS // x.shape[2], -(-x.shape[1] // BANDS)))
        parallel(band, ((rows,) for rows in _bands(self.guide, height)))


def _divisor(channels: int, form: str) -> float:
    """Return Z: where T^2 = 1 / M, S / Z is that of the form without a mask."""
    if form not in FORMS:
        raise unknown_name("style form", form, FORMS)
    return 1.0 if form == "paper" else float(channels)


def _sums(x: Any, guide: Any) -> Any:
    """Return S (N, C, C) for x (N, H, W, C) and a normalised mask; bands are added in order."""
    xp = array_module(x)
    guide = guide.astype(x.real.dtype)[..., None]  # (H, W, 1)
    if on_gpu(x):
        return kernel.forward(x * guide)
    bands = _bands(guide, max(1, -(-x.shape[1] // BANDS)))
    parts = xp.empty((len(bands), x.shape[0], x.shape[3], x.shape[3]), x.dtype)

    def band(index: int, rows: slice) -> None:
        part = x[:, rows]
        features = scratch("guided features", part.shape, x.dtype, x)
        xp.multiply(part, guide[rows], out=features)
        features = features.reshape(x.shape[0], -1, x.shape[3])  # (N, rows W, C)
        xp.matmul(features.transpose(0, 2, 1), features, out=parts[index])

    parallel(band, enumerate(bands))
    return parts.sum(axis=0)


def _bands(guide: Any, height: int) -> list[slice]:
    """Return bands of rows, without those in which the mask is 0: where a region is not, it costs nothing."""
    return [rows for rows in band_slices(guide.shape[0], height) if bool(guide[rows].any())]
