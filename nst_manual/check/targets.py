"""What `gradcheck` checks: every kernel, module and loss, and whole networks with losses inside.

Each target is made anew from a seed, in float64, small and of odd sizes, so that borders, the rest that a
stride leaves over and several bands all occur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

IMAGES = (2, 6, 5, 4)  # N, H, W, C
Made = tuple[Any, np.ndarray]  # a module and where to check it


@dataclass(frozen=True)
class Target:
    """Something to check.

    Attributes
    ----------
    name : str
    group : str
        "kernels", "modules", "losses" or "networks".
    make : callable
        Random generator -> (module, x).
    """

    name: str
    group: str
    make: Callable[[np.random.Generator], Made]


class OfParameter:
    """A module as a function of one of its parameters: backward is what it has added to the gradient's sum.

    Parameters
    ----------
    module : Module
        With `training` set, and parameters.
    name : str
        "weight" or "bias".
    x : array
        The module's input.
    """

    def __init__(self, module: Any, name: str, x: np.ndarray) -> None:
        module.training = True
        self.module, self.name, self.x = module, name, x

    def forward(self, value: np.ndarray) -> np.ndarray:
        """Return the module's output with that value of the parameter."""
        setattr(self.module, self.name, value)
        return self.module.forward(self.x)

    def backward(self, value: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to the parameter."""
        self.module.zero_grad_parameters()
        self.module.backward(self.x, dy)
        return getattr(self.module, f"grad_{self.name}").copy()


class OfFunctions:
    """Two functions, x -> y and (x, dy) -> dx, as an object with forward and backward."""

    def __init__(self, forward: Callable, backward: Callable) -> None:
        self.forward, self.backward = forward, backward


def targets() -> Iterator[Target]:
    """Yield all targets, the simplest first."""
    yield from _kernels()
    yield from _modules()
    yield from _losses()
    yield from _networks()


def _images(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape or IMAGES)


def _kernels() -> Iterator[Target]:
    from nst_manual.kernels import gram
    from nst_manual.kernels.conv import algorithms_on

    def conv(algorithm: Any, w_shape: tuple, *geometry: Any) -> Callable[[np.random.Generator], Made]:
        def make(rng: np.random.Generator) -> Made:
            w, b = rng.standard_normal(w_shape), rng.standard_normal(w_shape[3])
            x = _images(rng, 2, 7, 9, w_shape[2] * geometry[3])
            module = OfFunctions(
                lambda x: algorithm.forward(x, w.astype(x.dtype), b, *geometry),
                lambda x, dy: algorithm.input_gradient(dy, w, x.shape, *geometry),
            )
            module.weight, module.groups = w, geometry[3]
            module.stride, module.padding, module.dilation = geometry[:3]
            return module, x

        return make

    geometries = {
        "": ((3, 3, 2, 3), (1, 1), (1, 1), (1, 1), 1),
        ", no padding": ((3, 3, 2, 3), (1, 1), (0, 0), (1, 1), 1),
        ", stride 2": ((3, 2, 2, 3), (2, 2), (1, 0), (1, 1), 1),
        ", dilation 2, groups": ((2, 3, 1, 4), (1, 1), (1, 2), (2, 2), 2),
    }
    for name, algorithm in algorithms_on("cpu").items():
        for words, (w_shape, *geometry) in geometries.items():
            if algorithm.supports(w_shape[:2], *geometry):
                yield Target(f"conv, {name}{words}", "kernels", conv(algorithm, w_shape, *geometry))
    yield Target(
        "Gram matrix",
        "kernels",
        lambda rng: (OfFunctions(gram.forward, lambda x, ds: gram.input_gradient(x, ds)), _images(rng)),
    )


def _modules() -> Iterator[Target]:
    from nst_manual import nn

    def of(make: Callable[[], Any], *shape: int) -> Callable[[np.random.Generator], Made]:
        return lambda rng: (make(), _images(rng, *shape))

    conv = {"kernel_size": 3, "padding": 1, "rng": 0, "dtype": "float64"}
    made = {
        "Conv2d": of(lambda: nn.Conv2d(4, 3, **conv)),
        "Linear": of(lambda: nn.Linear(7, 5, rng=0, dtype="float64"), 3, 7),
        "ReLU": of(nn.ReLU),
        "MaxPool2d": of(lambda: nn.MaxPool2d(2)),
        "MaxPool2d, overlapping": of(lambda: nn.MaxPool2d(3, 2, 1)),
        "MaxPool2d, ceil mode": of(lambda: nn.MaxPool2d(3, 2, ceil_mode=True)),
        "AvgPool2d": of(lambda: nn.AvgPool2d(2)),
        "AvgPool2d, ceil mode": of(lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)),
        "AvgPool2d, scaled": of(lambda: nn.AvgPool2d(2, scale=2)),
        "L2Pool2d": of(lambda: nn.L2Pool2d(2)),
        "L2Pool2d, overlapping": of(lambda: nn.L2Pool2d(3, 2, 1)),
        "L2Pool2d, ceil mode, scaled": of(lambda: nn.L2Pool2d(2, ceil_mode=True, scale=0.78)),
        "GlobalAvgPool2d": of(nn.GlobalAvgPool2d),
        "ReplicationPad2d": of(lambda: nn.ReplicationPad2d((1, 2))),
        "LocalResponseNorm": of(lambda: nn.LocalResponseNorm(3, 0.3, 0.75, 1.5)),
        "BatchNorm2d": of(lambda: nn.BatchNorm2d(4, dtype="float64")),
        "Softmax": of(nn.Softmax),
        "LogSoftmax": of(nn.LogSoftmax),
        "Flatten": of(nn.Flatten),
        "Concat": of(
            lambda: nn.Concat(nn.Conv2d(4, 3, **conv), nn.Sequential(nn.ReLU(), nn.AvgPool2d(3, 1, 1)))
        ),
    }
    for name, make in made.items():
        yield Target(name, "modules", make)
    for parameter in ("weight", "bias"):
        yield Target(f"Conv2d, {parameter}", "modules", _parameter("Conv2d", parameter))
        yield Target(f"Linear, {parameter}", "modules", _parameter("Linear", parameter))


def _parameter(kind: str, parameter: str) -> Callable[[np.random.Generator], Made]:
    def make(rng: np.random.Generator) -> Made:
        from nst_manual import nn

        if kind == "Conv2d":
            module, x = (
                nn.Conv2d(3, 2, 3, stride=2, padding=1, rng=rng, dtype="float64"),
                _images(rng, 2, 6, 5, 3),
            )
        else:
            module, x = nn.Linear(6, 4, rng=rng, dtype="float64"), _images(rng, 3, 6)
        return OfParameter(module, parameter, x), rng.standard_normal(getattr(module, parameter).shape)

    return make


def _losses() -> Iterator[Target]:
    from nst_manual.losses import ContentLoss, StyleLoss, TotalVariation, gram

    shape = (1, *IMAGES[1:])

    def content(form: str) -> Callable[[np.random.Generator], Made]:
        return lambda rng: (ContentLoss(_images(rng, *shape), 1.7, form), _images(rng, *shape))

    def style(form: str) -> Callable[[np.random.Generator], Made]:
        # a painting of another size
        return lambda rng: (
            StyleLoss(gram(_images(rng, 1, 8, 7, 4), form)[0], 1.7, form),
            _images(rng, *shape),
        )

    def variation(form: str) -> Callable[[np.random.Generator], Made]:
        return lambda rng: (TotalVariation(1.7, form), _images(rng, *shape))

    for name, make, forms in (
        ("ContentLoss", content, ("sum", "mean")),
        ("StyleLoss", style, ("paper", "mean")),
        ("TotalVariation", variation, ("absolute", "squared", "isotropic", "nine-point")),
    ):
        for form in forms:
            yield Target(f"{name}, {form}", "losses", make(form))
    yield from _representations()
    yield from _controls()
    yield from _bounds()


def _representations() -> Iterator[Target]:
    """Yield every representation of style but Gram matrices, which are there already."""
    from nst_manual import nn
    from nst_manual.losses.cross_layer_gram import CrossLayerGramLoss, cross_layer_losses
    from nst_manual.losses.representations import CROSS_LAYER, REPRESENTATIONS, Representation

    def made(kind: Representation) -> Callable[[np.random.Generator], Made]:
        # a painting of another size
        return lambda rng: (
            kind.make(kind.target_of(_images(rng, 1, 8, 7, 4), "mean"), 1.7, "mean"),
            _images(rng, 1, *IMAGES[1:]),
        )

    for name, kind in REPRESENTATIONS.items():
        if name != "gram":
            yield Target(f"style, {name}", "losses", made(kind))

    def pair(rng: np.random.Generator) -> Made:
        target = CrossLayerGramLoss.target_of(_images(rng, 1, 8, 7, 4), _images(rng, 1, 4, 3, 3), "mean")
        lower, upper = cross_layer_losses(target, 1.7, "mean")
        lower.name, upper.name = "lower", "upper"
        conv = nn.Conv2d(4, 3, 3, stride=2, padding=1, rng=rng, dtype="float64")
        return nn.Sequential(lower, conv, upper), _images(rng, 1, *IMAGES[1:])

    yield Target(f"style, {CROSS_LAYER}", "losses", pair)


def _controls() -> Iterator[Target]:
    """Yield losses under masks, and the one that keeps edges."""
    from nst_manual.losses.guided import GuidedStyleLoss, guided_gram
    from nst_manual.losses.laplacian import LaplacianLoss
    from nst_manual.losses.masked_content import MaskedContentLoss

    shape = (1, *IMAGES[1:])

    def guided(rng: np.random.Generator) -> Made:
        target = guided_gram(_images(rng, 1, 8, 7, 4), np.ones((8, 7)), "mean")[0]
        return GuidedStyleLoss(target, rng.uniform(0, 1, shape[1:3]), 1.7, "mean"), _images(rng, *shape)

    def masked(rng: np.random.Generator) -> Made:
        mask = rng.uniform(0, 1, shape[1:3])
        return MaskedContentLoss(_images(rng, *shape), mask, 1.7, "mean"), _images(rng, *shape)

    def laplacian(rng: np.random.Generator) -> Made:
        target = LaplacianLoss.target_of(_images(rng, 1, 9, 8, 3), 2)
        return LaplacianLoss(target, 1.7, 2), _images(rng, 1, 9, 8, 3)

    def overlay(rng: np.random.Generator) -> Made:
        from nst_manual.nn import Overlay

        size = shape[1:3]
        return Overlay(rng.uniform(0, 1, (*size, 1)), rng.uniform(0, 255, (*size, 3))), _images(
            rng, 2, *size, 3
        )

    yield Target("Overlay", "losses", overlay)
    yield Target("GuidedStyleLoss", "losses", guided)
    yield Target("MaskedContentLoss", "losses", masked)
    yield Target("LaplacianLoss", "losses", laplacian)


def _bounds() -> Iterator[Target]:
    """Yield the path along which L-BFGS searches between pixel bounds, a function of the step length."""
    from nst_manual.optim.bounds import bent_slope, project

    def path(rng: np.random.Generator) -> Made:
        bounds = (0.0, 1.0)
        start = rng.uniform(*bounds, 30)
        direction = rng.standard_normal(30)
        start[:6] = [0, 0, 0, 1, 1, 1]  # at a bound: some go inwards, some stay
        direction[:6] = [1, -1, 0, -1, 1, 0] * np.abs(direction[:6])

        def point(t: float) -> np.ndarray:
            return start + t * direction

        def forward(t: np.ndarray) -> np.ndarray:
            return np.stack([project(point(step), bounds) for step in t])  # (steps, n)

        def backward(t: np.ndarray, dy: np.ndarray) -> np.ndarray:
            return np.array(
                [
                    bent_slope(gradient, direction, point(step), project(point(step), bounds))
                    for step, gradient in zip(t, dy, strict=True)
                ]
            )

        # no step near 0, where elements at a bound have a kink, not even when the check rounds them
        return OfFunctions(forward, backward), np.array([0.4, 0.8, 1.2]) + rng.uniform(0, 0.2, 3)

    yield Target("bounds: the bent path", "losses", path)


def _networks() -> Iterator[Target]:
    from nst_manual.presets import PRESETS

    # square roots of 512 x 512 take a minute, and are no other than those of 128 x 128
    fewer = {"style-transfer-pytorch": {"style_layers": "relu1_1:0.8,relu2_1:0.2"}}
    for preset in PRESETS:
        made = _network("vgg11", preset, 36, **fewer.get(preset, {}))
        yield Target(f"vgg11 with losses, {preset}", "networks", made)
    yield Target("vgg19 with losses, paper", "networks", _network("vgg19", "paper", 32))
    yield Target("alexnet-caffe with losses, gatys", "networks", _network("alexnet-caffe", "gatys", 72))
    yield Target("googlenet-caffe with losses, gatys", "networks", _network("googlenet-caffe", "gatys", 40))
    yield Target("squeezenet with losses, paper", "networks", _network("squeezenet", "paper", 40))
    yield Target("vgg11 with losses, under masks", "networks", _masked_network)
    yield Target("vgg11 with losses, fused", "networks", _network("vgg11", "gatys", 36, plain=False))


def _masked_network(rng: np.random.Generator) -> Made:
    """Return a network under every mask there is: of content, of styles, of paintings, and of pixels."""
    from nst_manual.objective import Objective

    height, width = 20, 24
    content, *paintings = (rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(3))
    soft = rng.integers(1, 256, (height, width, 1), dtype=np.uint8).repeat(3, axis=2)
    masks = [soft, 255 - soft]
    options = {"network": "vgg11", "weights": "random", "dtype": "float64", "size": width, "plain": True}
    options |= {"content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1", "tv_weight": 1.0}
    options |= {"tv_form": "nine-point", "laplacian_weight": 1.0}
    objective = Objective(
        content,
        paintings,
        **options,
        style_masks=masks,
        painting_masks=masks,
        content_mask=soft,
        untouched=soft,
    )
    return objective.network, rng.uniform(0, 255, objective.shape)


def _network(
    name: str, preset: str, size: int, plain: bool = True, **more: Any
) -> Callable[[np.random.Generator], Made]:
    def make(rng: np.random.Generator) -> Made:
        from nst_manual.objective import Objective

        def picture() -> np.ndarray:
            return rng.integers(0, 256, (size - 4, size, 3), dtype=np.uint8)

        options = {"network": name, "weights": "random", "dtype": "float64", "size": size, "plain": plain}
        objective = Objective(picture(), [picture()], preset=preset, **options | more)
        return objective.network, rng.uniform(0, 255, objective.shape)

    return make
