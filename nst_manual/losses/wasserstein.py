"""Wasserstein loss: how far the features' normal distribution lies from the painting's.

    m (C,) mean, S (C, C) covariance of the features F (M, C) at one layer; m', S' those of the painting

    W^2 = |m - m'|^2 + tr(S) + tr(S') - 2 tr((S'^1/2 S S'^1/2)^1/2)

    form "mean"   L = weight / C W^2                                     style-transfer-pytorch's
    form "sum"    L = weight W^2

    dL/dF = c (2 (F - m) G + 2 (m - m')) / M                             c the factor of W^2
    G = dW^2/dS = I - S'^1/2 Q^-1 S'^1/2,  Q = (S'^1/2 S S'^1/2)^1/2     (C, C)

W is the Wasserstein-2 distance of two normal distributions: C. Givens, R. Shortt, "A class of Wasserstein
metrics for probability distributions" (1984), proposition 7; for style Y. Mroueh, "Wasserstein style
transfer" (2019). S'^1/2 Q^-1 S'^1/2 is the matrix of the transport that takes the one to the other,
F -> m' + (F - m) S'^1/2 Q^-1 S'^1/2, so the gradient pulls each feature to where transport would take it.

The gradient is that of `kernels.matrix_sqrt`, dQ = I in its Lyapunov equation, whose solution Q^-1 / 2 the
iteration has computed along with Q; tests hold the two against one another.

Differs from the papers: e I is added to both covariances, e being `epsilon` times the mean variance of the
painting's channels (constant, so the formulas stand as they are with S + e I for S, S' + e I for S', and the
distance is still 0 at the painting itself). Features often span fewer dimensions than C, and where the
painting has some variance and the image none, the distance has no derivative: sqrt at 0. With 1e-4, what is
added is a hundredth of a channel's standard deviation; with vgg16's features it changes the loss by less than
3 in ten thousand.

Sums over positions and matrices (C, C) are in double precision whatever the features are. The eigenvalues of
the argument of Q spread as the square of those of the covariances, up to (90 / 1e-4)^2 = 1e12 at relu5_1, and
float32 ends at 1e7; covariances summed in it were off by 4e-5 of the mean variance, which of an image with
more contrast than the painting is more than e, and leaves a matrix that has no root. Rounding may leave a
distance of 0 a little below 0.

style-transfer-pytorch adds 1e-4 itself (`relative=False`), sums in float32 and stops after 12 steps of the
iteration, which for such matrices is short of the square root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nst_manual.backend import array_module, numbers, on_gpu, scratch
from nst_manual.errors import ShapeError, UsageError, unknown_name
from nst_manual.kernels import gram as kernel
from nst_manual.kernels import matrix_sqrt
from nst_manual.kernels.bands import bands, run
from nst_manual.losses.base import LossModule, total

FORMS = ("mean", "sum")
# Positions of a band, and of one on a GPU, where features in double precision are what takes memory.
BAND_POSITIONS = 2048
GPU_POSITIONS = 2**17
Moments = tuple[Any, Any]  # mean (C,), covariance (C, C)


class WassersteinLoss(LossModule):
    """Squared Wasserstein-2 distance of the features' normal distribution from a target's.

    Parameters
    ----------
    target : tuple of array (C,), array (C, C)
        `target_of` the painting's features at this layer: mean and covariance.
    weight : float
    form : str
        "mean" (divided by the number of channels) or "sum".
    epsilon : float
        What is added to all variances.
    relative : bool
        Take epsilon times the mean variance of the target's channels; else epsilon itself, as
        style-transfer-pytorch does.

    Raises
    ------
    UsageError
        An unknown form, or an epsilon that is not above 0.
    """

    buffers = (*LossModule.buffers, "means", "mean_gradients", "covariance_gradients")
    means: list | None = None
    mean_gradients: list | None = None
    covariance_gradients: list | None = None

    def __init__(
        self,
        target: Moments,
        weight: float = 1.0,
        form: str = "mean",
        epsilon: float = 1e-4,
        relative: bool = True,
    ) -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("Wasserstein form", form, FORMS)
        if not epsilon > 0:
            raise UsageError("Wasserstein epsilon", f"expected a number above 0, got {epsilon}")
        self.target, self.form, self.epsilon, self.relative = target, form, epsilon, relative
        mean, covariance = target
        xp = array_module(mean)
        if covariance.shape != (len(mean), len(mean)):
            cause = f"expected mean (C,) and covariance (C, C), got {mean.shape} and {covariance.shape}"
            raise self.shape_error("target", cause)
        (variance,) = numbers([total(covariance.diagonal()) / len(mean)])
        self.added = epsilon * variance if relative and variance > 0 else epsilon
        self._mean = mean.astype("float64")
        self._covariance = covariance.astype("float64") + self.added * xp.eye(len(mean))
        self._root, _ = matrix_sqrt.forward(self._covariance, self.added)

    @staticmethod
    def target_of(features: Any) -> Moments:
        """Return mean (C,) and covariance (C, C) of features (1, H, W, C), in double precision."""
        if features.ndim != 4 or features.shape[0] != 1:
            raise ShapeError("Wasserstein target", f"expected features (1, H, W, C), got {features.shape}")
        return moments(features[0])

    @staticmethod
    def blend(targets: Sequence[Moments], shares: Sequence[float]) -> Moments:
        """Return the moments of features of which that share comes from each painting."""
        pairs = list(zip(targets, shares, strict=True))
        mean = sum(share * mean for (mean, _), share in pairs)
        second = sum(share * (covariance + mean[:, None] * mean) for (mean, covariance), share in pairs)
        return mean, second - mean[:, None] * mean

    @property
    def coefficient(self) -> float:
        """The factor of W^2."""
        return self.weight / (len(self._mean) if self.form == "mean" else 1)

    def measure(self, x: Any) -> float:
        """Return the loss; keep its derivatives by mean and covariance."""
        self.expect_images(x, len(self._mean))
        self.means, self.mean_gradients, self.covariance_gradients = [], [], []
        return self.coefficient * sum(self._distance(image) for image in x)

    def _distance(self, image: Any) -> Any:
        """Return W^2 of one image (H, W, C)."""
        xp = array_module(image)
        mean, covariance = moments(image)
        identity = xp.eye(len(mean))
        covariance = covariance + self.added * identity
        # of S'^1/2 S S'^1/2, no eigenvalue is below that of e I e I
        between, inverse = matrix_sqrt.forward(self._between(covariance), self.added**2)
        apart = mean - self._mean
        self.means.append(mean)
        self.mean_gradients.append(2 * apart)
        self.covariance_gradients.append(identity - self._between(inverse))
        spread = covariance.diagonal() + self._covariance.diagonal() - 2 * between.diagonal()
        return total(apart * apart) + total(spread)

    def _between(self, a: Any) -> Any:
        """Return S'^1/2 A S'^1/2."""
        return matrix_sqrt.product(matrix_sqrt.product(self._root, a), self._root)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add c (2 (F - m) G + 2 (m - m')) / M."""
        factor = self.coefficient / (x.shape[1] * x.shape[2])
        for n, image in enumerate(x):
            # G is symmetric but for rounding
            slope = self.covariance_gradients[n] * factor
            slope = (slope + slope.T).astype(x.dtype)  # (C, C)
            constant = (self.mean_gradients[n] * factor).astype(x.dtype)
            self._add(image, dx[n], self.means[n].astype(x.dtype), slope, constant)

    def _add(self, image: Any, dx: Any, mean: Any, slope: Any, constant: Any) -> None:
        """Add (F - m) A + b to dx (H, W, C)."""
        xp = array_module(image)
        if on_gpu(image):
            kernel.add_product((image - mean)[None], slope[None], out=dx[None])
            dx += constant
            return

        def band(rows: slice) -> None:
            centred = scratch("wasserstein centred", image[rows].shape, image.dtype, image)
            xp.subtract(image[rows], mean, out=centred)
            product = scratch("wasserstein gradient", centred.shape, image.dtype, image)
            xp.matmul(centred, slope, out=product)
            product += constant
            dx[rows] += product

        run(band, ((rows,) for rows in _bands(image)), image)

    def describe(self) -> str:
        """Return the settings."""
        unit = "" if self.relative else " absolute"
        return f"{self.form}, epsilon={self.epsilon:g}{unit}, weight={self.weight:g}"


