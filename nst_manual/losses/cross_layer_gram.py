"""Cross-layer Gram loss: the Gram matrix between the features of two layers of the network.

R. Novak, Y. Nikulin, "Improving the neural algorithm of artistic style" (2016), correlations between adjacent
layers; M.-C. Yeh, S. Tang, "Improved style transfer by respecting inter-layer correlations" (2018). F (H, W,
C) are the features of the lower layer, U (h, w, D) those of the upper one, s the stride between the two.

    up(U)[i, j] = U[i // s, j // s]             U repeated ("nearest"), for i < min(H, h s), j < min(W, w s)
    S = sum over i, j of F[i, j]^T up(U)[i, j]                                                        (C, D)
    M = min(H, h s) min(W, w s)                 the positions of F that U has something for
    form "paper"   L = weight / (4 C D) sum (S / M - A)^2                A = target's S / M
    form "mean"    L = weight / (C D)   sum (S / (M sqrt(C D)) - A)^2    A = target's S / (M sqrt(C D))

    with G = S / Z, L = c sum D^2, D = G - A, and P[i, j] the sum of F over the s x s positions of U[i, j]:
        S = sum over i, j of P[i, j]^T U[i, j]
        dL/dU = 2 c / Z  P D                    (h, w, D)
        dL/dF = 2 c / Z  up(U D^T)              (H, W, C)

U is never made larger: the sums P are all that the lower module keeps of what passes, and U D^T, as small, is
what comes down to it. Where s divides the size, that is the same as averaging F down to the size of U. Where
it does not - 13 -> 6, of a pooling that drops the last row - the row left over has no counterpart and does
not count. Repetition by the stride leaves each feature where the poolings have looked for it; a resize of 6
to 13 rows would move it. The forms are those of `StyleLoss`, which is the case of a layer beside itself; like
its, they divide by the layer's size, and so L does not depend on that of the picture.

s is taken from the sizes of the painting's two layers, rounded, and goes with the target. Sizes of a few
positions leave it open (3 / 1 may be a stride of 2): there, say it.

The two modules stand behind the two layers of one network. On the way forward the lower comes first and keeps
P, the upper measures. On the way back the upper comes first: it adds its own part and leaves U D^T with the
lower, which adds it when the pass, with what the layers between have made of the upper's part, arrives there.
Each adds a partial derivative, and the pass between them is the chain rule: together they are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from nst_manual.errors import ShapeError, UsageError, unknown_name
from nst_manual.kernels import gram as kernel
from nst_manual.kernels import moments
from nst_manual.losses.base import LossModule, total
from nst_manual.losses.style import FORMS, divisor


class CrossLayerTarget(NamedTuple):
    """What a painting leaves at two layers."""

    gram: Any  # (C, D)
    stride: int  # positions of the lower layer to one of the upper


def cross_layer_losses(
    target: CrossLayerTarget, weight: float = 1.0, form: str = "paper"
) -> tuple[CrossLayerFeatures, CrossLayerGramLoss]:
    """Return the modules for the lower and the upper layer; the second has the loss.

    Parameters
    ----------
    target : CrossLayerTarget
        `CrossLayerGramLoss.target_of` the painting's features at both layers, of the same form.
    weight : float
    form : str
        "paper" or "mean", as of `StyleLoss`.

    Raises
    ------
    UsageError
        There is no such form.
    ShapeError
        The target's matrix has not two axes, or its stride is below 1.
    """
    upper = CrossLayerGramLoss(target, weight, form)
    return upper.lower, upper


class CrossLayerFeatures(LossModule):
    """The lower half of a pair: keeps sums of what passes, adds what the upper half has for it.

    Its own loss is 0: the pair's is reported once, by the upper half.
    """

    needs_input = False  # the sums are all that the way back asks for
    reported = False
    buffers = (*LossModule.buffers, "sums", "pull")
    sums: Any = None
    pull: Any = None

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride
        self.shape: tuple[int, ...] = ()

    def measure(self, x: Any) -> float:
        """Keep the sums (N, ceil(H / s), ceil(W / s), C) over cells; return 0."""
        self.expect_images(x, self.channels)
        n, h, w, c = x.shape
        self.shape, self.pull = x.shape, None
        cells = (n, -(-h // self.stride), -(-w // self.stride), c)
        moments.cell_sums(x, self.stride, out=self.buffer("sums", cells, x.dtype, x))
        return 0.0

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add what the upper half has left here, each of its numbers to all positions of the cell."""
        if self.pull is None:
            raise UsageError(
                "CrossLayerFeatures",
                "its upper half has not run backward since the last forward",
                "both halves of a pair stand in one network, the upper one further up",
            )
        moments.add_to_cells(self.pull, self.stride, out=dx)

    def describe(self) -> str:
        """Return the settings."""
        return f"stride={self.stride}"


