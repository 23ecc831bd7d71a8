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

import numpy as np

from nst_manual.backend import array_module, on_gpu, scratch
from nst_manual.errors import unknown_name
from nst_manual.kernels.cuda import pointwise, sums
from nst_manual.kernels.rows import band_slices
from nst_manual.losses.base import LossModule, total
from nst_manual.threads import parallel

FORMS = ("sum", "mean")
BAND_VALUES = 2**17


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
        """Return the loss."""
        if x.shape != self.target.shape:
            raise self.shape_error("input", f"expected the target's shape {self.target.shape}, got {x.shape}")
        if on_gpu(x):
            return self.coefficient * sums.squared_difference(x, self.target)
        parts = [0.0] * len(self._bands(x))

        def band(index: int, rows: slice) -> None:
            difference = self._difference(x, rows)
            difference *= difference
            parts[index] = total(difference)

        parallel(band, enumerate(self._bands(x)))
        return self.coefficient * sum(parts)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 coefficient (F - P)."""
        if on_gpu(x):
            pointwise.add_difference(x, self.target, 2 * self.coefficient, out=dx)
            return

        def band(rows: slice) -> None:
            difference = self._difference(x, rows)
            difference *= difference.dtype.type(2 * self.coefficient)
            dx[:, rows] += difference

        parallel(band, ((rows,) for rows in self._bands(x)))

    def _bands(self, x: Any) -> list[slice]:
        """Return the rows of each band; F - P of a band stays in the cache, and is nowhere kept whole."""
        return band_slices(x.shape[1], max(1, BAND_VALUES // (x.shape[0] * x.shape[2] * x.shape[3])))

    def _difference(self, x: Any, rows: slice) -> Any:
        """Return F - P of some rows, in scratch memory."""
        part = x[:, rows]
        difference = scratch("content difference", part.shape, np.result_type(x.dtype, self.target.dtype), x)
        return array_module(x).subtract(part, self.target[:, rows], out=difference)

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.form}, weight={self.weight:g}"
