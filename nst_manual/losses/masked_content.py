"""Content loss where a mask is: the picture keeps to the photograph in some places and is free in others.

F features of the image, P of the photograph, at one layer, both (M, C); m (M) the mask at its positions, 0
where nothing is to be kept. As in `nst_manual.losses.content`, with m in the sum:

    form "sum"    L = weight 1/2 sum m (F - P)^2          dL/dF = weight m (F - P)
    form "mean"   L = weight / (M C) sum m (F - P)^2      dL/dF = weight 2 / (M C) m (F - P)

M counts all positions, in the mask or not: a position with m = 1 is held exactly as without a mask, however
small the mask is, and a mask of ones changes nothing.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, beside, on_gpu
from nst_manual.errors import UsageError
from nst_manual.kernels.cuda import pointwise, sums
from nst_manual.losses.base import total
from nst_manual.losses.content import ContentLoss
from nst_manual.threads import parallel


class MaskedContentLoss(ContentLoss):
    """Squared distance of the features from a target, each position with a weight of its own.

    Parameters
    ----------
    target : array (1, H, W, C)
        Features of the content photograph at this layer.
    mask : array (H, W)
        The weights of the positions, 0 and more.
    weight : float
    form : str
        "sum" (half the sum of squares) or "mean".

    Raises
    ------
    UsageError
        The mask is negative somewhere, not finite, or not of the target's size.
    """

    def __init__(self, target: Any, mask: Any, weight: float = 1.0, form: str = "sum") -> None:
        super().__init__(target, weight, form)
        xp = array_module(mask)
        mask = xp.asarray(mask).astype(target.real.dtype)
        if mask.shape != target.shape[1:3]:
            cause = f"expected the {target.shape[1:3]} positions of the target, got shape {mask.shape}"
            raise UsageError("mask", cause)
        if not bool(xp.isfinite(mask).all() and (mask >= 0).all()):
            raise UsageError("mask", "expected finite values of at least 0")
        self.mask = beside(mask, target)

    def measure(self, x: Any) -> float:
        """Return the loss."""
        if x.shape != self.target.shape:
            raise self.shape_error("input", f"expected the target's shape {self.target.shape}, got {x.shape}")
        if on_gpu(x):
            squares = sums.weighted_squared_difference(x, self.target, self.mask[:, :, None])
            return self.coefficient * squares
        bands = self._bands(x)
        parts = [0.0] * len(bands)

        def band(index: int, rows: slice) -> None:
            difference = self._difference(x, rows)
            difference *= difference
            difference *= self.mask[rows, :, None]
            parts[index] = total(difference)

        parallel(band, enumerate(bands))
        return self.coefficient * sum(parts)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 coefficient m (F - P)."""
        if on_gpu(x):
            pulled = x, self.target, self.mask[:, :, None]
            pointwise.add_weighted_difference(*pulled, 2 * self.coefficient, out=dx)
            return

        def band(rows: slice) -> None:
            difference = self._difference(x, rows)
            difference *= self.mask[rows, :, None] * difference.dtype.type(2 * self.coefficient)
            dx[:, rows] += difference

        parallel(band, ((rows,) for rows in self._bands(x)))