def moments(image: Any) -> Moments:
    """Return mean (C,) and covariance (C, C) over the positions of an image (H, W, C), in double precision.

    The mean is taken off first, then the products are summed: E[F F] - E[F] E[F] would cancel.
    """
    xp = array_module(image)
    count, channels = image.shape[0] * image.shape[1], image.shape[2]
    wide = xp.result_type(image.dtype, xp.float64)
    parts = _bands(image)
    sums = xp.empty((len(parts), channels), wide)
    products = xp.empty((len(parts), channels, channels), wide)

    def add_up(index: int, rows: slice) -> None:
        sums[index] = image[rows].sum(axis=(0, 1), dtype=wide)

    run(add_up, enumerate(parts), image)
    mean = sums.sum(axis=0) / count

    def multiply(index: int, rows: slice) -> None:
        centred = scratch("wasserstein centred", image[rows].shape, wide, image)
        xp.subtract(image[rows], mean, out=centred)
        flat = centred.reshape(-1, channels)
        xp.matmul(flat.T, flat, out=products[index])

    run(multiply, enumerate(parts), image)
    return mean, products.sum(axis=0) / count


def _bands(image: Any) -> list[slice]:
    rows, on_gpu_rows = (max(1, positions // image.shape[1]) for positions in (BAND_POSITIONS, GPU_POSITIONS))
    return bands(image, image.shape[0], rows, on_gpu_rows)