class CrossLayerGramLoss(LossModule):
    """The upper half of a pair: squared distance of the matrix between two layers from a target.

    Made by `cross_layer_losses`, which says what the parameters are.

    Attributes
    ----------
    lower : CrossLayerFeatures
        The other half.
    """

    buffers = (*LossModule.buffers, "difference")
    difference: Any = None

    def __init__(self, target: CrossLayerTarget, weight: float = 1.0, form: str = "paper") -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("cross-layer Gram form", form, FORMS)
        matrix, stride = target
        if matrix.ndim != 2 or int(stride) < 1:
            cause = f"expected (C, D) and a stride of 1 or more, got shape {matrix.shape} and {stride}"
            raise self.shape_error("target", cause)
        self.target, self.form = CrossLayerTarget(matrix, int(stride)), form
        self.lower = CrossLayerFeatures(matrix.shape[0], int(stride))

    @staticmethod
    def target_of(lower: Any, upper: Any, form: str = "paper", stride: int | None = None) -> CrossLayerTarget:
        """Return the target of features (N, H, W, C) and (N, h, w, D) of a painting at the two layers.

        Parameters
        ----------
        lower, upper : array
            Of several images, their average is returned.
        form : str
        stride : int, optional
            Positions of the lower layer to one of the upper; without, what the longer sides say.
        """
        for features in (lower, upper):
            if features.ndim != 4 or len(features) != len(lower):
                cause = f"expected (N, H, W, C) and (N, h, w, D), got {lower.shape} and {upper.shape}"
                raise ShapeError("CrossLayerGramLoss, features", cause)
        if stride is None:
            stride = max(1, round(max(lower.shape[1:3]) / max(upper.shape[1:3])))
        sums = moments.cell_sums(lower, stride)
        matrices = _matrices(sums, upper) / _divisor(lower.shape, upper.shape, stride, form)
        return CrossLayerTarget(matrices.mean(axis=0), stride)

    @staticmethod
    def blend(targets: Sequence[CrossLayerTarget], shares: Iterable[float]) -> CrossLayerTarget:
        """Return the average of several paintings' matrices.

        Raises
        ------
        UsageError
            Their strides differ: those are not the same two layers.
        """
        strides = {int(target.stride) for target in targets}
        if len(strides) != 1:
            raise UsageError("targets of two layers", f"expected one stride, got {sorted(strides)}")
        matrix = sum(share * target.gram for share, target in zip(shares, targets, strict=True))
        return CrossLayerTarget(matrix, strides.pop())

    @property
    def coefficient(self) -> float:
        """c, the factor of the sum of squares."""
        return self.weight / math.prod(self.target.gram.shape) / (4 if self.form == "paper" else 1)

    def measure(self, x: Any) -> float:
        """Return the loss for the upper layer's x, and what the lower half has kept; keep G - A."""
        self.expect_images(x, self.target.gram.shape[1])
        if self.lower.sums is None or len(self.lower.sums) != len(x):
            raise UsageError(
                "CrossLayerGramLoss",
                "its lower half has not seen these images",
                "both halves of a pair stand in one network, the upper one further up",
            )
        z = _divisor(self.lower.shape, x.shape, self.target.stride, self.form)
        self.difference = _matrices(self.lower.sums, x) / z - self.target.gram  # (N, C, D)
        return self.coefficient * total(self.difference**2)

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 c / Z P D; leave 2 c / Z U D^T with the lower half."""
        z = _divisor(self.lower.shape, x.shape, self.target.stride, self.form)
        ds = self.difference * (2 * self.coefficient / z)
        sums, features = _common(self.lower.sums, x)
        kernel.add_product(sums, ds, out=dx[:, : sums.shape[1], : sums.shape[2]])
        pull = self.lower.buffer("pull", sums.shape, sums.dtype, x)
        pull[...] = 0
        kernel.add_product(features, ds.transpose(0, 2, 1), out=pull)

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.form}, stride={self.target.stride}, weight={self.weight:g}"


def _common(sums: Any, upper: Any) -> tuple[Any, Any]:
    """Return sums (N, h, w, C) and upper (N, h, w, D) without the rows and columns that one has not."""
    h, w = (min(sums.shape[axis], upper.shape[axis]) for axis in (1, 2))
    return sums[:, :h, :w], upper[:, :h, :w]


def _matrices(sums: Any, upper: Any) -> Any:
    """Return S (N, C, D)."""
    for cells, side in zip(sums.shape[1:3], upper.shape[1:3], strict=True):
        if not cells <= 2 * side <= 4 * cells:
            cause = f"expected about {sums.shape[1:3]} positions at the upper layer, got {upper.shape[1:3]}"
            raise ShapeError("CrossLayerGramLoss, input", cause, "the stride is that of other layers")
    return kernel.cross(*_common(sums, upper))


def _divisor(lower: tuple[int, ...], upper: tuple[int, ...], stride: int, form: str) -> float:
    """Return Z for features (N, H, W, C) and (N, h, w, D)."""
    height, width = (min(lower[axis], upper[axis] * stride) for axis in (1, 2))
    return divisor((1, height, width, math.sqrt(lower[3] * upper[3])), form)
