"""What a layer holds: an image from its content, and one from the style of the layers up to it.

After the first figure of L. Gatys, A. Ecker, M. Bethge, "Image style transfer using convolutional neural
networks" (CVPR 2016), with a row for each layer:

    content    the image, from noise, that has the photograph's features at this layer alone
    style      the image, from noise, that has the painting's style at all layers up to this one

Differs from the paper in the layers, whose content is that of the second convolution of each block there and
of the first here, the same as for style; and in that both images have the photograph's shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nst_manual.config import RunConfig, run_config
from nst_manual.errors import UsageError
from nst_manual.figures.defaults import LAYERS
from nst_manual.figures.paint import Figure, OnPicture, paint_plan
from nst_manual.figures.plan import (
    Job,
    Plan,
    as_list,
    at_size,
    network_name,
    options_of,
    read_images,
    title_of,
)
from nst_manual.figures.psnr import psnr
from nst_manual.images import resize, to_uint8
from nst_manual.nets import get_network
from nst_manual.options import layers as parse_layers
from nst_manual.presets import RELU_LAYERS
from nst_manual.run.job import Outcome

DECIDED = ("content_layers", "content_weight", "style_layers")


def layers_figure(
    content: Any,
    style: Any,
    layers: str | Sequence[str] | None = None,
    on_picture: OnPicture | None = None,
    **options: Any,
) -> Figure:
    """Paint the reconstructions of content and of style, layer by layer.

    Parameters
    ----------
    content, style : path, PIL image or array (H, W, 3) of uint8
    layers : str or sequence of str, optional
        From low to high, "relu1_1,relu2_1" or names; without, relu1_1 .. relu5_1 or what the network has in
        their place.
    on_picture : callable, optional
        See `nst_manual.figures.paint.paint_plan`.
    **options
        Fields of `nst_manual.config.RunConfig`, but for layers and weight of the content, and layers of the
        style; their defaults are `nst_manual.figures.defaults.LAYERS`.

    Returns
    -------
    Figure
        Photograph and painting, and below them a row a layer. Captions of reconstructed content end with the
        peak signal-to-noise ratio to the photograph, in dB: the lower the layer, the more of it is left.

    Raises
    ------
    NstError
        A wrong option, a picture that cannot be read, a run that cannot begin.
    """
    return paint_plan(plan_layers(content, style, layers, **options), on_picture)


def plan_layers(content: Any, style: Any, layers: str | Sequence[str] | None = None, **options: Any) -> Plan:
    """Return the plan of `layers_figure`."""
    styles = as_list(style)
    if len(styles) > 1:
        raise UsageError("styles", f"expected one painting, got {len(styles)}")
    given = options_of(LAYERS, options, DECIDED)
    config = run_config(given)
    rows = layer_rows(layers, config, RELU_LAYERS)
    for name, weight in rows:
        if weight is not None:
            raise UsageError("--layers", f"expected layer names alone, got a weight for {name}")
    names = [name for name, _ in rows]
    pictures = read_images(content, styles)
    photograph = pictures[0][1]

    def ratio(outcome: Outcome) -> str:
        pixels = to_uint8(outcome.pixels)
        return f"{psnr(pixels, resize(photograph, pixels.shape[:2])):.1f} dB"

    jobs = []
    for number, name in enumerate(names, start=1):
        alone = {"content_layers": [name], "content_weight": 1.0, "style_weight": 0.0}
        jobs.append(Job(f"{name}, content", run_config(given | alone), ratio))
        upto = {"content_weight": 0.0, "style_layers": names[:number]}
        jobs.append(Job(f"{upto_words(names[:number])}, style", run_config(given | upto)))
    return Plan(content, styles, jobs, 2, title_of(config), at_size(pictures, config.size))


def layer_rows(
    layers: str | Sequence[Any] | None, config: RunConfig, usual: Sequence[Any]
) -> list[tuple[str, float | None]]:
    """Return the layers of a figure's rows, each with its weight or None.

    They are those given, or the counterparts of `usual` in the network; raises `UsageError` where they are
    none or one comes twice.
    """
    rows = parse_layers("--layers", usual if layers is None else layers)
    counterparts = get_network(network_name(config)).counterparts if layers is None else {}
    return [(counterparts.get(name, name), weight) for name, weight in rows]


def upto_words(names: Sequence[str]) -> str:
    """Return "relu1_1", or "up to relu3_1" for several."""
    return names[0] if len(names) == 1 else f"up to {names[-1]}"
