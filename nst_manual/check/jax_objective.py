"""The function that style transfer minimises, in JAX: compiled, and differentiated by `jax.value_and_grad`.

Made of the same table of rows, the same weights and the same options as `nst_manual.Objective`, and of
nothing else of it: a third opinion beside `nst_manual.check.torch_objective`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nst_manual.check.jax_network import JaxNetwork, Parameters, precision
from nst_manual.check.restated import expect_restated
from nst_manual.config import ObjectiveConfig, objective_config
from nst_manual.errors import ShapeError, UsageError
from nst_manual.images import read_image, scale_to


class JaxObjective:
    """Loss and gradient of an image, by JAX on the processor.

    Parameters
    ----------
    content : path, PIL image or array (H, W, 3) of uint8
    styles : list of the same
    config : ObjectiveConfig, optional
        All options; without, they are given by name:
    **options
        Any field of `nst_manual.config.ObjectiveConfig`.

    Attributes
    ----------
    losses : dict of str to float
        Of the last call, by name: "content/relu4_2", "style/relu1_1", "tv".
    content : array (H, W, 3)
        The photograph at the size of the picture, RGB, 0..255, float32.

    Raises
    ------
    UsageError
        JAX is not installed; an option is wrong.
    """

    def __init__(
        self, content: Any, styles: Iterable[Any], *, config: ObjectiveConfig | None = None, **options: Any
    ) -> None:
        self.config = config = config or objective_config(options)
        expect_restated(config)
        self.content = scale_to(read_image(content, "content"), config.size)
        paintings = [scale_to(read_image(s, "style"), config.style_size or config.size) for s in styles]
        self.content_weights = config.weighted_layers("content")
        self.style_weights = config.weighted_layers("style")
        self.tv_weight = config.chosen("tv_weight")
        self.network = JaxNetwork(config, [*self.content_weights, *self.style_weights])
        self.losses: dict[str, float] = {}
        jax = self.network.jax
        with precision(config.dtype):
            self._targets = self._capture(paintings)
        self._function = jax.jit(jax.value_and_grad(self._loss, has_aux=True))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the images that it takes: (1, H, W, 3)."""
        return (1, *self.content.shape)

    def __call__(self, image: Any) -> tuple[float, np.ndarray]:
        """Return the loss, and its gradient with respect to the pixels; see `Objective.__call__`."""
        if np.shape(image) != self.shape:
            raise ShapeError("image", f"expected shape {self.shape}, got {np.shape(image)}")
        with precision(self.config.dtype):
            x = np.asarray(image, self.config.dtype)
            (loss, terms), dx = self._function(x, self.network.parameters, self._targets)
            self.losses = {name: float(term) for name, term in terms.items()}
            return float(loss), np.array(dx)

    def _loss(
        self, x: Any, parameters: Parameters, targets: dict[str, dict[str, Any]]
    ) -> tuple[Any, dict[str, Any]]:
        """Return the sum of the losses, and the losses by name."""
        jnp, settings = self.network.jax.numpy, self.config.settings
        x = self.network.preprocess(x)
        found = self.network.features(parameters, x)
        terms = {}
        for layer, weight in self.content_weights.items():
            squares = jnp.square(found[layer] - targets["content"][layer])
            total = squares.sum() / 2 if settings.content_form == "sum" else squares.mean()
            terms[f"content/{layer}"] = weight * total
        for layer, weight in self.style_weights.items():
            squares = jnp.square(self._gram(found[layer]) - targets["style"][layer])
            # the mean over C x C entries is sum / C^2
            terms[f"style/{layer}"] = weight * squares.mean() / (4 if settings.style_form == "paper" else 1)
        if self.tv_weight:
            terms["tv"] = self.tv_weight * self._total_variation(x)
        return sum(terms.values()), terms

    def _gram(self, x: Any) -> Any:
        """Return the Gram matrix of features (1, H, W, C), divided as the preset says."""
        jax = self.network.jax
        f = x.reshape(-1, x.shape[-1])  # (M, C)
        positions, channels = f.shape
        products = jax.numpy.matmul(f.T, f, precision=jax.lax.Precision.HIGHEST)
        form = self.config.settings.style_form
        return products / (positions if form == "paper" else positions * channels)

    def _total_variation(self, x: Any) -> Any:
        jnp = self.network.jax.numpy
        down, right = jnp.diff(x, axis=1), jnp.diff(x, axis=2)
        if self.config.chosen("tv_form") == "absolute":
            return jnp.abs(down).sum() + jnp.abs(right).sum()
        # pixels that have both neighbours
        return (jnp.square(down[:, :, :-1]).sum() + jnp.square(right[:, :-1]).sum()) / 2

    def _capture(self, paintings: list[np.ndarray]) -> dict[str, dict[str, Any]]:
        """Return the targets: features of the photograph, Gram matrices of the paintings."""
        shares = np.array(self.config.style_blend or [1.0] * len(paintings), float)
        if len(shares) != len(paintings) or not len(paintings):
            raise UsageError("styles", f"{len(shares)} shares for {len(paintings)} paintings")
        shares = (shares / shares.sum()).tolist()
        found = self._features_of(self.content) if self.content_weights else {}
        targets = {"content": {layer: found[layer] for layer in self.content_weights}, "style": {}}
        if self.style_weights:
            features = [self._features_of(painting) for painting in paintings]
            for layer in self.style_weights:
                grams = (self._gram(found[layer]) for found in features)
                targets["style"][layer] = sum(s * gram for s, gram in zip(shares, grams, strict=True))
        return targets

    def _features_of(self, pixels: np.ndarray) -> dict[str, Any]:
        x = self.network.jax.numpy.asarray(pixels[None], self.network.dtype)
        return self.network.features(self.network.parameters, self.network.preprocess(x))
