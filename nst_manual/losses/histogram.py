"""Histogram loss: each channel's values beside the painting's, whatever their order.

    F (M, C) features of the image at one layer; R(F) the same, each channel remapped to have the painting's
    distribution: the i-th smallest of the image's values becomes the painting's i-th

    L = weight / (M C) sum (F - R(F))^2        dL/dF = 2 weight / (M C) (F - R(F))

E. Risser, P. Wilmot, C. Barnes, "Stable and controllable neural texture synthesis and style transfer using
histogram losses" (2017), there the sum. A Gram matrix leaves mean and variance free to trade
places; the histogram holds both.

The paper remaps through histograms of 256 bins, holds R(F) constant in the gradient, and so has a gradient of
nearly its loss. Here the remapping is exact transport (`kernels.transport`): L is the squared Wasserstein-2
distance of the two distributions, meaned over channels, R(F) is held constant too, and that is the true
gradient wherever no two values of a channel are equal. Equal values (zeros behind a ReLU) get the painting's
values in the order of their positions, so that a plane of zeros is pulled up from its lower right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nst_manual.backend import array_module, on_gpu
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import transport
from nst_manual.kernels.cuda import pointwise
from nst_manual.kernels.rows import band_slices
from nst_manual.losses.base import LossModule, total
from nst_manual.threads import parallel

QUANTILES = 16384
# Positions of a band, in which rows of channels are turned into rows of positions and back.
BAND_POSITIONS = 1024


class HistogramLoss(LossModule):
    """Mean squared distance of the features from themselves with the distribution of a target.

    Parameters
    ----------
    target : array (C, Q)
        `target_of` the painting's features at this layer: each channel's quantiles.
    weight : float
    """

    buffers = (*LossModule.buffers, "displacement")
    displacement: Any = None

    def __init__(self, target: Any, weight: float = 1.0) -> None:
        super().__init__(weight)
        if target.ndim != 2:
            raise self.shape_error("target", f"expected quantiles (C, Q), got {target.shape}")
        self.target = target

    @staticmethod
    def target_of(features: Any, quantiles: int | None = QUANTILES) -> Any:
        """Return the sorted values (C, Q) of each channel of features (1, H, W, C).

        Parameters
        ----------
        features : array (1, H, W, C)
        quantiles : int, optional
            The largest Q: of more positions than that, the means over so many equal shares of the sorted
            values are kept. None keeps all.
        """
        if features.ndim != 4 or features.shape[0] != 1:
            raise ShapeError("histogram target", f"expected features (1, H, W, C), got {features.shape}")
        if quantiles is not None and quantiles < 1:
            raise UsageError("histogram quantiles", f"expected at least 1, got {quantiles}")
        values = array_module(features).array(features[0].reshape(-1, features.shape[3]).T, order="C")
        values.sort(axis=1)
        return transport.shares(values, min(quantiles or values.shape[1], values.shape[1]))

    @staticmethod
    def blend(targets: Sequence[Any], shares: Sequence[float]) -> Any:
        """Return the distributions between those of the paintings: means of their quantiles."""
        return transport.blend(list(targets), list(shares))

    def measure(self, x: Any) -> float:
        """Return the loss; keep F - R(F)."""
        self.expect_images(x, self.target.shape[0])
        width, channels = x.shape[2:]
        shape = (x.shape[0], channels, x.shape[1] * width)
        displacement = self.buffer("displacement", shape, x.dtype, x)  # (N, C, M)

        def turn(n: int, rows: slice) -> None:
            positions = slice(rows.start * width, rows.stop * width)
            displacement[n, :, positions] = x[n, rows].reshape(-1, channels).T

        if on_gpu(x):
            displacement[...] = x.reshape(shape[0], shape[2], channels).transpose(0, 2, 1)
        else:
            parallel(turn, self._bands(x))
        cost = sum(total(transport.forward(part, self.target, out=part)[0]) for part in displacement)
        return self.weight / (shape[1] * shape[2]) * cost

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 weight / (M C) (F - R(F))."""
        factor = x.dtype.type(2 * self.weight / self.displacement[0].size)
        if on_gpu(x):
            pointwise.add_multiple(transport.by_positions(self.displacement, x.shape), factor, out=dx)
            return
        width = x.shape[2]

        def turn(n: int, rows: slice) -> None:
            positions = slice(rows.start * width, rows.stop * width)
            pull = self.displacement[n, :, positions].T * factor
            dx[n, rows] += pull.reshape(dx[n, rows].shape)

        parallel(turn, self._bands(x))

    def _bands(self, x: Any) -> list[tuple[int, slice]]:
        rows = band_slices(x.shape[1], max(1, BAND_POSITIONS // x.shape[2]))
        return [(n, part) for n in range(x.shape[0]) for part in rows]

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.target.shape[1]} quantiles, weight={self.weight:g}"
