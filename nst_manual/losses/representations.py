"""What style may be: statistics of a layer, each with the loss module that compares them, by name.

`--style-representation` chooses among them. Each has a file of its own, with the formula, the paper, and the
backward pass by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nst_manual.losses.base import LossModule
from nst_manual.losses.covariance import CovarianceLoss
from nst_manual.losses.histogram import HistogramLoss
from nst_manual.losses.mean_std import MeanStdLoss
from nst_manual.losses.patch import PatchLoss
from nst_manual.losses.shifted_gram import ShiftedGramLoss
from nst_manual.losses.sliced_wasserstein import SlicedWassersteinLoss
from nst_manual.losses.spatial_gram import SpatialGramLoss
from nst_manual.losses.style import StyleLoss, gram
from nst_manual.losses.wasserstein import WassersteinLoss


@dataclass(frozen=True)
class Representation:
    """A statistic of the features of one layer.

    Attributes
    ----------
    words : str
        For people: what it is, and whose.
    target_of : callable
        (features (1, H, W, C), form) -> what is kept of a painting.
    make : callable
        (target, weight, form) -> the loss module.
    blend : callable
        (targets, shares) -> the target of several paintings together.
    """

    words: str
    target_of: Callable[[Any, str], Any]
    make: Callable[[Any, float, str], LossModule]
    blend: Callable[[Sequence[Any], Sequence[float]], Any]


def weighted_sum(targets: Iterable[Any], shares: Iterable[float]) -> Any:
    """Return the sum of share times target."""
    return sum(share * target for share, target in zip(shares, targets, strict=True))


def _with_form(words: str, kind: Any) -> Representation:
    """Return the representation of a class whose losses have the forms of `nst_manual.losses.style`."""
    return Representation(words, kind.target_of, kind, kind.blend)


def _without_form(words: str, kind: Any) -> Representation:
    return Representation(
        words,
        lambda features, form: kind.target_of(features),
        lambda target, weight, form: kind(target, weight),
        kind.blend,
    )


REPRESENTATIONS = {
    "gram": Representation(
        "Gram matrix (Gatys, Ecker, Bethge 2016)",
        lambda features, form: gram(features, form)[0],
        StyleLoss,
        weighted_sum,
    ),
    "covariance": _with_form("Gram matrix of the features less their means", CovarianceLoss),
    "mean-std": _without_form("means and standard deviations (Li et al. 2017)", MeanStdLoss),
    "shifted-gram": _with_form("Gram matrix of F - 1 (Novak, Nikulin 2016)", ShiftedGramLoss),
    "spatial-gram": _with_form(
        "Gram matrices with the features moved (Berger, Memisevic 2017)", SpatialGramLoss
    ),
    "wasserstein": _without_form("Wasserstein-2 distance of Gaussians (Mroueh 2019)", WassersteinLoss),
    "sliced-wasserstein": _without_form(
        "sorted projections on random directions (Heitz et al. 2021)", SlicedWassersteinLoss
    ),
    "patches": _without_form("nearest 3x3 patches (Li, Wand 2016)", PatchLoss),
    "histogram": _without_form("the distribution of each channel (Risser et al. 2017)", HistogramLoss),
}


def wasserstein(epsilon: float) -> Representation:
    """Return the Wasserstein representation that adds epsilon itself to the variances."""
    return Representation(
        REPRESENTATIONS["wasserstein"].words,
        REPRESENTATIONS["wasserstein"].target_of,
        lambda target, weight, form: WassersteinLoss(target, weight, epsilon=epsilon, relative=False),
        WassersteinLoss.blend,
    )


CROSS_LAYER = "cross-layer-gram"
NAMES = (*REPRESENTATIONS, CROSS_LAYER)
