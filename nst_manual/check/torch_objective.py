"""The function that style transfer minimises, once more: in PyTorch, differentiated by autograd.

Made of the same table of rows, the same weights and the same options as `nst_manual.Objective`, and of
nothing else of it, so that each can be held against the other: the numbers by tests, the speed by `bench`. It
is written for speed, as PyTorch goes: weights are frozen, so that no gradients of theirs are computed; the
gradient is asked for the image alone; Gram matrices are products of views; what does not change is prepared
once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nst_manual.check.restated import expect_restated
from nst_manual.check.torch_network import TorchNetwork, import_torch
from nst_manual.config import ObjectiveConfig, objective_config
from nst_manual.errors import ResourceError, ShapeError, UsageError, unknown_name
from nst_manual.images import read_image, scale_to

VARIANTS = {
    "nchw": "PyTorch's default layout",
    "inplace": "ReLU in place where no loss reads the value before it",
    "channels-last": "channels-last memory format",
    "compile": "torch.compile of the loss",
    "bfloat16": "convolutions in bfloat16 (autocast), losses in float32",
}


class TorchObjective:
    """Loss and gradient of an image, by PyTorch, where the option `device` says.

    Parameters
    ----------
    content : path, PIL image or array (H, W, 3) of uint8
    styles : list of the same
    variant : str
        One of `VARIANTS`.
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
        PyTorch is not installed, or finds no GPU for `device`; unknown variant; "bfloat16" with dtype
        float64.
    ResourceError
        "compile", and the compiler does not work.
    """

    def __init__(
        self,
        content: Any,
        styles: Iterable[Any],
        *,
        variant: str = "nchw",
        config: ObjectiveConfig | None = None,
        **options: Any,
    ) -> None:
        if variant not in VARIANTS:
            raise unknown_name("torch variant", variant, VARIANTS)
        self.config = config = config or objective_config(options)
        expect_restated(config)
        if variant == "bfloat16" and config.dtype != "float32":
            raise UsageError("torch variant bfloat16", f"expected dtype float32, got {config.dtype}")
        self.torch = import_torch()
        self.variant = variant
        self.content = scale_to(read_image(content, "content"), config.size)
        paintings = [scale_to(read_image(s, "style"), config.style_size or config.size) for s in styles]
        self.content_weights = config.weighted_layers("content")
        self.style_weights = config.weighted_layers("style")
        self.tv_weight = config.chosen("tv_weight")
        self.network = TorchNetwork(config, variant, [*self.content_weights, *self.style_weights])
        self._capture(paintings)
        self._names = [f"content/{layer}" for layer in self.content_weights]
        self._names += [f"style/{layer}" for layer in self.style_weights] + ["tv"] * bool(self.tv_weight)
        self._terms: Any = None
        self._function = self._compiled() if variant == "compile" else self._measure_terms

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the images that it takes: (1, H, W, 3)."""
        return (1, *self.content.shape)

    @property
    def losses(self) -> dict[str, float]:
        """The losses of the last call, by name."""
        return dict(zip(self._names, self._terms.tolist(), strict=True))

    def __call__(self, image: Any) -> tuple[float, np.ndarray]:
        """Return the loss, and its gradient with respect to the pixels; see `Objective.__call__`."""
        loss, dx = self.evaluate(self.tensor(image))
        return loss.item(), np.ascontiguousarray(dx.permute(0, 2, 3, 1).cpu().numpy())

    def tensor(self, image: Any) -> Any:
        """Return an image (1, H, W, 3) as a leaf tensor (1, 3, H, W) in the layout of the variant."""
        if np.shape(image) != self.shape:
            raise ShapeError("image", f"expected shape {self.shape}, got {np.shape(image)}")
        return self.network.tensor(np.asarray(image)).requires_grad_()

    def evaluate(self, x: Any) -> tuple[Any, Any]:
        """Return loss and gradient as tensors, for a leaf tensor (1, 3, H, W)."""
        terms = self._function(x)
        loss = terms.sum()
        (dx,) = self.torch.autograd.grad(loss, x)
        self._terms = terms.detach()
        return loss.detach(), dx

    def measure(self, x: Any) -> float:
        """Return the loss alone, for a tensor."""
        with self.torch.no_grad():
            self._terms = self._measure_terms(x)
        return self._terms.sum().item()

    def _measure_terms(self, x: Any) -> Any:
        """Return the losses as a vector, in the order of `_names`."""
        torch = self.torch
        x = self.network.preprocess(x)
        found = self.network.features(x)
        squares = torch.nn.functional.mse_loss
        terms = []
        for layer, (target, coefficient) in self._content_targets.items():
            terms.append(coefficient * squares(found[layer].to(target.dtype), target, reduction="sum"))
        for layer, (target, coefficient) in self._style_targets.items():
            terms.append(coefficient * squares(self._gram(found[layer]), target, reduction="sum"))
        if self.tv_weight:
            terms.append(self.tv_weight * self._total_variation(x))
        return torch.stack(terms)

    def _gram(self, x: Any) -> Any:
        """Return the Gram matrix of features (1, C, H, W), divided as the preset says."""
        f = self.network.matrix(x)  # (C, M)
        positions = f.shape[1]
        form = self.config.settings.style_form
        return f @ f.t() / (positions if form == "paper" else positions * f.shape[0])

    def _total_variation(self, x: Any) -> Any:
        down, right = x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]
        if self.config.chosen("tv_form") == "absolute":
            return down.abs().sum() + right.abs().sum()
        return (down[:, :, :, :-1].square().sum() + right[:, :, :-1].square().sum()) / 2

    def _capture(self, paintings: list[np.ndarray]) -> None:
        """Compute the targets, each with the factor of its sum of squares."""
        settings = self.config.settings
        shares = np.array(self.config.style_blend or [1.0] * len(paintings), float)
        if len(shares) != len(paintings) or not len(paintings):
            raise UsageError("styles", f"{len(shares)} shares for {len(paintings)} paintings")
        shares = (shares / shares.sum()).tolist()
        self._content_targets, self._style_targets = {}, {}
        with self.torch.no_grad():
            found = self._features_of(self.content)
            for layer, weight in self.content_weights.items():
                target = found[layer].to(self.network.dtype).clone()
                coefficient = weight / 2 if settings.content_form == "sum" else weight / target.numel()
                self._content_targets[layer] = target, coefficient
            if self.style_weights:
                features = [self._features_of(painting) for painting in paintings]
                for layer, weight in self.style_weights.items():
                    grams = (self._gram(found[layer]) for found in features)
                    target = sum(share * gram for share, gram in zip(shares, grams, strict=True))
                    quarter = 4 if settings.style_form == "paper" else 1
                    self._style_targets[layer] = target, weight / target.shape[0] ** 2 / quarter

    def _features_of(self, pixels: np.ndarray) -> dict[str, Any]:
        return self.network.features(self.network.preprocess(self.network.tensor(pixels[None])))

    def _compiled(self) -> Any:
        """Return the compiled function, having called it once: errors of the compiler come only then."""
        compiled = self.torch.compile(self._measure_terms, dynamic=False)
        try:
            x = self.tensor(self.content[None])
            self.torch.autograd.grad(compiled(x).sum(), x)
        except Exception as error:  # of many kinds, in modules that are not public
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            cause = lines[0] if lines else type(error).__name__
            raise ResourceError(
                "torch.compile", f"does not work here, {cause}", "it needs a C++ compiler"
            ) from error
        return compiled
