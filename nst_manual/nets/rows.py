"""The rows of which a network's table is made: names and geometry, no arrays.

A table is a tuple of rows in the order in which an image passes them; a row of branches holds tables of its
own. `nst_manual.nn.build` makes modules of it, `nst_manual.nets.geometry` computes shapes and costs from it,
and so can anyone else who wants the same network in another framework: `follow` is the way through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


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
class GlobalAvgPool(Row):
    """Average over all positions of a channel: (N, H, W, C) to (N, 1, 1, C)."""


@dataclass(frozen=True)
class Concat(Row):
    """Branches side by side; their outputs are joined along the channels, in this order."""

    branches: tuple[tuple[Row, ...], ...]


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


def follow(
    table: tuple[Row, ...],
    x: Any,
    apply: Callable[[Row, Any], Any],
    join: Callable[[Concat, list[Any]], Any],
) -> Iterator[tuple[Row, Any]]:
    """Pass x through a table; yield each row and what comes out of it, a row of branches behind its branches.

    Parameters
    ----------
    table : tuple of Row
    x : anything
        An image, its shape, its number: whatever `apply` takes and returns.
    apply : callable
        (row, x) -> y, for rows that are no branches.
    join : callable
        (row, outputs of the branches) -> y.
    """
    for row in table:
        if isinstance(row, Concat):
            ends = []
            for branch in row.branches:
                y = x
                for inner, y in follow(branch, x, apply, join):
                    yield inner, y
                ends.append(y)
            x = join(row, ends)
        else:
            x = apply(row, x)
        yield row, x


@dataclass(frozen=True)
class Step:
    """A row, and where it reads: value 0 is the image, value i + 1 what step i makes."""

    row: Row
    inputs: tuple[int, ...]


def steps(table: tuple[Row, ...]) -> list[Step]:
    """Return the rows of a table, branches included, in an order in which they can be run one by one."""
    found: list[Step] = []

    def add(row: Row, inputs: tuple[int, ...]) -> int:
        found.append(Step(row, inputs))
        return len(found)

    for _ in follow(table, 0, lambda row, x: add(row, (x,)), lambda row, ends: add(row, tuple(ends))):
        pass
    return found


def upto(table: tuple[Row, ...], name: str) -> tuple[Row, ...] | None:
    """Return the rows that lead to the one called `name`, it included; None where there is none.

    Of a row of branches in which it stands, only its own branch is left, as rows in line.
    """
    for index, row in enumerate(table):
        before = table[:index]
        if row.name == name:
            return (*before, row)
        for branch in row.branches if isinstance(row, Concat) else ():
            if (inner := upto(branch, name)) is not None:
                return (*before, *inner)
    return None


def covering(table: tuple[Row, ...], names: set[str]) -> tuple[Row, ...]:
    """Return the rows up to the last that is, or has in a branch, one of those names; none without."""
    ends = (index for index, row in enumerate(table, 1) if names & {step.row.name for step in steps((row,))})
    return table[: max(ends, default=0)]
