"""Small networks of the VGG kind with losses anywhere, drawn by Hypothesis; one `Draft` gives the same again.

A draft is what a network is made of, as text: `conv`, `relu`, a pooling, losses. It is built anew for each
form that is compared, since modules hold state.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from nst_manual import nn
from nst_manual.losses import ContentLoss, StyleLoss, TotalVariation
from nst_manual.store import Preprocessing

POOLS = {
    "max": lambda: nn.MaxPool2d(2),
    "average": lambda: nn.AvgPool2d(2),
    "max-ceil": lambda: nn.MaxPool2d(2, ceil_mode=True),
    "average-ceil": lambda: nn.AvgPool2d(2, ceil_mode=True),
    "max-3": lambda: nn.MaxPool2d(3, 2, 1),
    "average x 2": lambda: nn.AvgPool2d(2, scale=2),
    "l2 x 0.78": lambda: nn.L2Pool2d(2, scale=0.78),
    "l2-3-ceil": lambda: nn.L2Pool2d(3, 2, 1, ceil_mode=True),
    "pad": lambda: nn.ReplicationPad2d((1, 2)),  # no pooling, but it may stand where one does
}
LOSSES = ("content", "style", "tv")


@dataclass(frozen=True)
class Draft:
    """The rows of a network, the shape of its input, and the seed of its parameters and targets."""

    rows: tuple  # ("conv", channels, k, bias) or the name of a pooling, of a loss, "relu", "preprocess"
    x: tuple = (1, 9, 8, 3)
    dtype: str = "float64"
    algorithm: str = "matmul"
    seed: int = 0

    def build(self):
        """Return a plain network; the same numbers in each call."""
        rng = np.random.default_rng(self.seed)
        network, shape = nn.Sequential(), self.x
        for row in self.rows:
            module = self._module(row, shape, rng)
            network.append(module)
            shape = module.output_shape(shape)
        return network

    def _module(self, row, shape, rng):
        match row:
            case "relu":
                return nn.ReLU()
            case "preprocess":
                settings = Preprocessing("BGR", (0.1, 0.2, 0.3), 1.5, (1.0, 2.0, 3.0))
                return nn.Preprocess(settings, self.dtype)
            case "content":
                return ContentLoss(rng.standard_normal(shape).astype(self.dtype), 0.7)
            case "style":
                target = rng.standard_normal((shape[3], shape[3])).astype(self.dtype)
                return StyleLoss(target, 30.0)
            case "tv":
                return TotalVariation(0.3, "squared")
            case ("conv", channels, k, bias):
                module = nn.Conv2d(
                    shape[3], channels, k, padding=k // 2, bias=bias, rng=rng, dtype=self.dtype
                )
                if bias:
                    module.bias = rng.standard_normal(channels).astype(self.dtype)
                if self.algorithm == "auto" or module.supported_by(self.algorithm):
                    module.algorithm = self.algorithm
                return module
            case _:
                return POOLS[row]()

    def arrays(self, seed=1, size=None):
        """Return x and dy that fit."""
        rng = np.random.default_rng(seed)
        shape = self.x if size is None else (self.x[0], *size, self.x[3])
        top = shape
        for module in self.build():
            top = module.output_shape(top)
        return (rng.standard_normal(side).astype(self.dtype) for side in (shape, top))


# a network of the VGG kind, and its relatives
CONV = ("conv", 4, 3, True)
BLOCK = (CONV, "relu", "style")
VGG = Draft(("preprocess", "tv", *BLOCK, *BLOCK, "max", CONV, "relu", "content", "style"), (1, 11, 10, 3))
VARIETY = {
    "losses at relu layers": VGG,
    "average pooling": replace(
        VGG, rows=(CONV, "relu", "average", "style", CONV, "average", "content", CONV, "relu")
    ),
    "losses at conv layers": replace(
        VGG, rows=(CONV, "style", "relu", "max", CONV, "content", "max", CONV, "style", "relu")
    ),
    "losses at pool layers": replace(
        VGG, rows=(CONV, "relu", "max", "style", CONV, "max", "content", "style")
    ),
    "no losses": replace(VGG, rows=("preprocess", CONV, "relu", CONV, "relu", "max", CONV)),
    "ceil mode": replace(VGG, rows=("preprocess", CONV, "relu", "max-ceil", "style", CONV, "average-ceil")),
    "relu and pooling alone": replace(VGG, rows=("relu", "style", "max", "tv", "relu", "average", "relu")),
    "scaled average": replace(VGG, rows=("pad", CONV, "relu", "average x 2", "style", CONV, "average x 2")),
    "L2 pooling": replace(
        VGG,
        rows=(
            "preprocess",
            "tv",
            "pad",
            *BLOCK,
            "l2 x 0.78",
            CONV,
            "relu",
            "l2-3-ceil",
            "style",
            "l2 x 0.78",
        ),
    ),
    "two images": replace(VGG, x=(2, 9, 12, 3)),
    "losses first": replace(VGG, rows=("tv", "content", CONV, "relu", "max")),
}


def answer(network, x, dy=None):
    """Return the loss, y and dx of a pass; without dy, from zero."""
    y = network.update_output(x).copy()
    loss = network.loss
    dx = network.update_grad_input(x, np.zeros_like(y) if dy is None else dy).copy()
    return loss, y, dx


def assert_same(one, other, bound=0.0):
    """Two answers agree: number by number, or to a bound."""
    assert one[0] == other[0] if not bound else abs(one[0] - other[0]) <= bound * abs(other[0])
    for got, expected in zip(one[1:], other[1:], strict=True):
        assert got.dtype == expected.dtype
        if not bound:
            np.testing.assert_array_equal(got, expected)
        assert np.linalg.norm(got - expected) <= bound * np.linalg.norm(expected)


@st.composite
def drafts(draw, algorithms=("matmul", "winograd"), dtypes=("float64", "float32"), pools=tuple(POOLS)):
    """Networks of one to three blocks; losses behind any module, also two, or none."""
    rows = ["preprocess"] if draw(st.booleans()) else []
    losses = st.lists(st.sampled_from(LOSSES), max_size=2) if draw(st.booleans()) else st.just([])
    rows += draw(losses)
    for _ in range(draw(st.integers(1, 3))):
        rows.append(
            ("conv", draw(st.integers(1, 5)), draw(st.sampled_from([3, 3, 3, 1])), draw(st.booleans()))
        )
        rows += draw(losses)
        for more in (["relu"], [draw(st.sampled_from(pools))]):
            if draw(st.integers(0, 3)):
                rows += more
                rows += draw(losses)
    x = (draw(st.integers(1, 2)), draw(st.integers(8, 13)), draw(st.integers(8, 13)), 3)
    # a target of the content is that of one image or of as many as there are
    return Draft(
        tuple(rows),
        x,
        draw(st.sampled_from(dtypes)),
        draw(st.sampled_from(algorithms)),
        draw(st.integers(0, 99)),
    )
