"""The network of an objective, up to the last layer that a loss needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nst_manual.config import ObjectiveConfig
from nst_manual.errors import ImageError, UsageError
from nst_manual.kernels.conv import AUTO, devices
from nst_manual.nets import Network, get_network
from nst_manual.nets.geometry import layers as geometry
from nst_manual.nn import Sequential, build, configured_weights
from nst_manual.store import default_network


@dataclass(frozen=True)
class Loaded:
    """Which network and weights were taken.

    Attributes
    ----------
    name : str
    weights : str
        The file's path, or e.g. "random (He, seed 0)".
    sha256 : str or None
        Of the file; None for random weights.
    note : str
        A line that says so, why, and what should be known of the file.
    """

    name: str
    weights: str
    sha256: str | None
    note: str


def make_network(config: ObjectiveConfig, pictures: Sequence[np.ndarray]) -> tuple[Sequential, Loaded]:
    """Return the network without losses, and which it is.

    Parameters
    ----------
    config : ObjectiveConfig
    pictures : sequence of numpy.ndarray
        (H, W, 3): the photograph, and each painting at each of `style_scales`.

    Raises
    ------
    ImageError
        One of the pictures is too small for the layers that losses need.
    WeightsError
        The weights are missing, damaged or another network's.
    """
    name, note = (config.network, "") if config.network else default_network()
    network = check_sizes(config, [picture.shape[:2] for picture in pictures])
    weights = configured_weights(config, network)
    built = build(
        network,
        weights,
        config.chosen("pooling"),
        None,
        config.dtype,
        config.algorithm,
        padding=config.settings.padding,
    )
    note = "; ".join([note or f"{network.name}, weights {weights.source}", *weights.warnings])
    return built, Loaded(name, weights.source, weights.sha256, note)


def check_sizes(config: ObjectiveConfig, sizes: Sequence[tuple[int, int]]) -> Network:
    """Return the table of the network up to the last layer that a loss needs, when all pictures reach it.

    Parameters
    ----------
    config : ObjectiveConfig
    sizes : sequence of (int, int)
        (H, W) of the photograph, and of each painting at each of `style_scales`, as the network sees them.

    Raises
    ------
    ImageError
        One of them is too small; the message has the smallest size.
    UsageError
        An unknown layer.
    """
    wanted = [*config.weighted_layers("content"), *config.weighted_layers("style")]
    network = get_network(config.network or default_network()[0]).covering(wanted)
    for what, size in zip(_names(config, len(sizes)), sizes, strict=True):
        _check_size(network, size, what)
    return network


def _names(config: ObjectiveConfig, pictures: int) -> Iterator[str]:
    """Yield what messages call each of the pictures."""
    yield "content"
    scales = len(config.style_scales)
    paintings = (pictures - 1) // scales
    for number in range(1, paintings + 1):
        yield from ["style" if paintings == 1 else f"style {number}"] * scales


def _check_size(network: Network, size: tuple[int, int], what: str) -> None:
    """Raise `ImageError` where a picture of size (H, W) does not reach the last layer."""
    try:
        geometry(network, size)
    except UsageError as error:
        hint = f"{error.hint} for these layers; a larger --size, lower layers or a less narrow picture fit"
        raise ImageError(what, error.cause, hint) from None


def check_device(config: ObjectiveConfig, device: str) -> None:
    """Raise `UsageError` for options that have no meaning on a device, "cpu" or "cuda"."""
    if config.tf32 and config.device == "cpu":
        raise UsageError("--tf32", "has a meaning only with --device cuda")
    if config.algorithm != AUTO and device not in devices(config.algorithm):
        raise UsageError(f"--algorithm {config.algorithm}", f"does not run with --device {device}")


def loss_unit(config: ObjectiveConfig, network: Sequential) -> float:
    """Return the factor that brings losses to the unit of the input that the preset's weights are meant for.

    Weights that were trained on pixels divided by their standard deviation have features about 1 / 57 as
    large as those trained on 0..255, and losses are squares of features. Only presets that name a unit ask.
    """
    if not config.settings.input_unit:
        return 1.0
    seen = network["preprocess"].settings
    unit = sum(seen.std) / 3 / seen.scale  # pixel values to one of the input
    return (unit / config.settings.input_unit) ** 2
