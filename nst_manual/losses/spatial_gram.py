"""Spatial Gram loss: the Gram matrix of the features beside themselves moved by some pixels of the layer.

G. Berger, R. Memisevic, "Incorporating long-range consistency in CNN-based texture generation" (ICLR 2017).
F (H, W, C) are the features at one layer; for each axis (down, right) and shift d

    S = sum over i, j of F[i, j]^T F[i + d, j]    or    F[i, j]^T F[i, j + d]          (C, C), not symmetric
    M = (H - d) W                                 or    H (W - d)                      positions with both
    form "paper"   L = weight / (4 C^2) mean over axes and shifts of sum (S / M - A)^2
    form "mean"    L = weight / C^2     mean over axes and shifts of sum (S / (M C) - A)^2

    with G = S / Z and L = c / K sum over K matrices of sum D^2, D = G - A:
        dL/dF[i, j] = 2 c / K  sum over the K of  (F[i + d, j] D^T + F[i - d, j] D) / Z    (or along j)
    where a position outside the layer adds nothing.

A Gram matrix forgets where things are. These keep what stands d pixels from what, and with it patterns that
repeat and lines that go on. A shift of d at a layer reaches d times that layer's stride in pixels of the
image.

Small layers: a shift that is not smaller than the side has no positions, and is left out, for that axis
alone; so is one that the painting's layer was too small for. The mean is over the K matrices that are left;
where none is, that is an error. A shift of 0 is the plain Gram matrix, once for each axis.

Differs from the paper, where each pair of layer and shift has a weight of its own, in the mean over shifts:
the weight means the same however many there are. The paper adds this loss to Gatys's; here a `StyleLoss`
beside it does, or a shift of 0 among the others. L does not depend on the size of the picture, as long as the
same shifts fit.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nst_manual.backend import array_module
from nst_manual.errors import ShapeError, UsageError, unknown_name
from nst_manual.kernels import gram as kernel
from nst_manual.losses.base import LossModule, total
from nst_manual.losses.style import FORMS, divisor

SHIFTS = (1, 2, 4, 8)


class SpatialGramTarget(NamedTuple):
    """What a painting leaves at a layer: a matrix for each axis (down, right) and shift."""

    grams: Any  # (2, K, C, C); zero where the layer was too small
    fits: Any  # (2, K) of bool, in main memory: where it was not


class SpatialGramLoss(LossModule):
    """Squared distance of the Gram matrices of moved features from a target.

    Parameters
    ----------
    target : SpatialGramTarget
        `target_of` the painting's features at this layer, of the same form and shifts.
    weight : float
    form : str
        "paper" or "mean", as of `StyleLoss`.
    shifts : sequence of int
        In pixels of the layer, 0 or more.

    Raises
    ------
    UsageError
        There is no such form, or a shift that is none.
    ShapeError
        The target is not of as many shifts.
    """

    buffers = (*LossModule.buffers, "differences")
    differences: Any = None

    def __init__(
        self, target: Any, weight: float = 1.0, form: str = "paper", shifts: Sequence[int] = SHIFTS
    ) -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("spatial Gram form", form, FORMS)
        self.form, self.shifts = form, _checked(shifts)
        grams, fits = target
        if grams.ndim != 4 or grams.shape[:2] != (2, len(self.shifts)) or grams.shape[2] != grams.shape[3]:
            expected = f"(2, {len(self.shifts)}, C, C) for the shifts {self.shifts}"
            raise self.shape_error("target", f"expected matrices {expected}, got {grams.shape}")
        self.target = SpatialGramTarget(grams, np.asarray(fits, dtype=bool))

    @staticmethod
    def target_of(features: Any, form: str = "paper", shifts: Sequence[int] = SHIFTS) -> SpatialGramTarget:
        """Return the matrices of features (N, H, W, C), the average over images if there are several."""
        if features.ndim != 4:
            raise ShapeError(
                "SpatialGramLoss, features", f"expected (N, H, W, C), got shape {features.shape}"
            )
        shifts, channels = _checked(shifts), features.shape[3]
        shape = (2, len(shifts), channels, channels)
        grams, fits = array_module(features).zeros(shape, features.dtype), np.zeros(shape[:2], bool)
        for axis, index, here, there in _pairs(features, shifts):
            grams[axis, index] = (kernel.cross(here, there) / divisor(here.shape, form)).mean(axis=0)
            fits[axis, index] = True
        return SpatialGramTarget(grams, fits)

    @staticmethod
    def blend(targets: Sequence[SpatialGramTarget], shares: Iterable[float]) -> SpatialGramTarget:
        """Return the average of several paintings' matrices, of the shifts that fit all of them."""
        grams = sum(share * target.grams for share, target in zip(shares, targets, strict=True))
        return SpatialGramTarget(grams, np.logical_and.reduce([target.fits for target in targets]))

    @property
    def coefficient(self) -> float:
        """c, the factor of the mean of the sums of squares."""
        channels = self.target.grams.shape[-1]
        return self.weight / channels**2 / (4 if self.form == "paper" else 1)

    def measure(self, x: Any) -> float:
        """Return the loss; keep G - A of each axis and shift."""
        self.expect_images(x, self.target.grams.shape[-1])
        self.differences = {
            (axis, index): kernel.cross(here, there) / divisor(here.shape, self.form) - target
            for axis, index, here, there in _pairs(x, self.shifts)
            if self.target.fits[axis, index]
            for target in [self.target.grams[axis, index]]
        }
        if not self.differences:
            cause = f"no shift of {self.shifts} fits both features of shape {x.shape} and the painting's"
            raise ShapeError("SpatialGramLoss, input", cause, "take smaller shifts or a larger layer")
        squares = sum(total(difference**2) for difference in self.differences.values())
        return self.coefficient / len(self.differences) * squares

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add 2 c / (K Z) times what each of a pair of positions has from the other."""
        factor = 2 * self.coefficient / len(self.differences)
        pulled = {(axis, index): parts for axis, index, *parts in _pairs(dx, self.shifts)}
        for axis, index, here, there in _pairs(x, self.shifts):
            if (axis, index) in self.differences:
                ds = self.differences[axis, index] * (factor / divisor(here.shape, self.form))  # (N, C, C)
                kernel.add_product(there, ds.transpose(0, 2, 1), out=pulled[axis, index][0])
                kernel.add_product(here, ds, out=pulled[axis, index][1])

    def describe(self) -> str:
        """Return the settings."""
        shifts = ",".join(map(str, self.shifts))
        return f"{self.form}, shifts={shifts}, weight={self.weight:g}"


def _pairs(x: Any, shifts: Sequence[int]) -> Iterator[tuple[int, int, Any, Any]]:
    """Yield axis (0 down, 1 right), index of the shift d, x without its last d rows, without its first d."""
    for index, d in enumerate(shifts):
        if d < x.shape[1]:
            yield 0, index, x[:, : x.shape[1] - d], x[:, d:]
        if d < x.shape[2]:
            yield 1, index, x[:, :, : x.shape[2] - d], x[:, :, d:]


def _checked(shifts: Sequence[int]) -> tuple[int, ...]:
    try:
        found = tuple(operator.index(d) for d in shifts)
    except TypeError:
        found = ()
    if not found or min(found) < 0:
        raise UsageError("shifts", f"expected some whole numbers of 0 or more, got {shifts!r}")
    return found
