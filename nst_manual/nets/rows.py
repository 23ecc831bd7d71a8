"""The rows of which a network's table is made: names and geometry, no arrays.

A table is a tuple of rows in the order in which an image passes them. `nst_manual.nn.build` makes modules of
it, `nst_manual.nets.geometry` computes shapes and costs from it, and so can anyone else who wants the same
network in another framework.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A layer; its `name` is what losses, weight files and messages call it."""

    name: str


@dataclass(frozen=True)
class Conv(Row):
    """Convolution to `out_channels` channels, with bias."""

    out_channels: int
    kernel_size: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1
    groups: int = 1


@dataclass(frozen=True)
class ReLU(Row):
    """max(0, x)."""


@dataclass(frozen=True)
class LRN(Row):
    """Local response normalisation across `size` channels; alpha is divided by size."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True)
class MaxPool(Row):
    """Maximum over windows: the network's own pooling, which `--pooling` may replace."""

    kernel_size: int = 2
    stride: int = 2
    padding: int = 0
    ceil_mode: bool = False


@dataclass(frozen=True)
class Flatten(Row):
    """(N, H, W, C) to (N, H W C)."""


@dataclass(frozen=True)
class Linear(Row):
    """Fully connected layer to `out_features` features, with bias."""

    out_features: int


@dataclass(frozen=True)
class Dropout(Row):
    """Zeroes a share `p` in training; identity otherwise."""

    p: float = 0.5


@dataclass(frozen=True)
class Softmax(Row):
    """Probabilities over channels."""
