"""Planted mistakes: does the checker see what it is there for?

Each is a copy of something right with one mistake in it, as people make them. The first twelve are those on
which other checkers were tried; every one of these has missed some of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_manual.check.targets import Made, OfFunctions

Rng = np.random.Generator


@dataclass(frozen=True)
class Mutation:
    """A mistake, in words, and how to make something that has it.

    Attributes
    ----------
    name : str
    make : callable
        Random generator -> (module with the mistake, x).
    """

    name: str
    make: Callable[[Rng], Made]


def mutations() -> list[Mutation]:
    """Return all mistakes."""
    return [Mutation(name, make) for name, make in (_CONV | _OTHERS | _LOSSES).items()]


class Mutant:
    """A module whose backward is another function of the right one.

    Parameters
    ----------
    module : Module
    backward : callable
        (module, x, dy) -> dx, called after `module.forward(x)`.
    loss : callable, optional
        module -> loss, where the loss that is told is the mistake.
    """

    def __init__(self, module: Any, backward: Callable, loss: Callable | None = None) -> None:
        self.module, self.changed, self.told = module, backward, loss

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the right output."""
        return self.module.forward(x)

    def backward(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Return the wrong gradient."""
        return self.changed(self.module, x, dy)

    @property
    def loss(self) -> Any:
        """The module's loss, or what is told of it."""
        return self.told(self.module) if self.told else getattr(self.module, "loss", 0.0)

    def __getattr__(self, name: str) -> Any:  # weight, stride, ...: what the checker looks at for a cause
        return getattr(self.__dict__["module"], name)


# -- convolution ---------------------------------------------------------------------------------------------

_GEOMETRY = (1, 1), (1, 1), (1, 1), 1


def _conv(backward: Callable, channels: int = 2) -> Callable[[Rng], Made]:
    """Return a convolution with another backward(right, dy, w, x_shape)."""

    def make(rng: Rng) -> Made:
        from nst_manual.kernels import conv_matmul

        w = rng.standard_normal((3, 3, channels, channels))
        x = rng.standard_normal((2, 6, 5, channels))

        def right(dy: np.ndarray, w: np.ndarray = w) -> np.ndarray:
            return conv_matmul.input_gradient(dy, w, dy.shape[:3] + (channels,), *_GEOMETRY)

        module = OfFunctions(
            lambda x: conv_matmul.forward(x, w.astype(x.dtype), None, *_GEOMETRY),
            lambda x, dy: backward(right, dy, w),
        )
        module.weight, module.padding = w, 1
        return module, x

    return make


def _changed(array: np.ndarray, index: Any, factor: float) -> np.ndarray:
    array = array.copy()
    array[index] *= factor
    return array


_CONV = {
    "conv dx: rows and columns of the kernel exchanged": _conv(lambda dx, dy, w: dx(dy, w.swapaxes(0, 1))),
    "conv dx: last column lost": _conv(lambda dx, dy, w: _changed(dx(dy), np.s_[:, :, -1], 0)),
    "conv dx: one element off by 10 %": _conv(lambda dx, dy, w: _changed(dx(dy), (0, 2, 3, 1), 1.1)),
    "conv dx: scaled by 1 + 1e-4": _conv(lambda dx, dy, w: dx(dy) * (1 + 1e-4)),
    "conv dx: summed in float32": _conv(
        lambda dx, dy, w: dx(dy.astype("float32"), w.astype("float32")).astype(float)
    ),
    "conv dx: kernel not turned": _conv(lambda dx, dy, w: dx(dy, w[::-1, ::-1])),
    "conv dx: channels in and out exchanged": _conv(lambda dx, dy, w: dx(dy, w.swapaxes(2, 3))),
    "conv dx: the border is left out": _conv(
        lambda dx, dy, w: np.pad(dx(dy)[:, 1:-1, 1:-1], ((0, 0), (1, 1), (1, 1), (0, 0)))
    ),
    "conv dx: divided by the batch size": _conv(lambda dx, dy, w: dx(dy) / len(dy)),
    "conv dx: every image gets the first one's": _conv(lambda dx, dy, w: np.repeat(dx(dy)[:1], len(dy), 0)),
    "conv dx: an upstream of ones": _conv(lambda dx, dy, w: dx(np.ones_like(dy))),
}


# -- layers without weights ----------------------------------------------------------------------------------


def _module(make: Callable[[], Any], backward: Callable, offset: float = 0.0) -> Callable[[Rng], Made]:
    """Return a module with another backward, and images moved away from zero by an offset."""
    return lambda rng: (Mutant(make(), backward), rng.standard_normal((2, 6, 5, 4)) + offset)


def _lrn() -> Any:
    from nst_manual.nn import LocalResponseNorm

    return LocalResponseNorm(3, 0.3, 0.75, 1.5)


def _lrn_others_dropped(module: Any, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    s = module.scale
    own = 2 * module.alpha * module.beta / module.size * x * x * s ** (-module.beta - 1)
    return dy * (s**-module.beta - own)


def _lrn_half(module: Any, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    first = dy * module.scale**-module.beta
    return first + (module.backward(x, dy) - first) / 2


def _tie_twice(module: Any, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Every pixel of a 2x2 window that equals its maximum gets the gradient."""
    y, dx = module.forward(x), np.zeros_like(x)
    h, w = y.shape[1:3]
    for a in (0, 1):
        for b in (0, 1):
            part = np.s_[:, a : 2 * h : 2, b : 2 * w : 2]
            dx[part] = np.where(x[part] == y, dy, 0)
    return dx


def _accumulated() -> Callable:
    """Return a backward that adds to what the call before has left."""
    kept: dict[str, np.ndarray] = {}

    def backward(module: Any, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        if "dx" not in kept or kept["dx"].shape != x.shape:
            kept["dx"] = np.zeros_like(x)
        kept["dx"] += module.backward(x, dy)
        return kept["dx"]

    return backward


def _relu() -> Any:
    from nst_manual.nn import ReLU

    return ReLU()


def _max_pool() -> Any:
    from nst_manual.nn import MaxPool2d

    return MaxPool2d(2)


def _avg_pool() -> Any:
    from nst_manual.nn import AvgPool2d

    return AvgPool2d(2)


def _softmax() -> Any:
    from nst_manual.nn import Softmax

    return Softmax()


def _overwriting(module: Any, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    dy *= x > 0
    return dy


_OTHERS = {
    "LRN: the other channels' term dropped": _module(_lrn, _lrn_others_dropped),
    "LRN: the same, inputs near 100": _module(_lrn, _lrn_others_dropped, offset=100),
    "LRN: factor 2 lost in that term": _module(_lrn, _lrn_half),
    "max-pool: a tie gets the gradient twice": _module(_max_pool, _tie_twice),
    "ReLU: passes the gradient at x == 0": _module(_relu, lambda m, x, dy: np.where(x >= 0, dy, 0)),
    "ReLU: masks by dy": _module(_relu, lambda m, x, dy: np.where((x > 0) & (dy > 0), dy, 0)),
    "ReLU: writes to dy": _module(_relu, _overwriting),
    "average pool: not divided by the window": _module(_avg_pool, lambda m, x, dy: 4 * m.backward(x, dy)),
    "average pool: dx added up from call to call": lambda rng: _module(_avg_pool, _accumulated())(rng),
    "softmax: the diagonal alone": _module(_softmax, lambda m, x, dy: m.forward(x) * (1 - m.forward(x)) * dy),
}


# -- losses --------------------------------------------------------------------------------------------------


def _gram_symmetric(rng: Rng) -> Made:
    from nst_manual.kernels import gram

    def backward(x: np.ndarray, ds: np.ndarray) -> np.ndarray:
        return 2 * np.einsum("nhwc,ncd->nhwd", x, ds)

    return OfFunctions(gram.forward, backward), rng.standard_normal((2, 4, 5, 3))


def _loss(kind: str, backward: Callable, loss: Callable | None = None) -> Callable[[Rng], Made]:
    def make(rng: Rng) -> Made:
        from nst_manual.losses import ContentLoss, StyleLoss, TotalVariation, gram

        target, x = rng.standard_normal((2, 1, 6, 5, 4))
        if kind == "content":
            module = ContentLoss(target, 1.7)
        elif kind == "style":
            module = StyleLoss(gram(target)[0], 1.7)
            module.features = target
        else:
            module = TotalVariation(1.7, "squared")
        return Mutant(module, backward, loss), x

    return make


def _own(module: Any, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Return the loss's gradient alone."""
    return module.backward(x, np.zeros_like(dy))


def _of_the_target(module: Any, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The style gradient F (D + D^T), with the painting's features for F."""
    from nst_manual.kernels import gram

    d = module.difference * (2 * module.coefficient / (x.shape[1] * x.shape[2]))
    return dy + gram.input_gradient(module.features, d)


def _network_without_a_loss(rng: Rng) -> Made:
    """A network that tells a sum of losses from which one is missing."""
    from nst_manual import nn
    from nst_manual.losses import ContentLoss, TotalVariation

    target, x = rng.standard_normal((2, 1, 6, 5, 2))
    conv = nn.Conv2d(2, 2, 3, padding=1, rng=rng, dtype="float64")
    network = nn.Sequential(TotalVariation(0.5, "squared"), conv, ContentLoss(target))
    return Mutant(network, lambda m, x, dy: m.backward(x, dy), lambda m: m[2].loss), x


_LOSSES = {
    "Gram: a symmetric upstream taken for granted": _gram_symmetric,
    "TV: a corner pixel lost": _loss("tv", lambda m, x, dy: dy + _changed(_own(m, x, dy), (0, 0, 0), 0)),
    "TV: in the gradient, not in the loss": _loss("tv", lambda m, x, dy: m.backward(x, dy), lambda m: 0.0),
    "a loss left out of the sum": _network_without_a_loss,
    "content: the gradient of twice the loss": _loss("content", lambda m, x, dy: dy + 2 * _own(m, x, dy)),
    "content: the loss without its 1/2": _loss(
        "content", lambda m, x, dy: m.backward(x, dy), lambda m: 2 * m.loss
    ),
    "content: the target minus the features": _loss("content", lambda m, x, dy: dy - _own(m, x, dy)),
    "content: dy is dropped": _loss("content", _own),
    "style: the gradient from the target's features": _loss("style", _of_the_target),
    "style: a factor 2 lost": _loss("style", lambda m, x, dy: dy + _own(m, x, dy) / 2),
    "style: not divided by the positions": _loss("style", lambda m, x, dy: dy + _own(m, x, dy) * 30),
}
