"""One preset in terms of another: the options that make the second minimise the function of the first.

Presets divide their sums differently. Of features (M, C) at a layer, with S their Gram matrix:

    content   "sum"    w / 2 sum (F - P)^2                 "mean"   w / (M C) sum (F - P)^2
    style     "paper"  w / (4 C^2) sum (S / M - A)^2       "mean"   w / C^2 sum (S / (M C) - A)^2

So the same function needs other weights: of content, w_mean = w_sum M C / 2, which depends on the size of the
picture; of style, w_mean = w_paper C^2 / 4, which depends on the layer's channels.
"""

from __future__ import annotations

import math
from typing import Any

from nst_manual.config import objective_config
from nst_manual.errors import UsageError
from nst_manual.nets import get_network
from nst_manual.nets.geometry import layers as geometry
from nst_manual.options import flag
from nst_manual.presets import get_preset

# Fields of a preset that no option replaces, in words.
_WITHOUT_OPTION = {
    "pixel_scale": "pixels are multiplied by",
    "padding": "the first convolution is padded with",
    "input_unit": "losses are in units of the input of",
    "epsilon": "what is added to variances is",
}


def equivalent(
    preset: str, other: str, size: tuple[int, int], network: str | None = None, **options: Any
) -> dict[str, Any]:
    """Return the options with which `other` is the function of `preset`.

    Parameters
    ----------
    preset, other : str
        Names of presets.
    size : (int, int)
        Height and width of the picture in pixels; the content's weight depends on it.
    network : str, optional
        VGG-19 without.
    **options
        Of `nst_manual.config.ObjectiveConfig`, which replace settings of `preset`: its weights and layers.

    Returns
    -------
    dict
        Options of `ObjectiveConfig`: content_layers and style_layers with all weights in them, content_weight
        and style_weight 1, tv_weight, tv_form, style_representation, pooling.

    Raises
    ------
    UsageError
        An unknown name; the two differ in what no option changes.
    """
    table = get_network(network or "vgg19")
    config = objective_config({"network": table.name, "preset": preset} | options)
    source, target = get_preset(preset), get_preset(other)
    for field, words in _WITHOUT_OPTION.items():
        one, another = getattr(source, field), getattr(target, field)
        if one != another:
            cause = f"{words} {_word(one)} in {preset}, {_word(another)} in {other}"
            raise UsageError("--as", cause, "no option changes that")
    shapes = {layer.name: layer.output_shape for layer in geometry(table.without_top(), size)}
    content = {
        layer: weight * _content_factor(source.content_form, target.content_form, shapes[layer])
        for layer, weight in config.weighted_layers("content").items()
    }
    style = {
        layer: weight * _style_factor(source.style_form, target.style_form, shapes[layer][2])
        for layer, weight in config.weighted_layers("style").items()
    }
    found: dict[str, Any] = {"network": table.name, "preset": other}
    for kind, weights in (("content", content), ("style", style)):
        found[f"{kind}_weight"] = 1.0 if weights else 0.0
        if weights:
            found[f"{kind}_layers"] = tuple(weights.items())
    names = ("tv_weight", "tv_form", "style_representation", "pooling")
    return found | {name: config.chosen(name) for name in names}


def _word(value: Any) -> str:
    """Return a setting for a message."""
    return value if isinstance(value, str) else f"{value:.6g}"


def _content_factor(source: str, target: str, shape: tuple[int, ...]) -> float:
    """Return what the weight is multiplied by; "sum" is the mean times M C / 2."""
    half = math.prod(shape) / 2
    return 1.0 if source == target else half if source == "sum" else 1 / half


def _style_factor(source: str, target: str, channels: int) -> float:
    """Return what the weight is multiplied by; "paper" is "mean" times C^2 / 4."""
    quarter = channels**2 / 4
    return 1.0 if source == target else quarter if source == "paper" else 1 / quarter


def as_arguments(options: dict[str, Any]) -> str:
    """Return options as the command line takes them."""
    words = []
    for name, value in options.items():
        if name.endswith("_layers"):
            value = ",".join(f"{layer}:{weight:.9g}" for layer, weight in value)
        elif isinstance(value, float):
            value = f"{value:.9g}"
        words.append(f"{flag(name)} {value}")
    return " ".join(words)
