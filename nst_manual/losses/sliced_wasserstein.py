"""Sliced Wasserstein loss: the features' whole distribution, seen along many directions.

    F (M, C) features of the image at one layer, v_k one of K directions of length 1, p_k = F v_k (M,)

    L = weight / (K M) sum_k sum_i (p_k,(i) - T_k,i)^2         p_(i) the i-th smallest; T the painting's
    dL/dF = 2 weight / (K M) sum_k d_k v_k^T                   d_k (M,) = p_k - T_k where F has its p_k

E. Heitz, K. Vanhoey, T. Chambon, L. Belcour, "A sliced Wasserstein loss for neural texture synthesis" (CVPR
2021), K = C by default as there. In the limit of many directions it is 0 for equal
distributions of the features only, which no Gram matrix can promise.

Differs from the paper in two things. Its directions are drawn anew for each evaluation; here they are drawn
once, from a seed, and belong to the target: an L-BFGS sees one function. And for another number of positions
than the painting's it repeats the painting's values and drops some; here each value is paired with its share
of the painting's distribution (`kernels.transport`), which is the same where the numbers are equal. Of a
painting with more than `quantiles` positions, the means over that many equal shares of its sorted values
are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nst_manual.backend import array_module, beside, on_gpu, product, scratch
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import gram as kernel
from nst_manual.kernels import transport
from nst_manual.kernels.rows import band_slices
from nst_manual.losses.base import LossModule, total
from nst_manual.threads import parallel

QUANTILES = 16384
# Positions of a band of products.
BAND_POSITIONS = 4096
Slices = tuple[Any, Any]  # directions (C, K), sorted projections (K, Q)


class SlicedWassersteinLoss(LossModule):
    """Mean squared distance of the features' sorted projections from those of a target.

    Parameters
    ----------
    target : tuple of array (C, K), array (K, Q)
        `target_of` the painting's features at this layer: directions, and the projections' quantiles.
    weight : float
    """

    buffers = (*LossModule.buffers, "displacement")
    displacement: Any = None

    def __init__(self, target: Slices, weight: float = 1.0) -> None:
        super().__init__(weight)
        directions, quantiles = target
        if directions.ndim != 2 or quantiles.ndim != 2 or directions.shape[1] != quantiles.shape[0]:
            cause = f"expected directions (C, K) and quantiles (K, Q), got {directions.shape} and"
            raise self.shape_error("target", f"{cause} {quantiles.shape}")
        self.target = target

    @staticmethod
    def target_of(
        features: Any, directions: int | None = None, seed: int = 0, quantiles: int | None = QUANTILES
    ) -> Slices:
        """Return directions (C, K) and the quantiles (K, Q) of features (1, H, W, C) along them.

        Parameters
        ----------
        features : array (1, H, W, C)
        directions : int, optional
            K; the number of channels without it.
        seed : int
            Of the directions. Targets that are to be blended need the same.
        quantiles : int, optional
            The largest Q; None keeps all H W values. Where the painting has as many positions as the image,
            and no more than this, the distance is exact.
        """
        if features.ndim != 4 or features.shape[0] != 1:
            raise ShapeError("sliced Wasserstein target", f"expected (1, H, W, C), got {features.shape}")
        for name, number in (("directions", directions), ("quantiles", quantiles)):
            if number is not None and number < 1:
                raise UsageError(f"sliced Wasserstein {name}", f"expected at least 1, got {number}")
        xp = array_module(features)
        channels = features.shape[3]
        drawn = draw_directions(channels, directions or channels, seed)
        drawn = beside(np.asarray(drawn, features.dtype), features)
        projected = xp.empty((drawn.shape[1], features.shape[1] * features.shape[2]), features.dtype)
        project(features[0], drawn, out=projected)
        projected.sort(axis=1)
        return drawn, transport.shares(projected, min(quantiles or projected.shape[1], projected.shape[1]))

    @staticmethod
    def blend(targets: Sequence[Slices], shares: Sequence[float]) -> Slices:
        """Return the distributions between those of the paintings: means of their quantiles.

        Raises
        ------
        UsageError
            The directions are not the same.
        """
        directions = targets[0][0]
        for other, _ in targets[1:]:
            if other.shape != directions.shape or bool((other != directions).any()):
                raise UsageError("sliced Wasserstein blend", "the targets have different directions")
        return directions, transport.blend([quantiles for _, quantiles in targets], list(shares))

    def measure(self, x: Any) -> float:
        """Return the loss; keep p - T."""
        directions, quantiles = self.target
        self.expect_images(x, directions.shape[0])
        shape = (x.shape[0], directions.shape[1], x.shape[1] * x.shape[2])
        displacement = self.buffer("displacement", shape, x.dtype, x)  # (N, K, M)
        cost = 0.0
        for image, moved in zip(x, displacement, strict=True):
            project(image, directions.astype(x.dtype), out=moved)
            cost += total(transport.forward(moved, quantiles, out=moved)[0])
        return self.weight / (shape[1] * shape[2]) * cost

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 weight / (K M) d^T V^T."""
        xp = array_module(x)
        directions = self.target[0]
        factor = 2 * self.weight / self.displacement[0].size
        back = xp.ascontiguousarray((factor * directions).T.astype(x.dtype))  # (K, C)
        if on_gpu(x):
            moved = transport.by_positions(self.displacement, (*x.shape[:3], len(back)))
            kernel.add_product(moved, xp.broadcast_to(back, (len(x), *back.shape)), out=dx)
            return
        width = x.shape[2]

        def band(n: int, rows: slice) -> None:
            positions = slice(rows.start * width, rows.stop * width)
            product = scratch("sliced gradient", dx[n, rows].shape, x.dtype, x)
            xp.matmul(self.displacement[n, :, positions].T, back, out=product.reshape(-1, x.shape[3]))
            dx[n, rows] += product

        parallel(band, ((n, rows) for n in range(x.shape[0]) for rows in _bands(x[n])))

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.target[0].shape[1]} directions, weight={self.weight:g}"


def draw_directions(channels: int, count: int, seed: int) -> np.ndarray:
    """Return directions (C, K) of length 1, equally likely all around."""
    drawn = np.random.default_rng(seed).standard_normal((channels, count))
    return drawn / np.linalg.norm(drawn, axis=0)


def project(image: Any, directions: Any, *, out: Any) -> None:
    """Write F V of an image (H, W, C) and directions (C, K) to out (K, M)."""
    xp = array_module(image)
    width, channels = image.shape[1:]
    if on_gpu(image):
        product(directions.T[None], image.reshape(-1, channels).T[None], out[None])
        return

    def band(rows: slice) -> None:
        part = xp.ascontiguousarray(image[rows]).reshape(-1, channels)
        out[:, rows.start * width : rows.stop * width] = xp.matmul(directions.T, part.T)

    parallel(band, ((rows,) for rows in _bands(image)))


def _bands(image: Any) -> list[slice]:
    return band_slices(image.shape[0], max(1, BAND_POSITIONS // image.shape[1]))
