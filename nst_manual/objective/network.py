"""The network of an objective, up to the last layer that a loss needs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nst_manual.config import ObjectiveConfig
from nst_manual.nets import get_network
from nst_manual.nets.geometry import layers as geometry
from nst_manual.nn import Sequential, build, configured_weights
from nst_manual.store import default_network


def make_network(config: ObjectiveConfig, pictures: Iterable[np.ndarray]) -> tuple[Sequential, str]:
    """Return the network without losses, and a line on which it is.

    Raises
    ------
    UsageError
        One of the pictures (H, W, 3) is too small for the network.
    WeightsError
        The weights are missing, damaged or another network's.
    """
    name, note = (config.network, "") if config.network else default_network()
    wanted = [*config.weighted_layers("content"), *config.weighted_layers("style")]
    network = get_network(name).covering(wanted)
    for picture in pictures:
        geometry(network, picture.shape[:2])  # raises where the picture is too small
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
    return built, "; ".join([note or f"{network.name}, weights {weights.source}", *weights.warnings])


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
