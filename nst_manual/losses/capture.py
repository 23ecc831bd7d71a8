"""Targets: what the content photograph and the paintings leave at the layers of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nst_manual.losses.base import LossModule
from nst_manual.nn.fuse import fuse
from nst_manual.nn.sequential import Sequential


class Capture(LossModule):
    """Keeps a statistic of what passes; its loss is 0."""

    needs_input = False
    captured: Any = None

    def __init__(self, statistic: Callable[[Any], Any]) -> None:
        super().__init__(0.0)
        self.statistic = statistic

    def measure(self, x: Any) -> float:
        """Compute the statistic; return 0."""
        self.captured = self.statistic(x)
        return 0.0

    def add_gradient(self, x: Any, dx: Any) -> None:
        """Add nothing."""


def capture(
    network: Sequential, image: Any, statistics: Mapping[str, Callable[[Any], Any]], fused: bool = False
) -> dict[str, Any]:
    """Return layer name -> statistic of the features that the image has there, from one forward pass.

    Parameters
    ----------
    network : Sequential
        Runs up to the last of the layers, and is left as it was.
    image : array (1, H, W, 3)
        RGB, 0..255.
    statistics : mapping of str to callable
        What to compute of the features (1, H, W, C) of each layer: `gram`, or a copy. The features themselves
        are buffers of the network and do not outlive the next pass.
    fused : bool
        Fuse neighbours for the pass.
    """
    if not statistics:
        return {}
    watched = network.upto(max(statistics, key=network.index))
    for name, statistic in statistics.items():
        module = Capture(statistic)
        module.name = f"capture/{name}"
        watched.insert_after(name, module)
    watched = fuse(watched) if fused else watched
    watched.update_output(image)
    captured = {m.name.removeprefix("capture/"): m.captured for m in watched.walk() if isinstance(m, Capture)}
    watched.clear_state()  # the painting's size is seldom the photograph's
    return captured
