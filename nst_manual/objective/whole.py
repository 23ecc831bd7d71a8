"""The function that style transfer minimises: image -> (loss, gradient), the whole image at once."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from nst_manual.config import ObjectiveConfig, objective_config
from nst_manual.errors import ShapeError, UsageError, not_finite
from nst_manual.images import read_image, scale_to, to_network
from nst_manual.images.colour_control import match_colours
from nst_manual.images.masks import masks_at, read_mask
from nst_manual.losses import ContentLoss, LossModule, TotalVariation, capture
from nst_manual.losses.laplacian import LaplacianLoss
from nst_manual.nets import get_network
from nst_manual.nets.geometry import layers as geometry
from nst_manual.nn import Sequential, build, configured_weights, fuse
from nst_manual.objective.style import style_losses
from nst_manual.store import default_network


class Objective:
    """Loss and gradient of an image: a network with loss modules inside, cut behind the last of them.

    Parameters
    ----------
    content : path, PIL image or array (H, W, 3) of uint8
    styles : list of the same
    config : ObjectiveConfig, optional
        All options; without, they are given by name:
    **options
        Any field of `nst_manual.config.ObjectiveConfig`: network, weights, preset, size, content_weight, ...

    Attributes
    ----------
    network : Sequential
        With the loss modules in their places, neighbours fused unless the option `plain` is set; `print` it.
    loss : float
    losses : dict of str to float
        Of the last call, by name: "content/relu4_2", "style/relu1_1", "tv".
    content : array (H, W, 3)
        The photograph at the size of the picture, RGB, 0..255, float32.
    note : str
        Which network and weights were taken, and why.

    Examples
    --------
    >>> objective = Objective("photo.jpg", ["painting.jpg"], preset="paper", size=512)   # doctest: +SKIP
    >>> loss, dx = objective(image)          # image (1, H, W, 3), RGB, 0..255           # doctest: +SKIP
    """

    def __init__(
        self, content: Any, styles: Iterable[Any], *, config: ObjectiveConfig | None = None, **options: Any
    ) -> None:
        if config is not None and options:
            raise UsageError("options", f"expected config or options, got both ({', '.join(options)})")
        self.config = config = config or objective_config(options)
        styles = [styles] if _is_image(styles) else list(styles)
        blend = _blend(config.style_blend, len(styles))
        # images first: a wrong path is told at once, not after the weights have been read
        self.content = scale_to(read_image(content, "content"), config.size)
        paintings = [
            scale_to(painting, max(1, round(scale * (config.style_size or config.size))))
            for painting in self._read_styles(styles)
            for scale in config.style_scales
        ]
        scales = len(config.style_scales)
        blend = tuple(share / scales for share in blend for _ in range(scales))
        self.network, self.note = _make_network(config, [self.content, *paintings])
        content_weights, style_weights = config.weighted_layers("content"), config.weighted_layers("style")
        tv_weight = config.chosen("tv_weight")
        if not (content_weights or style_weights or tv_weight or config.laplacian_weight):
            raise UsageError("losses", "all weights are 0, there is nothing to minimise")
        guides = self._guides(len(styles), style_weights)
        self._insert_losses(content_weights, style_weights, tv_weight, paintings, blend, guides)
        self.modules: list[LossModule] = [
            m for m in self.network.walk() if isinstance(m, LossModule) and m.reported
        ]
        if not config.plain:
            self.network = fuse(self.network)
        self._top: Any = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the images that it takes: (1, H, W, 3)."""
        return (1, *self.content.shape)

    @property
    def algorithms(self) -> dict[str, str]:
        """Which algorithm each convolution runs, by name."""
        return self.network.algorithms(self.shape, self.config.dtype)

    @property
    def mean_colour(self) -> np.ndarray:
        """The colour (3,) that the preprocessing maps to zero, RGB, 0..255."""
        first = self.network["preprocess"]
        return (first.shift / first.factor)[:: first.step]

    @property
    def loss(self) -> float:
        """The loss of the last call."""
        return self.network.loss

    @property
    def losses(self) -> dict[str, float]:
        """The losses of the last call, by name; their sum is `loss`."""
        return {module.name: module.loss for module in self.modules}

    def __call__(self, image: Any) -> tuple[float, np.ndarray]:
        """Return the loss, and its gradient with respect to the pixels.

        One pass forward, in which the modules measure; one pass back from dy = 0, in which they add what they
        know.

        Parameters
        ----------
        image : array (1, H, W, 3)
            RGB, 0..255; values outside are allowed.

        Returns
        -------
        loss : float
        dx : array (1, H, W, 3)
            A unit of loss a unit of pixel value.

        Raises
        ------
        ShapeError
            The image is not of the content's size.
        DivergedError
            The loss is not finite; the message names the module.
        """
        x = self._checked(image)
        # what overflows in the losses is told by their names, and in the gradient by the caller
        with np.errstate(over="ignore", invalid="ignore"):
            y = self._forward(x)
            if self._top is None or self._top.shape != y.shape or self._top.dtype != y.dtype:
                self._top = np.zeros_like(y)  # dy at the top: nothing but the losses pulls at the image
            return self.loss, self.network.update_grad_input(x, self._top).copy()

    def measure(self, image: Any) -> float:
        """Return the loss alone, for half the time; raises as a call does."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._forward(self._checked(image))
        return self.loss

    def _checked(self, image: Any) -> np.ndarray:
        """Return the image in the precision of the network; raise `ShapeError` if its size is wrong."""
        x = np.asarray(image)
        if x.dtype.kind != "c":  # a complex image is the complex step of a gradient check
            x = x.astype(self.config.dtype, copy=False)
        if x.shape != self.shape:
            raise ShapeError("image", f"expected shape {self.shape}, got {x.shape}")
        return x

    def _forward(self, x: np.ndarray) -> Any:
        """Pass forward; raise `DivergedError` where a loss is not finite."""
        y = self.network.update_output(x)
        for name, loss in self.losses.items():
            if not math.isfinite(abs(loss)):
                raise not_finite(name, f"the loss is {loss}")
        return y

    def _read_styles(self, styles: list[Any]) -> Iterator[np.ndarray]:
        """Yield the paintings one by one, each named by its number in messages, in the colours asked for."""
        config = self.config
        reference = self.content
        if config.colours_of is not None:
            if config.match_colours is None:
                raise UsageError("--colours-of", "has no meaning without --match-colours")
            reference = read_image(config.colours_of, "--colours-of")
        for number, style in enumerate(styles, start=1):
            painting = read_image(style, "style" if len(styles) == 1 else f"style {number}")
            if config.match_colours is not None:
                painting = np.clip(match_colours(painting, reference, config.match_colours), 0, 255)
            yield painting

    def _guides(self, styles: int, layers: Iterable[str]) -> list[dict[str, np.ndarray]]:
        """Return for each painting, at each of its scales, layer -> its mask; empty without masks."""
        config = self.config
        masks = config.style_masks
        if masks is None:
            return []
        if len(masks) != styles:
            raise UsageError(
                "--style-masks", f"expected one for each of {styles} paintings, got {len(masks)}"
            )
        network = get_network(config.network or default_network()[0])
        pooling = config.chosen("pooling")
        found = []
        for number, source in enumerate(masks, start=1):
            mask = read_mask(source, self.content.shape[:2], f"--style-masks {number}")
            if not mask.any():
                raise UsageError(
                    f"--style-masks {number}", "is black everywhere", "white is where a style goes"
                )
            at = masks_at(network, mask, layers, config.mask_rule, pooling)
            found += [at] * len(config.style_scales)
        return found

    def _insert_losses(
        self,
        content_weights: dict[str, float],
        style_weights: dict[str, float],
        tv_weight: float,
        paintings: list[np.ndarray],
        blend: tuple[float, ...],
        guides: list[dict[str, np.ndarray]],
    ) -> None:
        """Capture the targets, insert a module behind each named layer, total variation behind the pixels."""
        settings = self.config.settings
        # style first: its features are gone before those of the photograph come
        styles = style_losses(
            self._capture,
            paintings,
            blend,
            dict(sorted(style_weights.items(), key=lambda item: self.network.index(item[0]))),
            self.config.chosen("style_representation"),
            settings.style_form,
            self.config.style_combine,
            guides,
        )
        targets = self._capture(self.content, dict.fromkeys(content_weights, np.copy))
        for name, weight in content_weights.items():
            self._insert(name, f"content/{name}", ContentLoss(targets[name], weight, settings.content_form))
        for layer, name, module in reversed(styles):  # each goes directly behind its layer
            self._insert(layer, name, module)
        if self.config.laplacian_weight:
            self._insert_laplacian(self.config.laplacian_weight, self.config.laplacian_pool)
        if tv_weight:
            self._insert("preprocess", "tv", TotalVariation(tv_weight, self.config.chosen("tv_form")))

    def _insert_laplacian(self, weight: float, pool: int) -> None:
        """Insert the loss that keeps the photograph's edges, behind the pixels."""
        statistic = {"preprocess": lambda image: LaplacianLoss.target_of(image, pool)}
        target = self._capture(self.content, statistic)["preprocess"]
        self._insert("preprocess", "laplacian", LaplacianLoss(target, weight, pool))

    def _capture(self, pixels: np.ndarray, statistics: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
        image = to_network(pixels, self.config.dtype)
        return capture(self.network, image, statistics, fused=not self.config.plain)

    def _insert(self, layer: str, name: str, module: LossModule) -> None:
        module.name = name
        self.network.insert_after(layer, module)


def _make_network(config: ObjectiveConfig, pictures: list[np.ndarray]) -> tuple[Sequential, str]:
    """Return the network up to the last layer that a loss needs, and a line on which it is."""
    name, note = (config.network, "") if config.network else default_network()
    wanted = [*config.weighted_layers("content"), *config.weighted_layers("style")]
    network = get_network(name).covering(wanted)
    for picture in pictures:
        geometry(network, picture.shape[:2])  # raises where the picture is too small
    weights = configured_weights(config, network)
    built = build(network, weights, config.chosen("pooling"), None, config.dtype, config.algorithm)
    return built, "; ".join([note or f"{network.name}, weights {weights.source}", *weights.warnings])


def _blend(shares: tuple[float, ...] | None, count: int) -> tuple[float, ...]:
    """Return the shares of the paintings, with sum 1."""
    if count == 0:
        raise UsageError("styles", "expected at least one painting")
    shares = shares or (1.0,) * count
    if len(shares) != count:
        raise UsageError(
            "--style-blend", f"expected one number for each of {count} paintings, got {len(shares)}"
        )
    largest = max(shares)  # so that the sum of shares near the largest float is one
    whole = sum(share / largest for share in shares)
    return tuple(share / largest / whole for share in shares)


def _is_image(styles: Any) -> bool:
    """Whether `styles` is one image where a list of them was asked for."""
    return isinstance(styles, (str, os.PathLike, np.ndarray)) or not isinstance(styles, Iterable)
