"""What follows from a network's table before any array exists: shapes, costs, receptive fields."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from nst_manual.errors import UsageError
from nst_manual.nets import Network
from nst_manual.nets.rows import Concat, Conv, Flatten, GlobalAvgPool, Linear, MaxPool, Row, follow
from nst_manual.nets.sizes import output_size

FLOAT_BYTES = 4  # float32
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A row of a network at a given image size.

    Attributes
    ----------
    row : Row
    input_shape, output_shape : tuple of int
        (H, W, C), or (C,) behind `flatten`.
    weight_shape : tuple of int or None
        (kh, kw, in / groups, out) or (in, out).
    parameters : int
        Weights and biases.
    multiply_adds : int
        Multiplications with a weight, for one image, one way; half the floating-point operations.
    bytes : int
        Of the output in float32.
    receptive_field : int or None
        Pixels of the image (side of a square) that one output value sees, of branches the largest; None where
        it sees all.
    step : int or None
        Pixels between neighbouring outputs (the product of the strides).
    """

    row: Row
    input_shape: Shape
    output_shape: Shape
    weight_shape: Shape | None
    parameters: int
    multiply_adds: int
    receptive_field: int | None
    step: int | None

    @property
    def name(self) -> str:
        """The row's name."""
        return self.row.name

    @property
    def bytes(self) -> int:
        """Of the output in float32."""
        return FLOAT_BYTES * math.prod(self.output_shape)


def layers(network: Network, size: tuple[int, int] | None = None) -> list[Layer]:
    """Return the layers of a network for an image of `size`, those in branches before their join.

    Parameters
    ----------
    network : Network
    size : (int, int), optional
        Height and width in pixels; without, the size that the network was made for.

    Raises
    ------
    UsageError
        The image is too small for a layer, or not of the size that a fully connected layer was made for.
    """
    size = size or (network.input_size, network.input_size)
    made_for = (network.input_size, network.input_size)
    if network.fixed_size and size != made_for:
        raise UsageError(
            "size",
            f"the fully connected layers of {network.name} fit {_by(made_for)} pixels only, got {_by(size)}",
        )
    found = _layers(network, size)
    for layer in found:
        if min(layer.output_shape) < 1:
            least = smallest_size(network)
            raise UsageError(
                "size",
                f"{_by(size)} pixels are too few for {layer.name} of {network.name}",
                f"the smallest is {least} x {least}",
            )
    return found


def _layers(network: Network, size: tuple[int, int]) -> list[Layer]:
    """Return the layers without any check: sizes may fall to zero and below."""

    def apply(row: Row, before: Layer | None) -> Layer:
        shape = before.output_shape if before else (*size, 3)
        field, step = (before.receptive_field, before.step) if before else (1, 1)
        output, weight = SHAPES.get(type(row), _same)(row, shape)
        if isinstance(row, (Flatten, GlobalAvgPool)):
            field = step = None
        elif isinstance(row, (Conv, MaxPool)) and field is not None:
            field += (row.kernel_size - 1) * getattr(row, "dilation", 1) * step
            step *= row.stride
        parameters = math.prod(weight) + weight[-1] if weight else 0
        products = math.prod(output[:-1]) * math.prod(weight) if weight else 0
        return Layer(row, shape, output, weight, parameters, products, field, step)

    def join(row: Concat, ends: list[Layer]) -> Layer:
        output = (*ends[0].output_shape[:-1], sum(end.output_shape[-1] for end in ends))
        field = max(end.receptive_field for end in ends)
        return Layer(row, output, output, None, 0, 0, field, ends[0].step)

    return [layer for _, layer in follow(network.all_rows, None, apply, join)]


@functools.lru_cache(maxsize=64)
def _parameter_shapes(network: Network) -> tuple[tuple[str, tuple[Shape, Shape]], ...]:
    found = (layer for layer in layers(network) if layer.weight_shape is not None)
    return tuple((layer.name, (layer.weight_shape, layer.weight_shape[-1:])) for layer in found)


def parameter_shapes(network: Network) -> dict[str, tuple[Shape, Shape]]:
    """Return layer name -> (weight shape, bias shape) of the layers that have parameters."""
    return dict(_parameter_shapes(network))


def smallest_size(network: Network) -> int:
    """Return the side of the smallest square image that passes through the network, in pixels."""
    if network.fixed_size:
        return network.input_size
    fits = (
        min(min(layer.output_shape) for layer in _layers(network, (side, side)))
        for side in itertools.count(1)
    )
    return 1 + next(index for index, least in enumerate(fits) if least >= 1)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _conv(row: Conv, shape: Shape) -> tuple[Shape, Shape]:
    size = (output_size(side, row.kernel_size, row.stride, row.padding, row.dilation) for side in shape[:2])
    weight = (row.kernel_size, row.kernel_size, shape[2] // row.groups, row.out_channels)
    return (*size, row.out_channels), weight


def _pool(row: MaxPool, shape: Shape) -> tuple[Shape, None]:
    sizes = (
        output_size(side, row.kernel_size, row.stride, row.padding, 1, row.ceil_mode) for side in shape[:2]
    )
    return (*sizes, shape[2]), None


def _global_pool(row: GlobalAvgPool, shape: Shape) -> tuple[Shape, None]:
    # what is not there has no average: sizes of zero and below stay what they are
    return (*(min(side, 1) for side in shape[:2]), shape[2]), None


def _flatten(row: Flatten, shape: Shape) -> tuple[Shape, None]:
    return (math.prod(shape),), None


def _linear(row: Linear, shape: Shape) -> tuple[Shape, Shape]:
    return (row.out_features,), (shape[0], row.out_features)


def _same(row: Row, shape: Shape) -> tuple[Shape, None]:
    return shape, None


SHAPES: dict[type[Row], Callable[..., tuple[Shape, Shape | None]]] = {
    Conv: _conv,
    MaxPool: _pool,
    GlobalAvgPool: _global_pool,
    Flatten: _flatten,
    Linear: _linear,
}
