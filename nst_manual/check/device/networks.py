"""Whole networks with losses inside: loss and gradient of an image, and a run of a few iterations."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nst_manual.backend import to_host
from nst_manual.check.device import rounding
from nst_manual.check.device.case import Check, difference, generator
from nst_manual.check.device.convolutions import worst
from nst_manual.check.device.modules import module_error
from nst_manual.check.targets import targets

# name -> height, width of a picture just large enough for the default losses, of odd sizes further up
SIZES = {
    "vgg16": (36, 43),
    "vgg19": (34, 45),
    "alexnet": (67, 72),
    "googlenet": (37, 44),
    "squeezenet": (41, 38),
}
# Targets of `gradcheck` that stand for the others
QUICK = ("vgg11 with losses, under masks", "vgg11 with losses, fused")
EXACT = 1e-11  # float64: rounding grows through some twenty layers, each of thousands of terms
IMAGES = 3
# Beside the CPU's own error in float32: an order of additions that is worse by so much is worse for a reason.
FACTOR = 4.0
# Convolutions behind one another, and terms of their sums, at most.
DEPTH, TERMS = 16, 9 * 512


# Of a VGG the first layers alone, in place of the defaults, where there is little time.
FEW_LAYERS = {"content_layers": "relu2_2", "style_layers": "relu1_1,relu2_1,relu3_1"}


def checks(quick: bool = False) -> Iterator[Check]:
    """Yield the checks; quick ones are of fewer layers of VGG, and of fewer presets."""
    for target in targets():
        if target.group == "networks" and (not quick or target.name in QUICK):
            yield Check(
                "networks",
                f"{target.name}, float64",
                lambda t=target: module_error(t.name, t.make, "float64"),
            )
    for network in [*SIZES][quick:]:  # VGG-19 is the same as VGG-16, and longer
        few = quick and network.startswith("vgg")
        losses = f"{network}, {'few' if few else 'default'} losses"
        for plain in (False,) if quick and network != "vgg19" else (False, True):
            words = f"{losses}, {'plain' if plain else 'fused'}, float64"
            yield Check("networks", words, lambda a=(network, few, plain): exact_error(*a))
        if network in ("vgg19", "squeezenet"):
            yield Check("networks", f"{losses}, float32", lambda a=(network, few): single_error(*a))
            yield Check("networks", f"{losses}, TF32", lambda a=(network, few): tf32_error(*a))
    for optimizer in ("lbfgs", "adam"):
        yield Check("networks", f"a run of {optimizer}", lambda o=optimizer: run_error(o))


def pictures(network: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a photograph and a painting (H, W, 3), of smooth noise."""
    rng, size = generator(network), SIZES[network]
    return tuple(
        np.kron(rng.integers(0, 256, (-(-size[0] // 4), -(-size[1] // 4), 3)), np.ones((4, 4, 1)))[
            : size[0], : size[1]
        ].astype(np.uint8)
        for _ in range(2)
    )


def objective(network: str, device: str, few: bool = False, **options: Any) -> Any:
    """Return the objective of a network with random weights and the default losses, or few."""
    from nst_manual.objective import Objective

    content, style = pictures(network)
    options |= FEW_LAYERS if few else {}
    options = {"network": network, "weights": "random", "size": max(SIZES[network])} | options
    return Objective(content, [style], device=device, **options)


def image(network: str, number: int = 0) -> np.ndarray:
    """Return an image (1, H, W, 3) near the photograph, float64."""
    content = pictures(network)[0][None]
    return content + generator(network, number).normal(0, 20, content.shape)


@functools.lru_cache(4)
def reference(network: str, few: bool = False, number: int = 0) -> tuple[float, np.ndarray]:
    """Return loss and gradient in float64 by NumPy, of the plain network."""
    return objective(network, "cpu", few, dtype="float64", plain=True)(image(network, number))


def exact_error(network: str, few: bool, plain: bool) -> tuple[float, float]:
    """Return error and bound of loss and gradient in float64, also of a second evaluation."""
    found = objective(network, "cuda", few, dtype="float64", plain=plain)
    x = found.place(image(network))
    errors = [_errors(found(x), reference(network, few)) for _ in range(2)]
    return _largest([error for pair in errors for error in pair]), EXACT


def single_error(network: str, few: bool) -> tuple[float, float]:
    """Return error and bound in float32: of the gradient, over several images, and of the loss.

    A value beside zero that a ReLU takes for positive in one precision and not in the other carries its share
    of the gradient, one of as many as the smallest layer has values. Whether there is one is a matter of
    luck, on either side.
    """
    squares = {"cpu": 0.0, "cuda": 0.0}
    loss = 0.0
    exact = [reference(network, few, number) for number in range(IMAGES)]
    for device in squares:
        found = objective(network, device, few)
        for number, expected in enumerate(exact):
            x = found.place(image(network, number).astype(np.float32))
            of_loss, of_gradient = _errors(found(x), expected)
            squares[device] += of_gradient**2 / IMAGES
            loss = max(loss, of_loss)
    values = smallest_layer(found)
    bound = FACTOR * math.sqrt(squares["cpu"]) + 1 / math.sqrt(values)
    return worst(
        [(math.sqrt(squares["cuda"]), bound), (loss, DEPTH * rounding.winograd(TERMS // 9, "float32"))]
    )


def tf32_error(network: str, few: bool) -> tuple[float, float]:
    """Return error and bound of loss and gradient with TF32.

    Each of L layers adds an error e of its values, relative to their spread. So many values come to the other
    side of zero: a share of e sqrt(2 / pi) of each layer's, and with them as large a share of the gradient's
    squares.
    """
    found = objective(network, "cuda", few, tf32=True)
    x = found.place(image(network).astype(np.float32))
    of_loss, of_gradient = _errors(found(x), reference(network, few))
    error = rounding.direct(TERMS, "float32", tf32=True) * math.sqrt(DEPTH)
    flips = math.sqrt(DEPTH * error * math.sqrt(2 / math.pi))
    return worst([(of_gradient, flips), (of_loss, DEPTH * error)])


def smallest_layer(found: Any) -> int:
    """Return the values of the smallest layer of an objective whose network has just run."""
    from nst_manual.nets import get_network
    from nst_manual.nets.geometry import layers

    config = found.config
    wanted = [*config.weighted_layers("content"), *config.weighted_layers("style")]
    table = layers(get_network(config.network).covering(wanted), found.shape[1:3])
    return min(math.prod(layer.output_shape) for layer in table)


def run_error(optimizer: str) -> tuple[float, float]:
    """Return error and bound of the picture after a few iterations in float64.

    Each iteration may enlarge what rounding has left by a small factor: a line search adds a digit at worst.
    """
    from nst_manual.config import run_config
    from nst_manual.run.job import prepare, run_job

    iterations, found = 3, []
    content, style = pictures("squeezenet")
    for device in ("cpu", "cuda"):
        options = {"network": "squeezenet", "weights": "random", "dtype": "float64", "scales": 1}
        options |= {"size": max(content.shape), "optimizer": optimizer, "iterations": iterations}
        config = run_config(options | {"device": device})
        outcome = run_job(*prepare(content, [style], config), config)
        if outcome.stopped is not None:
            raise outcome.stopped
        found.append(outcome.pixels)
    return difference(found[1], found[0]), EXACT * 10**iterations


def _errors(found: tuple[Any, Any], expected: tuple[Any, Any]) -> tuple[float, float]:
    """Return the errors of loss and gradient."""
    loss, gradient = found
    return abs(float(loss) - expected[0]) / abs(expected[0]), difference(to_host(gradient), expected[1])


def _largest(errors: list[float]) -> float:
    return max(errors, key=lambda error: (error != error, error))
