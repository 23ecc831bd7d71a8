"""Laplacian loss: the edges of the picture should be those of the photograph.

S. Li, X. Xu, L. Nie, T.-S. Chua, "Laplacian-steered neural style transfer" (ACM Multimedia 2017). The module
stands behind the pixels; x (N, H, W, C), t the photograph, in the units that pass there.

    s[h, w] = sum over c of x[h, w, c]                          (N, H, W)
    q[i, j] = mean of s over the p x p square i, j              (N, H // p, W // p); a rest is left out
    D[i, j] = 4 q[i, j] - q[i-1, j] - q[i+1, j] - q[i, j-1] - q[i, j+1]      inner i, j only

    L = weight sum (D(x) - D(t))^2

    back, with r = 2 weight (D(x) - D(t)), each the adjoint of its step forward:
    dq = 4 r at the middle of each cross, -r at its ends
    ds = dq / p^2 over the square,  dx = ds in all channels

Pooling hides noise and small texture from the Laplacian, and sets the size of the edges that are kept;
several sizes are several modules. Sum, mean and Laplacian are linear and stand in the order of the least
work; the paper pools first. Differs from the paper in that nothing is padded: a border of zeros would be an
edge for the picture to keep.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.errors import ShapeError, UsageError
from nst_manual.losses.base import LossModule, total


class LaplacianLoss(LossModule):
    """Squared distance of the Laplacian of the pooled image from a target.

    Parameters
    ----------
    target : array (1, H // p - 2, W // p - 2)
        `target_of` the photograph, with the same p.
    weight : float
    pool : int
        p, the side of the squares in pixels.

    Raises
    ------
    UsageError
        p is below 1.
    """

    buffers = (*LossModule.buffers, "difference")
    difference: Any = None

    def __init__(self, target: Any, weight: float = 1.0, pool: int = 4) -> None:
        super().__init__(weight)
        _expect_pool(pool)
        self.target, self.pool = target, pool

    @staticmethod
    def target_of(image: Any, pool: int = 4) -> Any:
        """Return D (N, H // p - 2, W // p - 2) of an image (N, H, W, C).

        Raises
        ------
        UsageError
            p is below 1.
        ShapeError
            Not an image, or of fewer than three squares a side.
        """
        _expect_pool(pool)
        if image.ndim != 4:
            raise ShapeError("LaplacianLoss, image", f"expected (N, H, W, C), got shape {image.shape}")
        n, height, width = image.shape[:3]
        h, w = height // pool, width // pool
        if min(h, w) < 3:
            raise ShapeError(
                "LaplacianLoss, image",
                f"{height} x {width} pixels hold {h} x {w} squares of {pool}, expected at least 3 x 3",
                "a smaller pool fits",
            )
        s = image[:, : h * pool, : w * pool].sum(axis=3)
        q = s.reshape(n, h, pool, w, pool).mean(axis=(2, 4))
        return 4 * q[:, 1:-1, 1:-1] - q[:, :-2, 1:-1] - q[:, 2:, 1:-1] - q[:, 1:-1, :-2] - q[:, 1:-1, 2:]

    def measure(self, x: Any) -> float:
        """Return the loss; keep D(x) - D(t)."""
        self.expect_images(x)
        found = self.target_of(x, self.pool)
        if found.shape[1:] != self.target.shape[1:]:
            cause = f"expected {self.target.shape} as of the target, got {found.shape} from {x.shape}"
            raise self.shape_error("input", cause)
        self.difference = found - self.target
        return self.weight * total(self.difference**2)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add the adjoints of D, mean and sum, of 2 weight (D(x) - D(t))."""
        xp, p = array_module(x), self.pool
        r = self.difference * self.difference.dtype.type(2 * self.weight / p**2)
        n, h, w = r.shape
        dq = xp.zeros((n, h + 2, w + 2), r.dtype)
        dq[:, 1:-1, 1:-1] += 4 * r
        dq[:, :-2, 1:-1] -= r
        dq[:, 2:, 1:-1] -= r
        dq[:, 1:-1, :-2] -= r
        dq[:, 1:-1, 2:] -= r
        ds = xp.repeat(xp.repeat(dq, p, axis=1), p, axis=2)
        dx[:, : ds.shape[1], : ds.shape[2]] += ds[..., None]

    def describe(self) -> str:
        """Return the settings."""
        return f"pool={self.pool}, weight={self.weight:g}"


def _expect_pool(pool: int) -> None:
    if not isinstance(pool, int) or pool < 1:
        raise UsageError("pool", f"expected a whole number of pixels, at least 1, got {pool!r}")
