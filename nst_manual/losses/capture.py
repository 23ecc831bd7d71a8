"""Targets: what the content photograph and the paintings leave at the layers of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nst_manual.nn.sequential import Sequential


def capture(
    network: Sequential, image: Any, statistics: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Any]:
    """Return layer name -> statistic of the features that the image has there, from one forward pass.

    Parameters
    ----------
    network : Sequential
    image : array (1, H, W, 3)
        RGB, 0..255.
    statistics : mapping of str to callable
        What to compute of the features (1, H, W, C) of each layer: `gram`, or a copy. The features themselves
        are buffers of the network and do not outlive the next pass.
    """
    network.update_output(image)
    captured = {name: statistic(network[name].output) for name, statistic in statistics.items()}
    network.clear_state()  # the painting's size is seldom the photograph's
    return captured
