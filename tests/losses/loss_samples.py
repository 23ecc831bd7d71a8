"""One maker for each form of each loss, for the tests of what they have in common."""

import numpy as np

from nst_manual.losses import ContentLoss, StyleLoss, TotalVariation

WEIGHT = 1.7


def content(form):
    """Return a maker (shape, seed) -> ContentLoss with a random target."""

    def make(shape, seed=0, dtype=float):
        return ContentLoss(np.random.default_rng(seed).standard_normal(shape).astype(dtype), WEIGHT, form)

    return make


def style(form):
    """Return a maker (shape, seed) -> StyleLoss with a random target, which is not symmetric."""

    def make(shape, seed=0, dtype=float):
        target = np.random.default_rng(seed).standard_normal((shape[3], shape[3])).astype(dtype)
        return StyleLoss(target, WEIGHT, form)

    return make


def total_variation(form):
    """Return a maker (shape, seed) -> TotalVariation."""

    def make(shape, seed=0, dtype=float):
        return TotalVariation(WEIGHT, form)

    return make


MAKERS = {
    "content-sum": content("sum"),
    "content-mean": content("mean"),
    "style-paper": style("paper"),
    "style-mean": style("mean"),
    "tv-absolute": total_variation("absolute"),
    "tv-squared": total_variation("squared"),
}
