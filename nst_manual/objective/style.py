"""Style losses for an objective: what is kept of the paintings, and the modules that compare with it.

Several paintings count by their shares, in one of two ways (`--style-combine`):

    average   one loss a layer, its target the average of the paintings' statistics     d(S, sum_k s_k A_k)
    sum       a loss for each painting, the sum of them by shares                         sum_k s_k d(S, A_k)

Of a painting, statistics may be gathered at several scales (`--style-scales`): each is one more painting, and
its share is divided among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nst_manual.errors import UsageError
from nst_manual.losses import LossModule
from nst_manual.losses.cross_layer_gram import CrossLayerGramLoss, cross_layer_losses
from nst_manual.losses.guided import GuidedStyleLoss, guided_gram
from nst_manual.losses.representations import (
    CROSS_LAYER,
    REPRESENTATIONS,
    Representation,
    wasserstein,
)

# (pixels of a painting, {layer: statistic}) -> {layer: what the statistic is there}
Capture = Callable[[np.ndarray, Mapping[str, Callable[[Any], Any]]], dict[str, Any]]
Placed = tuple[str, str, LossModule]  # layer behind which it stands, name, module


def style_losses(
    capture: Capture,
    paintings: Sequence[np.ndarray],
    shares: Sequence[float],
    weights: Mapping[str, float],
    representation: str,
    form: str,
    combine: str,
    guides: Sequence[Mapping[str, np.ndarray]] = (),
    parts: Sequence[Mapping[str, np.ndarray] | None] = (),
    epsilon: float = 0.0,
) -> list[Placed]:
    """Return the loss modules of the paintings' style.

    Parameters
    ----------
    capture : callable
    paintings : sequence of array (H, W, 3)
    shares : sequence of float
        Of each painting, with sum 1.
    weights : mapping of str to float
        Layer -> weight, in the order of the network.
    representation : str
        A name of `nst_manual.losses.representations.NAMES`.
    form : str
        Of Gram matrices and what is derived from them; see `nst_manual.losses.style`.
    combine : str
        "average" or "sum".
    guides : sequence of {layer: array (h, w)}, optional
        Of each painting, where in the picture its style goes; then each has a loss of its own.
    parts : sequence of {layer: array (h, w)} or None, optional
        Of each painting, which part of it counts.
    epsilon : float
        Of the Wasserstein loss, absolute; 0 for its own.

    Raises
    ------
    UsageError
        Masks, and another representation than "gram"; too few layers for pairs of them.
    """
    if not weights:
        return []
    parts = [*parts] or [None] * len(paintings)
    for option, masks in (("--style-masks", guides), ("--painting-masks", [part for part in parts if part])):
        if masks and representation != "gram":
            raise UsageError(option, f"needs --style-representation gram, got {representation}")
    if representation == CROSS_LAYER:
        return _cross_layer(capture, paintings, shares, weights, form, combine)
    kind = REPRESENTATIONS[representation]
    if representation == "wasserstein" and epsilon:
        kind = wasserstein(epsilon)
    found = [
        capture(painting, {layer: _statistic(kind, form, part, layer) for layer in weights})
        for painting, part in zip(paintings, parts, strict=True)
    ]
    if guides:
        return _guided(found, shares, weights, form, guides)
    placed = []
    for layer, weight in weights.items():
        for suffix, share, target in _combined([f[layer] for f in found], shares, kind.blend, combine):
            placed.append((layer, f"style/{layer}{suffix}", kind.make(target, weight * share, form)))
    return placed


def _statistic(
    kind: Representation, form: str, part: Mapping[str, np.ndarray] | None, layer: str
) -> Callable[[Any], Any]:
    """Return what takes the statistic of a painting's features at a layer, of the part that counts."""
    if part is None:
        return lambda features: kind.target_of(features, form)
    return lambda features: guided_gram(features, part[layer], form)[0]


def _guided(
    found: Sequence[Mapping[str, Any]],
    shares: Sequence[float],
    weights: Mapping[str, float],
    form: str,
    guides: Sequence[Mapping[str, np.ndarray]],
) -> list[Placed]:
    """Return a loss for each painting and layer, under the painting's mask."""
    placed: list[Placed] = []
    for number, (targets, share, guide) in enumerate(zip(found, shares, guides, strict=True), start=1):
        for layer, weight in weights.items():
            if share and guide[layer].any():  # a region may be too small for a deep layer
                module = GuidedStyleLoss(targets[layer], guide[layer], weight * share, form)
                placed.append((layer, f"style/{layer}/{number}", module))
    return placed


def _cross_layer(
    capture: Capture,
    paintings: Sequence[np.ndarray],
    shares: Sequence[float],
    weights: Mapping[str, float],
    form: str,
    combine: str,
) -> list[Placed]:
    """Return a pair of modules for each two neighbours among the layers; the upper one's weight counts."""
    layers = list(weights)
    if len(layers) < 2:
        raise UsageError("--style-layers", f"{CROSS_LAYER} needs two layers or more, got {', '.join(layers)}")
    found = [
        capture(painting, dict.fromkeys(layers, lambda features: features.copy())) for painting in paintings
    ]
    placed: list[Placed] = []
    for lower, upper in zip(layers, layers[1:], strict=False):
        targets = [CrossLayerGramLoss.target_of(f[lower], f[upper], form) for f in found]
        for suffix, share, target in _combined(targets, shares, CrossLayerGramLoss.blend, combine):
            name = f"style/{lower}-{upper}{suffix}"
            below, above = cross_layer_losses(target, weights[upper] * share, form)
            placed += [(lower, f"{name}, lower half", below), (upper, name, above)]
    return placed


def _combined(
    targets: Sequence[Any], shares: Sequence[float], blend: Callable, combine: str
) -> list[tuple[str, float, Any]]:
    """Return (suffix of the name, factor of the weight, target) of each loss of a layer."""
    if combine == "average" or len(targets) == 1:
        return [("", 1.0, targets[0] if len(targets) == 1 else blend(targets, shares))]
    numbered = enumerate(zip(shares, targets, strict=True), start=1)
    return [(f"/{number}", share, target) for number, (share, target) in numbered if share]
