"""The function that style transfer minimises: image -> (loss, gradient), the whole image at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nst_manual.backend import array_module, beside, numbers, on_gpu, open_device, to_device, to_host
from nst_manual.config import ObjectiveConfig, objective_config
from nst_manual.errors import ShapeError, UsageError, not_finite
from nst_manual.images import to_network
from nst_manual.images.masks import masks_at, read_mask
from nst_manual.losses import ContentLoss, LossModule, TotalVariation, capture
from nst_manual.losses.laplacian import LaplacianLoss
from nst_manual.losses.masked_content import MaskedContentLoss
from nst_manual.nets import get_network
from nst_manual.nn import fuse
from nst_manual.nn.device import move_to_gpu
from nst_manual.objective.network import check_device, loss_unit, make_network
from nst_manual.objective.pictures import (
    as_list,
    make_overlay,
    painting_masks,
    read_content,
    read_paintings,
    region_masks,
    shares_of,
)
from nst_manual.objective.style import Placed, style_losses
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
    overlay : Overlay or None
        What is laid over the image that the optimiser moves (`--sketch`, `--untouched`).
    loaded : Loaded
        Which network and weights were taken, and why.
    device : str
        Where it computes, "cpu" or "cuda"; `device_note` is a line that says which and why.

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
        self.device, self.device_note = open_device(config.device)
        check_device(config, self.device)
        styles = as_list(styles)
        shares = shares_of(config, len(styles))
        # images first: a wrong path is told at once, not after the weights have been read
        self.content = read_content(content, config)
        paintings = read_paintings(styles, self.content, config)
        self.overlay = make_overlay(self.content, config)
        self.network, self.loaded = make_network(config, [self.content, *paintings])
        self._move()  # the weights, before targets are captured with them
        self._insert_losses(paintings, shares, len(styles))
        self._move()  # masks and the like
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
        first = self.network["preprocess"]  # y = factor x - shift
        return (to_host(first.shift) / to_host(first.factor))[:: first.step]

    @property
    def note(self) -> str:
        """A line on which network and weights were taken, and why."""
        return self.loaded.note

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
        loss, dx, _ = self.measured(image)
        return loss, dx

    def measured(
        self, image: Any, measures: Callable[[Any], Sequence[Any]] = lambda dx: ()
    ) -> tuple[float, Any, list[float]]:
        """Return loss, gradient, and numbers that are made of the gradient, all in one transfer from a GPU.

        Parameters
        ----------
        image : array (1, H, W, 3)
            As for a call. The gradient lives where it does; an image that is on the GPU stays there.
        measures : callable, optional
            Gradient (1, H, W, 3) -> numbers, or arrays of one element.

        Returns
        -------
        loss : float
        dx : array (1, H, W, 3)
        values : list of float
            The measures.

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
            # losses are looked at before the way back; a GPU would have to be waited for
            y = self.network.update_output(x) if on_gpu(x) else self._forward(x)
            if self._top is None or self._top.shape != y.shape or self._top.dtype != y.dtype:
                # dy at the top: nothing but the losses pulls at the image
                self._top = array_module(y).zeros_like(y)
            dx = beside(self.network.update_grad_input(x, self._top).copy(), image)
            values = self._settle(measures(dx))
        return self.loss, dx, values

    def place(self, image: Any) -> Any:
        """Return an image where the objective computes, copied there if it is elsewhere."""
        return to_device(image) if self.device == "cuda" else image

    def first_not_finite(self, image: Any) -> str:
        """Return "at NAME" of the first module on the way back whose gradient is not finite, or "".

        For a message: it makes both passes again, and looks behind each module.
        """
        x = self._checked(image)
        seen: list[str] = []

        def watch(module: Any, dx: Any) -> None:
            if not seen and not bool(array_module(dx).isfinite(dx).all()):
                seen.append(f"at {module.name}")

        with np.errstate(over="ignore", invalid="ignore"):
            y = self._forward(x)
            dy = array_module(y).zeros_like(y)
            self.network.watch = watch
            try:
                self.network.update_grad_input(x, dy)
            finally:
                self.network.watch = None
        return "".join(seen)

    def measure(self, image: Any) -> float:
        """Return the loss alone, for half the time; raises as a call does."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._forward(self._checked(image))
        return self.loss

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        """Return the picture (H, W, 3) that is seen where the optimiser has those pixels (H, W, 3)."""
        if self.overlay is None:
            return pixels
        return to_host(self.overlay.forward(self.place(to_network(pixels, self.config.dtype)))[0])

    def measure_picture(self, picture: Any) -> float:
        """Return the loss of a finished picture (1, H, W, 3), which has nothing laid over it any more."""
        if self.overlay is None:
            return self.measure(picture)
        self.overlay.removed = True
        try:
            return self.measure(picture)
        finally:
            self.overlay.removed = False

    def _checked(self, image: Any) -> Any:
        """Return the image in the precision of the network; raise `ShapeError` if its size is wrong."""
        x = image if on_gpu(image) else np.asarray(image)
        if x.dtype.kind != "c":  # a complex image is the complex step of a gradient check
            x = x.astype(self.config.dtype, copy=False)
        if x.shape != self.shape:
            raise ShapeError("image", f"expected shape {self.shape}, got {x.shape}")
        return self.place(x)

    def _forward(self, x: Any) -> Any:
        """Pass forward; raise `DivergedError` where a loss is not finite."""
        y = self.network.update_output(x)
        self._settle()
        return y

    def _settle(self, measures: Sequence[Any] = ()) -> list[float]:
        """Return measures as floats, and let losses that a GPU has be floats too, in one transfer.

        Raises `DivergedError` where a loss is not finite.
        """
        there = [module for module in self.network.walk() if on_gpu(module.loss)]
        values = numbers([*(module.loss for module in there), *measures])
        for module, loss in zip(there, values, strict=False):
            module.loss = loss
        for name, loss in self.losses.items():
            if not math.isfinite(abs(loss)):
                raise not_finite(name, f"the loss is {loss}")
        return values[len(there) :]

    def _move(self) -> None:
        """Bring what the modules hold to the GPU, where that computes."""
        if self.device == "cuda":
            move_to_gpu(self.network.walk(), self.config.tf32)

    def _insert_losses(self, paintings: list[np.ndarray], shares: tuple[float, ...], styles: int) -> None:
        """Capture the targets, insert a module behind each named layer, and those of pixels in front."""
        config, settings = self.config, self.config.settings
        unit = loss_unit(config, self.network)
        content, style = (
            {layer: weight * unit for layer, weight in config.weighted_layers(kind).items()}
            for kind in ("content", "style")
        )
        tv_weight = config.chosen("tv_weight")
        if not (content or style or tv_weight or config.laplacian_weight):
            raise UsageError("losses", "all weights are 0, there is nothing to minimise")
        # style first: its features are gone before those of the photograph come
        placed = style_losses(
            self._capture,
            paintings,
            shares,
            dict(sorted(style.items(), key=lambda item: self.network.index(item[0]))),
            config.chosen("style_representation"),
            settings.style_form,
            config.style_combine,
            self._guides(style, styles),
            [None if m is None else self._at(m, style) for m in painting_masks(config, paintings)],
            settings.epsilon / unit,
        )
        placed += self._content_losses(content)
        for layer, name, module in reversed(placed):  # each goes directly behind its layer
            module.normalized = config.normalize_gradients
            self._insert(layer, name, module)
        if config.laplacian_weight:
            self._insert_laplacian(config.laplacian_weight, config.laplacian_pool)
        if tv_weight:
            self._insert_variation(tv_weight, config.chosen("tv_form"))
        if self.overlay is not None:
            self.network.insert_first(self.overlay)

    def _content_losses(self, weights: dict[str, float]) -> list[Placed]:
        """Return a loss of content for each layer, under the mask where there is one."""
        targets, form = (
            self._capture(self.content, dict.fromkeys(weights, lambda features: features.copy())),
            self.config.settings.content_form,
        )
        masks = {}
        if self.config.content_mask is not None:
            masks = self._at(
                read_mask(self.config.content_mask, self.content.shape[:2], "--content-mask"), weights
            )
        placed: list[Placed] = []
        for layer, weight in weights.items():
            if layer in masks:
                module: ContentLoss = MaskedContentLoss(targets[layer], masks[layer], weight, form)
            else:
                module = ContentLoss(targets[layer], weight, form)
            placed.append((layer, f"content/{layer}", module))
        return placed

    def _guides(self, layers: Iterable[str], styles: int) -> list[dict[str, np.ndarray]]:
        """Return for each painting, at each of its scales, layer -> its mask in the picture."""
        masks = region_masks(self.config, styles, self.content.shape[:2])
        return [at for mask in masks for at in [self._at(mask, layers)] * len(self.config.style_scales)]

    def _at(self, mask: np.ndarray, layers: Iterable[str]) -> dict[str, np.ndarray]:
        """Return layer -> a mask of the pixels at its positions."""
        network = get_network(self.config.network or default_network()[0])
        return masks_at(network, mask, layers, self.config.mask_rule, self.config.chosen("pooling"))

    def _insert_variation(self, weight: float, form: str) -> None:
        """Insert total variation: of what the network sees, or of pixels 0..1 for the nine-point form."""
        if form != "nine-point":
            return self._insert("preprocess", "tv", TotalVariation(weight, form))
        module = TotalVariation(weight / 255**2, form)
        module.name = "tv"
        return self.network.insert_first(module)

    def _insert_laplacian(self, weight: float, pool: int) -> None:
        """Insert the loss that keeps the photograph's edges, behind the pixels."""
        statistic = {"preprocess": lambda image: LaplacianLoss.target_of(image, pool)}
        target = self._capture(self.content, statistic)["preprocess"]
        self._insert("preprocess", "laplacian", LaplacianLoss(target, weight, pool))

    def _capture(self, pixels: np.ndarray, statistics: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
        image = self.place(to_network(pixels, self.config.dtype))
        return capture(self.network, image, statistics, fused=not self.config.plain)

    def _insert(self, layer: str, name: str, module: LossModule) -> None:
        module.name = name
        self.network.insert_after(layer, module)
