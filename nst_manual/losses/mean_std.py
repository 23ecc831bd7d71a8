"""Mean and standard deviation loss: how strong each channel is and how much it varies, each by itself.

Y. Li, N. Wang, J. Liu, X. Hou, "Demystifying neural style transfer" (IJCAI 2017), matching the statistics of
batch normalisation; X. Huang, S. Belongie, "Arbitrary style transfer in real-time with adaptive instance
normalization" (ICCV 2017), whose style loss compares the same numbers. F (M, C) are the features at M
positions of C channels, a and b (C,) the painting's means and standard deviations.

    m = mean of F,   s = sqrt(mean of (F - m)^2 + eps)                                 (C,)
    L = weight / C  [ sum (m - a)^2 + sum (s - b)^2 ]
    dL/dF = 2 weight / (C M)  [ (m - a) + (s - b) (F - m) / s ]                        (M, C)

The derivative of a square root is infinite at 0, where a channel is the same everywhere (behind a ReLU:
silent). With eps > 0 in the root, (F - m) / s is 0 there and L is smooth. eps is in the painting's b too,
so that equal features cost nothing.

Differs from the first paper in eps alone; from the second also in the squares, where it has norms,
sqrt(sum (m - a)^2) + sqrt(sum (s - b)^2), which are not smooth where they are smallest. L does not depend on
the size of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nst_manual.backend import array_module
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import moments
from nst_manual.losses.base import LossModule, total


class MeanStdLoss(LossModule):
    """Squared distance of the channels' means and standard deviations from a target.

    Parameters
    ----------
    target : array (2, C)
        `target_of` the painting's features at this layer: means, standard deviations.
    weight : float
    eps : float
        Added to the variances, in the features' units squared.

    Raises
    ------
    UsageError
        eps is not above 0.
    ShapeError
        The target is not (2, C).
    """

    buffers = (*LossModule.buffers, "mean", "std", "difference")
    mean: Any = None
    std: Any = None
    difference: Any = None

    def __init__(self, target: Any, weight: float = 1.0, eps: float = 1e-5) -> None:
        super().__init__(weight)
        if target.ndim != 2 or target.shape[0] != 2:
            raise self.shape_error("target", f"expected (2, C), got shape {target.shape}")
        self.target, self.eps = target, _positive(eps)

    @staticmethod
    def target_of(features: Any, eps: float = 1e-5) -> Any:
        """Return m and s (2, C) of features (N, H, W, C), the average over images if there are several."""
        if features.ndim != 4:
            raise ShapeError("MeanStdLoss, features", f"expected (N, H, W, C), got shape {features.shape}")
        return _statistics(features, _positive(eps)).mean(axis=1)

    @staticmethod
    def blend(targets: Iterable[Any], shares: Iterable[float]) -> Any:
        """Return the average of several paintings' means and of their standard deviations."""
        return sum(share * target for share, target in zip(shares, targets, strict=True))

    def measure(self, x: Any) -> float:
        """Return the loss; keep m, s, and how far they are from the target."""
        self.expect_images(x, self.target.shape[1])
        statistics = _statistics(x, self.eps)  # (2, N, C)
        self.mean, self.std = statistics
        self.difference = statistics - self.target[:, None]
        return self.weight / self.target.shape[1] * total(self.difference**2)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add the gradient: dL/dm, and dL/dv = dL/ds / (2 s)."""
        factor = 2 * self.weight / self.target.shape[1]
        dm, ds = self.difference * factor  # each (N, C)
        moments.input_gradient(x, self.mean, dm, ds / (2 * self.std), out=dx)

    def describe(self) -> str:
        """Return the settings."""
        return f"eps={self.eps:g}, weight={self.weight:g}"


def _statistics(x: Any, eps: float) -> Any:
    """Return m and s (2, N, C)."""
    xp = array_module(x)
    mean, variance = moments.forward(x)
    return xp.stack([mean, xp.sqrt(variance + eps)])


def _positive(eps: float) -> float:
    if not 0 < eps < float("inf"):
        raise UsageError("eps of the variances", f"expected a number above 0, got {eps}", "1e-5 is usual")
    return float(eps)
