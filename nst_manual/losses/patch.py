"""Patch loss: each patch of the features beside the most similar patch of the painting.

    P_i (3, 3, C) patches of the image's features at one layer, Q_j those of the painting

    L = weight / (I 9 C) sum_i |P_i - Q_n(i)|^2            i = 1 .. I
    form "correlation"   n(i) = argmax_j <P_i, Q_j> / (|P_i| |Q_j|)                         the paper's
    form "distance"      n(i) = argmin_j |P_i - Q_j|

    dL/dF at a position = 2 weight / (I 9 C) sum over the patches that it is in of (F - Q_n(i) there)

C. Li, M. Wand, "Combining Markov random fields and convolutional neural networks for image synthesis" (CVPR
2016), equations 2 and 3, at layers relu3_1 and relu4_1. n(i) is held constant in the gradient, and changes
only where two patches are equally similar: this is the true gradient almost everywhere. There, with
"correlation", the loss jumps, for what is compared is not what is summed; with "distance" it is continuous,
which suits a line search.

Differs from the paper in the factor 1 / (I 9 C), which makes the loss independent of the size. Its program
also tries turned and scaled copies of the painting, takes every second patch of both, divides the gradient
at each position by the number of patches there, and computes no loss. Several paintings: patches have no
mean, so `blend` keeps all of them, and L = sum share L_painting.

All pairs of patches need no product of patches. With G = F F'^T, the products of all pairs of positions,

    <P_i, Q_j> = sum_(d in 3 x 3) G[i + d, j + d]

and in a tile of G that lies in memory row by row, each of these shifts is a constant offset: a ninth of the
arithmetic, and no more than TILE_VALUES numbers at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nst_manual.backend import array_module, numbers, on_gpu, scratch
from nst_manual.errors import ShapeError, UsageError, unknown_name
from nst_manual.kernels.bands import bands, run
from nst_manual.kernels.rows import band_slices
from nst_manual.losses.base import LossModule, total

FORMS = ("correlation", "distance")
SIDE = 3  # of a patch
OFFSETS = tuple((h, w) for h in range(SIDE) for w in range(SIDE))
TILE_VALUES = 2**22
GPU_TILE_VALUES = 2**25
BAND_VALUES = 2**17


class PatchLoss(LossModule):
    """Mean squared distance of the features' patches from those of a target that they resemble most.

    Parameters
    ----------
    target : tuple of array (P,), array (1, A, B, C), ...
        `target_of` the painting's features at this layer: the paintings' shares, in main memory, and the
        features of each.
    weight : float
    form : str
        "correlation" or "distance": what resemblance is.
    stride, target_stride : int
        Take every so manieth patch of the image, of the painting, down and across. Matching takes the same
        time; the loss is another.
    """

    buffers = (*LossModule.buffers, "matches")
    matches: list | None = None

    def __init__(
        self,
        target: tuple,
        weight: float = 1.0,
        form: str = "correlation",
        stride: int = 1,
        target_stride: int = 1,
    ) -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("patch form", form, FORMS)
        for name, number in (("stride", stride), ("target_stride", target_stride)):
            if number < 1:
                raise UsageError(f"patch {name}", f"expected at least 1, got {number}")
        shares, *paintings = target
        self.shares = numbers(shares)
        if len(self.shares) != len(paintings) or not paintings:
            raise self.shape_error("target", f"{len(self.shares)} shares of {len(paintings)} paintings")
        for features in paintings:
            _expect_features("patch target", features)
        self.target, self.form, self.stride, self.target_stride = target, form, stride, target_stride
        self._paintings = [(features[0], self._terms(features[0])) for features in paintings]

    @staticmethod
    def target_of(features: Any) -> tuple:
        """Return shares (1,), which is 1, and a copy of the features (1, H, W, C)."""
        _expect_features("patch target", features)
        return np.ones(1), features.copy()

    @staticmethod
    def blend(targets: Sequence[tuple], shares: Sequence[float]) -> tuple:
        """Return all paintings, with their shares."""
        pairs = list(zip(targets, shares, strict=True))
        weights = np.concatenate([share * target[0] for target, share in pairs])
        return weights, *(features for target, _ in pairs for features in target[1:])

    def _terms(self, painting: Any) -> tuple[Any, Any]:
        """Return factors and summands (rows, columns) that make a score of each <P_i, Q_j>."""
        squares = (painting * painting).sum(axis=2)
        rows, columns = squares.shape[0] - SIDE + 1, squares.shape[1] - SIDE + 1
        norms = sum(squares[h : h + rows, w : w + columns] for h, w in OFFSETS)
        norms = norms[:: self.target_stride, :: self.target_stride]
        if self.form == "distance":
            return norms * 0 + 1, norms / -2  # |P - Q|^2 / -2, but for |P|^2
        return (norms + (norms == 0)) ** -0.5, norms * 0

    def measure(self, x: Any) -> float:
        """Return the loss; keep the matches."""
        self.expect_images(x, self._paintings[0][0].shape[2])
        if min(x.shape[1:3]) < SIDE:
            raise self.shape_error("input", f"expected at least {SIDE} x {SIDE} positions, got {x.shape}")
        self.matches = [[self._match(image.real, *painting) for painting in self._paintings] for image in x]
        return sum(
            self._coefficient(x, share) * self._squares(image, painting, match)
            for image, matches in zip(x, self.matches, strict=True)
            for share, (painting, _), match in zip(self.shares, self._paintings, matches, strict=True)
        )

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 coefficient (P - Q) of each patch to its positions, in bands of rows of dx."""

        def band(n: int, rows: slice) -> None:
            for share, (painting, _), match in zip(
                self.shares, self._paintings, self.matches[n], strict=True
            ):
                factor = x.dtype.type(2 * self._coefficient(x, share))
                for offset in OFFSETS:
                    first = max(0, -(-(rows.start - offset[0]) // self.stride))
                    end = min(len(match[0]), -(-(rows.stop - offset[0]) // self.stride))
                    if first < end:
                        part, difference = self._difference(x[n], painting, match, offset, slice(first, end))
                        difference *= factor
                        dx[n][part] += difference

        run(band, ((n, rows) for n in range(len(x)) for rows in self._bands(x, x.shape[1])), x)

    def _coefficient(self, x: Any, share: float) -> float:
        """Return the factor of the sum of squares for one painting."""
        rows, columns = ((side - SIDE) // self.stride + 1 for side in x.shape[1:3])
        return self.weight * share / (rows * columns * SIDE**2 * x.shape[3])

    def _squares(self, image: Any, painting: Any, match: tuple) -> Any:
        """Return sum_i |P_i - Q_n(i)|^2."""
        slices = self._bands(image[None], len(match[0]))
        parts = [0.0] * len(slices)

        def band(index: int, rows: slice) -> None:
            for offset in OFFSETS:
                _, difference = self._difference(image, painting, match, offset, rows)
                difference *= difference
                parts[index] += total(difference)

        run(band, enumerate(slices), image)
        return sum(parts)

    def _difference(self, image: Any, painting: Any, match: tuple, offset: tuple, rows: slice) -> tuple:
        """Return where one position of some rows of patches is in the image, and F - Q there."""
        h, w = offset
        across = slice(w, w + (match[0].shape[1] - 1) * self.stride + 1, self.stride)
        down = slice(rows.start * self.stride + h, (rows.stop - 1) * self.stride + h + 1, self.stride)
        return (down, across), image[down, across] - painting[match[0][rows] + h, match[1][rows] + w]

    def _bands(self, x: Any, rows: int) -> list[slice]:
        return bands(x, rows, max(1, BAND_VALUES // (x.shape[2] * x.shape[3])))

    def _match(self, image: Any, painting: Any, terms: tuple) -> tuple[Any, Any]:
        """Return row and column in the painting of n(i), both (rows, columns), for real (H, W, C)."""
        xp = array_module(image)
        rows, columns = ((side - SIDE) // self.stride + 1 for side in image.shape[:2])
        found = xp.empty((rows, columns), int)
        # patches of a tile: about as many rows of products for the image as columns for the painting
        side = math.isqrt(GPU_TILE_VALUES if on_gpu(image) else TILE_VALUES)
        down = band_slices(rows, max(1, (side // image.shape[1] - SIDE) // self.stride + 1))
        per_tile = max(1, (side // painting.shape[1] - SIDE) // self.target_stride + 1)
        along = band_slices(terms[0].shape[0], per_tile)

        def band(part: slice) -> None:
            best = nearest = None
            for other in along:  # from above, and an equal score does not win: the first of equals is found
                scores = self._scores(image, painting, terms, part, other)  # (rows, columns, patches)
                index = scores.argmax(axis=2)
                score = xp.take_along_axis(scores, index[..., None], axis=2)[..., 0]
                index += other.start * terms[0].shape[1]
                if best is None:
                    best, nearest = score, index
                else:
                    nearest = xp.where(score > best, index, nearest)
                    best = xp.maximum(score, best)
            found[part] = nearest

        run(band, ((part,) for part in down), image)
        width = terms[0].shape[1]
        return found // width * self.target_stride, found % width * self.target_stride

    def _scores(self, image: Any, painting: Any, terms: tuple, part: slice, other: slice) -> Any:
        """Return the scores (rows, columns, patches) of some rows of patches of both pictures."""
        xp = array_module(image)
        f, g = (
            whole[rows.start * stride : (rows.stop - 1) * stride + SIDE]
            for whole, rows, stride in ((image, part, self.stride), (painting, other, self.target_stride))
        )
        shape = (*f.shape[:2], *g.shape[:2])  # r rows W wide of the image, t rows B wide of the painting
        r, width, t, breadth = shape
        products = scratch("patch products", (math.prod(shape),), f.dtype, f)
        flat = products.reshape(r * width, t * breadth)
        xp.matmul(f.reshape(r * width, -1), g.reshape(t * breadth, -1).T, out=flat)
        # one to the right in both pictures, then one down in both; what a shift brings round a border
        # belongs to no patch
        sums = scratch("patch sums", products.shape, f.dtype, f)
        length = len(products)
        for step in (t * breadth + 1, width * t * breadth + breadth):
            length -= 2 * step
            xp.add(products[:length], products[step : step + length], out=sums[:length])
            sums[:length] += products[2 * step : 2 * step + length]
            products, sums = sums, products
        s, z = self.stride, self.target_stride
        ends = [side - SIDE + 1 for side in shape]
        patches = products.reshape(shape)[: ends[0] : s, : ends[1] : s, : ends[2] : z, : ends[3] : z]
        scores = scratch("patch scores", patches.shape, f.dtype, f)
        xp.multiply(patches, terms[0][other].astype(f.dtype, copy=False), out=scores)
        if self.form == "distance":
            scores += terms[1][other].astype(f.dtype, copy=False)
        return scores.reshape(*scores.shape[:2], -1)

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.form}, stride={self.stride}, {self.target_stride}, weight={self.weight:g}"


def _expect_features(what: str, features: Any) -> None:
    """Raise unless features are (1, H, W, C) and have a patch."""
    if features.ndim != 4 or features.shape[0] != 1 or min(features.shape[1:3]) < SIDE:
        cause = f"expected features (1, H, W, C) of at least {SIDE} x {SIDE} positions"
        raise ShapeError(what, f"{cause}, got {features.shape}")
