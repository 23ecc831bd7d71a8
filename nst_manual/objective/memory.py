"""The memory of an objective, from the sizes of its pictures alone: no weights are read, no features made.

The modules are the real ones, with weights that take no memory (one number in every place), and so is the
plan of what they share (`nst_manual.nn.plan`): what the network will do otherwise, it is asked then. Stated
here is what modules and losses allocate besides while they run.

All numbers are bytes; `item` is the size of a number of the network, 4 or 8.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nst_manual.backend import open_device
from nst_manual.config import ObjectiveConfig
from nst_manual.losses.base import LossModule
from nst_manual.losses.capture import Capture
from nst_manual.losses.histogram import QUANTILES
from nst_manual.losses.patch import TILE_VALUES
from nst_manual.nets import get_network
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.nets.preprocessing import CAFFE_BGR
from nst_manual.nn import Conv2d, Overlay, Sequential, build, fuse
from nst_manual.objective.memory_modules import pages_forward, planned, scratch
from nst_manual.objective.network import check_sizes
from nst_manual.store import Weights, default_network

Size = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Statistic:
    """What a representation of style takes at a layer: so many times its C x C matrix and its M x C features.

    `target` and `kept` stay, of the painting and from a pass forward to the way back; `making` and `running`
    are the most that is needed for a moment while the target is made, and in a pass.
    """

    target: tuple[float, float] = (1, 0)
    making: tuple[float, float] = (9, 0)
    kept: tuple[float, float] = (1, 0)
    running: tuple[float, float] = (9, 0)


# Measured with one thread, of features of 64 and of 512 channels; those that sort keep `QUANTILES` positions
# of a target at most. What they have in scratch memory is counted with the threads.
STATISTICS = {
    "gram": Statistic(),
    "covariance": Statistic(),
    "shifted-gram": Statistic(),
    "mean-std": Statistic((0, 0), (0, 0.1), (0, 0), (0, 0.1)),
    "spatial-gram": Statistic((8, 0), (18, 0), (8, 0), (16, 0)),
    "cross-layer-gram": Statistic((2, 0), (9, 1), (2, 0), (18, 0)),
    "wasserstein": Statistic((6, 0), (14, 0), (4, 0), (20, 0)),
    "sliced-wasserstein": Statistic((1, 1), (4, 5), (0, 1), (2, 2)),
    "histogram": Statistic((0, 1), (0, 5), (0, 1), (0, 2)),
    "patches": Statistic((0, 1), (0, 1), (0, 0.1), (0, 1)),
}
SORTING = ("sliced-wasserstein", "histogram")
# Images of the size of the picture that total variation and the Laplacian loss make of it while they run.
VARIATION_IMAGES, LAPLACIAN_IMAGES = 6, 4


class Place(LossModule):
    """Stands where a loss will; like that of most, its way back reads what passed."""


@dataclass(frozen=True)
class ObjectiveMemory:
    """Bytes of an objective; the last two are needed one after the other.

    Attributes
    ----------
    weights, targets, pictures : int
        What is there from the beginning to the end: parameters, what losses compare with, photograph and
        masks.
    threads : int
        What kernels work in, of all threads.
    running : int
        The network's buffers and the losses' own, in evaluations.
    capturing : int
        The same in the pass that takes most, of a painting or the photograph, with which targets are made.
    """

    weights: int
    targets: int
    pictures: int
    threads: int
    running: int
    capturing: int


def objective_memory(
    config: ObjectiveConfig, content: Size, paintings: Sequence[Size], threads: int
) -> ObjectiveMemory:
    """Return the memory of an objective.

    Parameters
    ----------
    config : ObjectiveConfig
    content : (int, int)
        Height and width of the picture in pixels.
    paintings : sequence of (int, int)
        Of each painting at each of its scales, as the network will see it.
    threads : int

    Raises
    ------
    UsageError
        An unknown layer.
    ImageError
        A picture is too small for the network.
    """
    check_sizes(config, [content, *paintings])
    return _Sketch(config).memory(content, paintings, threads)


class _Sketch:
    """The network of a configuration without its weights."""

    def __init__(self, config: ObjectiveConfig) -> None:
        self.config = config
        self.item = np.dtype(config.dtype).itemsize
        self.layers = {kind: list(config.weighted_layers(kind)) for kind in ("content", "style")}
        table = get_network(config.network or default_network()[0])
        table = table.covering([*self.layers["content"], *self.layers["style"]])
        self.shapes = parameter_shapes(table)
        zero = np.zeros((), config.dtype)
        arrays = {
            name: tuple(np.broadcast_to(zero, shape) for shape in shapes)
            for name, shapes in self.shapes.items()
        }
        self.network = build(
            table,
            Weights(arrays, CAFFE_BGR, "none", None),
            config.chosen("pooling"),
            None,
            config.dtype,
            config.algorithm,
            padding=config.settings.padding,
        )
        self.device = open_device(config.device)[0]
        for module in self.network.walk():
            if isinstance(module, Conv2d):
                module.device, module.tf32 = self.device, config.tf32

    def memory(self, content: Size, paintings: Sequence[Size], threads: int) -> ObjectiveMemory:
        """Return what `objective_memory` does."""
        kind = STATISTICS[self.config.chosen("style_representation")]
        values = sum(math.prod(shape) for shapes in self.shapes.values() for shape in shapes)
        captures = [self._capture(size, "style", kind.making) for size in paintings]
        captures.append(self._capture(content, "content", (0, 1)))
        styles = [sum(self._style(size, kind.target)) for size in paintings]
        whole = self.config.style_combine == "sum" or self.config.style_masks is not None
        image = 3 * self.item * math.prod(content)
        laid = (self.config.content_mask, self.config.untouched, self.config.sketch or None)
        masks = sum(value is not None for value in laid)
        running, threaded = self._running(content, kind, image)
        return ObjectiveMemory(
            weights=values * self.item,
            # they are averaged once all are there
            targets=(sum(styles) if whole or len(styles) > 1 else max(styles, default=0))
            + sum(self._features(content, "content")),
            pictures=3 * 4 * math.prod(content) + 2 * masks * image,
            threads=threads * max(threaded, *(own for _, own in captures)),
            running=running,
            # the paintings are there, at their sizes, until all targets are
            capturing=max(most for most, _ in captures) + sum(12 * math.prod(size) for size in paintings),
        )

    def _features(self, size: Size, kind: str) -> list[int]:
        """Return the bytes of the features at each layer of that kind."""
        return [math.prod(shape) * self.item for shape in self._at(size, self.layers[kind])]

    def _style(self, size: Size, share: tuple[float, float]) -> list[int]:
        """Return, for each layer of style, so many matrices and features."""
        found = []
        representation = self.config.chosen("style_representation")
        for _, height, width, channels in self._at(size, self.layers["style"]):
            positions = height * width
            if representation in SORTING and share == STATISTICS[representation].target:
                positions = min(positions, QUANTILES)
            matrices, features = share
            own = self.item * channels * (matrices * channels + features * positions)
            found.append(int(own))
        return found

    def _at(self, size: Size, layers: Iterable[str]) -> list[Shape]:
        """Return the shape of what passes behind each of some layers."""
        shapes = dict(_shapes(self.network.modules, (1, *size, 3)))
        return [shapes[layer] for layer in layers]

    def _capture(self, size: Size, kind: str, making: tuple[float, float]) -> tuple[int, int]:
        """Return what the pass takes that makes targets, and each thread in it."""
        layers = self.layers[kind]
        if not layers:
            return 0, 0
        watched = self.network.upto(max(layers, key=self.network.index))
        for layer in layers:
            module = Capture(np.copy)
            module.name = f"capture/{layer}"
            watched.insert_after(layer, module)
        if not self.config.plain:
            watched = fuse(watched)
        shape = (1, *size, 3)
        # a GPU's memory is taken when it is asked for, not page by page when it is written
        taken = planned if self.device == "cuda" else pages_forward
        pages = taken(watched, shape, self.config.dtype)
        # a copy of features is counted as a target; statistics are made one after the other
        own = 0 if kind == "content" else max(self._style(size, making))
        image = math.prod(shape) * self.item
        return pages + own + image, scratch(watched, shape, self.config.dtype)

    def _running(self, size: Size, kind: Statistic, image: int) -> tuple[int, int]:
        """Return what evaluations take, and each thread in them."""
        config, network = self.config, self._copy()
        for name in ("style", "content"):
            for layer in self.layers[name]:
                self._insert(network, layer, f"{name}/{layer}")
        own = sum(self._style(size, kind.kept)) + max(self._style(size, kind.running), default=0)
        if config.normalize_gradients:
            features = [*self._features(size, "style"), *self._features(size, "content")]
            own += sum(features) + max(features, default=0)
        if config.style_masks is not None:  # features under a mask
            own += max(self._features(size, "style"), default=0)
        if config.laplacian_weight:
            self._insert(network, "preprocess", "laplacian")
            own += LAPLACIAN_IMAGES * image
        if config.chosen("tv_weight"):
            self._insert(network, "preprocess", "tv")
            own += VARIATION_IMAGES * image
        if config.sketch or config.untouched is not None:
            factor = np.broadcast_to(np.zeros((), config.dtype), (*size, 3))
            overlay = Overlay(factor, factor)
            overlay.name = "overlay"
            network.insert_first(overlay)
        shape = (1, *size, 3)
        if not config.plain:
            network = fuse(network)
        top = math.prod(network.output_shape(shape)) * self.item
        threaded = scratch(network, shape, config.dtype)
        if config.chosen("style_representation") == "patches":  # the scores of a tile of patches, three times
            largest = max(math.prod(at[1:3]) for at in self._at(size, self.layers["style"]))
            threaded += 3 * self.item * min(TILE_VALUES, largest**2)
        return planned(network, shape, config.dtype) + (1 if config.plain else 2) * top + own, threaded

    def _copy(self) -> Sequential:
        """Return the network's modules in containers of their own."""
        return self.network.upto(self.network.modules[-1].name)

    @staticmethod
    def _insert(network: Sequential, layer: str, name: str) -> None:
        module = Place()
        module.name = name
        network.insert_after(layer, module)


def _shapes(modules: Iterable, shape: Shape) -> Iterator[tuple[str, Shape]]:
    """Yield (name, shape behind it) of modules, those in branches too."""
    for module in modules:
        for branch in getattr(module, "branches", ()):
            yield from _shapes(branch.modules if isinstance(branch, Sequential) else [branch], shape)
        shape = module.output_shape(shape)
        yield module.name, shape
