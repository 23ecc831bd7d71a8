"""Options of the function that is minimised: pictures, network, losses, control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nst_manual.nets import NETWORKS
from nst_manual.nets.preprocessing import PREPROCESSINGS
from nst_manual.options import (
    choice,
    factors,
    layers,
    numbers,
    option,
    paths,
    picture,
    real,
    switch,
    text,
    whole,
)
from nst_manual.presets import PRESETS, STYLE_LAYERS, STYLE_REPRESENTATIONS, STYLE_UNITS, Preset, get_preset

LARGEST_SIZE = 65536
DEFAULT_PRESET = "gatys"

# What `nst_manual.images` has: ways of matching colours, spaces with a luminance, rules for masks.
COLOUR_METHODS = ("cholesky", "symmetric", "mean-std", "histogram", "luminance")
MASK_RULES = ("average", "grown", "inside")
SIZE_RULES = ("longer", "shorter", "area", "original")
POOLINGS = ("max", "max-ceil", "average", "scaled-average", "scaled-l2")
# The names of `nst_manual.kernels.conv.ALGORITHMS`.
ALGORITHMS = (
    "winograd",
    "winograd6",
    "planes",
    "matmul",
    "direct",
    "cuda-winograd",
    "cuda-shifted",
    "cuda-shifted-tf32",
    "cuda-columns",
    "cuda-columns-tf32",
)
DEVICES = ("cpu", "cuda", "auto")
TV_FORMS = ("absolute", "squared", "isotropic", "nine-point")

IMAGE, NETWORK, LOSS, CONTROL = "Images", "Network", "Losses", "Control"
OPTIMISER, OUTPUT = "Optimisation", "Output"


@dataclass(frozen=True)
class ObjectiveConfig:
    """Options of the function that is minimised; attributes are described by their `help`."""

    size: int = option(
        256,
        whole(8, LARGEST_SIZE),
        "Longer side of the picture; the photograph is scaled to it.",
        IMAGE,
        "PIXELS",
    )
    size_rule: str = option(
        "longer",
        choice(*SIZE_RULES),
        "What --size and --style-size are: the longer or shorter side, N for the area of N x N (area). "
        "Or the picture keeps the photograph's own size (original).",
        IMAGE,
        "RULE",
    )
    style_size: int | None = option(
        None,
        whole(8, LARGEST_SIZE),
        "Size to which paintings are scaled.",
        IMAGE,
        "PIXELS",
        "as --size",
    )
    style_blend: tuple[float, ...] | None = option(
        None,
        numbers,
        "Shares of several paintings, such as 2,1: their Gram matrices are averaged with these weights.",
        IMAGE,
        "NUMBERS",
        "equal shares",
    )
    style_scales: tuple[float, ...] = option(
        (1.0,),
        factors,
        "Scales of each painting at which its statistics are gathered and averaged, such as 1,0.5.",
        IMAGE,
        "NUMBERS",
        "1",
    )
    style_combine: str = option(
        "average",
        choice("average", "sum"),
        "Several paintings: average of their statistics (average), or sum of their losses (sum).",
        IMAGE,
        "HOW",
    )
    match_colours: str | None = option(
        None,
        choice(*COLOUR_METHODS),
        f"Give the paintings the photograph's colours first: {', '.join(COLOUR_METHODS)}; the last gives "
        "them its light and shade alone.",
        CONTROL,
        "METHOD",
        "their own",
    )
    colours_of: Any = option(
        None,
        picture,
        "An image whose colours --match-colours takes in place of the photograph's.",
        CONTROL,
        "IMAGE",
        "the photograph",
    )
    style_masks: tuple[str, ...] | None = option(
        None,
        paths,
        "A mask for each painting, with commas: grey pictures, white where its style goes; or one picture of "
        "flat colours, from dark to light a region for each painting.",
        CONTROL,
        "IMAGES",
        "everywhere",
    )
    painting_masks: tuple[str, ...] | None = option(
        None,
        paths,
        "A mask for each painting, with commas: white where its style is taken from.",
        CONTROL,
        "IMAGES",
        "everywhere",
    )
    content_mask: Any = option(
        None,
        picture,
        "A grey picture, white where the content loss holds, black where it does not.",
        CONTROL,
        "IMAGE",
        "everywhere",
    )
    untouched: Any = option(
        None,
        picture,
        "A grey picture, white where the photograph stays as it is.",
        CONTROL,
        "IMAGE",
        "nowhere",
    )
    sketch: bool = option(
        False,
        switch,
        "CONTENT is a drawing: its lines and its luminance stay, colours and shading are painted over it as "
        "with a glaze.",
        CONTROL,
        "",
    )
    mask_rule: str = option(
        "average",
        choice(*MASK_RULES),
        "A position of a layer sees several pixels: average of their mask, grown (any), or inside (all).",
        CONTROL,
        "RULE",
    )
    network: str | None = option(
        None,
        choice(*NETWORKS),
        f"One of {', '.join(NETWORKS)}.",
        NETWORK,
        "NAME",
        "vgg19 where its weights are installed, else vgg16",
    )
    weights: str | None = option(
        None, text, 'A weight file, or "random".', NETWORK, "PATH", "the network's installed or bundled file"
    )
    preprocessing: str | None = option(
        None,
        choice(*PREPROCESSINGS),
        "What the weights expect of their input, where the file does not say it: "
        f"{', '.join(PREPROCESSINGS)}.",
        NETWORK,
        "NAME",
        "what is known of the file",
    )
    pooling: str | None = option(
        None,
        choice(*POOLINGS),
        "Pooling layers: max, max-ceil (in ceil mode), average, scaled-average (times 2) or scaled-l2 (root "
        "of the sum of squares, times 0.78).",
        NETWORK,
        "KIND",
        "the preset's",
    )
    dtype: str = option(
        "float32",
        choice("float32", "float64"),
        "Precision of the network: float32 or float64.",
        NETWORK,
        "TYPE",
    )
    algorithm: str = option(
        "auto",
        choice("auto", *ALGORITHMS),
        f"Of the convolutions that it can compute: {', '.join(ALGORITHMS)}; auto chooses for each. Those "
        "with cuda in their name run on a GPU, with tf32 as --tf32; matmul and direct anywhere; the others "
        "on the CPU.",
        NETWORK,
        "NAME",
    )
    device: str = option(
        "cpu",
        choice(*DEVICES),
        "Where to compute: cpu; cuda, an NVIDIA GPU through CuPy; auto, a GPU if one works.",
        NETWORK,
        "NAME",
    )
    tf32: bool = option(
        False,
        switch,
        "With --device cuda: round the factors of the convolutions' float32 products to TF32 (10 bits of "
        "mantissa in place of 23), for tensor cores. Gradients are less exact.",
        NETWORK,
        "",
    )
    plain: bool = option(
        False, switch, "Run the network module by module, nothing fused: slower, to compare.", NETWORK, ""
    )
    seed: int = option(0, whole(0, 2**32 - 1), "Of noise and of random weights.", OPTIMISER, "NUMBER")
    preset: str = option(
        DEFAULT_PRESET, choice(*PRESETS), f"Published settings: {', '.join(PRESETS)}.", LOSS, "NAME"
    )
    style_representation: str | None = option(
        None,
        choice(*STYLE_REPRESENTATIONS),
        f"What style is, at a layer: {', '.join(STYLE_REPRESENTATIONS)}.",
        LOSS,
        "NAME",
        "the preset's",
    )
    tv_form: str | None = option(
        None,
        choice(*TV_FORMS),
        f"Of the total variation: {', '.join(TV_FORMS)}.",
        LOSS,
        "NAME",
        "the preset's",
    )
    content_weight: float | None = option(
        None, real(0), "Factor of the content loss.", LOSS, "NUMBER", "the preset's"
    )
    style_weight: float | None = option(
        None, real(0), "Factor of the style losses.", LOSS, "NUMBER", "the preset's"
    )
    tv_weight: float | None = option(
        None, real(0), "Factor of the total variation.", LOSS, "NUMBER", "the preset's"
    )
    weighting: str = option(
        "loss",
        choice("loss", "features"),
        "What content and style weights multiply: the losses, or what is compared (features, statistics), so "
        "that they count squared.",
        LOSS,
        "WHAT",
    )
    normalize_gradients: bool = option(
        False,
        switch,
        "Divide each content and style gradient by its L1 norm, as neural-style does: then it is the "
        "gradient of no loss.",
        LOSS,
        "",
    )
    laplacian_weight: float = option(
        0.0, real(0), "Factor of the Laplacian loss, which keeps the photograph's edges.", LOSS, "NUMBER"
    )
    laplacian_pool: int = option(
        4,
        whole(1, 256),
        "Pixels, in each direction, that the Laplacian loss averages first.",
        LOSS,
        "PIXELS",
    )
    content_layers: tuple[tuple[str, float | None], ...] | None = option(
        None,
        layers,
        "Layers of the content loss: name or name:weight, with commas.",
        LOSS,
        "LAYERS",
        "the preset's",
    )
    style_layers: tuple[tuple[str, float | None], ...] | None = option(
        None,
        layers,
        "Layers of the style loss: name or name:weight, with commas.",
        LOSS,
        "LAYERS",
        "the preset's",
    )

    @property
    def settings(self) -> Preset:
        """The preset."""
        return get_preset(self.preset)

    def chosen(self, name: str) -> Any:
        """Return the option `name`, or the preset's where it was not given."""
        value = getattr(self, name, None)
        return getattr(self.settings, name) if value is None else value

    def layers_of(self, kind: str) -> list[tuple[str, float | None]]:
        """Return (layer, weight or None) of "content" or "style", as given or as the preset has them.

        A representation of style may have layers of its own (`nst_manual.presets.STYLE_LAYERS`). Presets name
        VGG's layers; of another network, its counterparts stand for them.
        """
        given = self.chosen(f"{kind}_layers")
        representation = self.chosen("style_representation")
        if kind == "style" and self.style_layers is None and representation in STYLE_LAYERS:
            given = STYLE_LAYERS[representation]
        given = [(item, None) if isinstance(item, str) else item for item in given]
        if getattr(self, f"{kind}_layers") is None and self.network:  # without, it is a VGG
            counterparts = NETWORKS[self.network].counterparts
            given = [(counterparts.get(name, name), weight) for name, weight in given]
        return given

    def weighted_layers(self, kind: str) -> dict[str, float]:
        """Return layer -> weight, times the factor of the whole, of "content" or "style"; zeros left out.

        A representation of style that the preset does not have comes with a factor of its own, unless a
        weight is given: they measure in different units.
        """
        given = self.layers_of(kind)
        default = 1 / len(given) if kind == "style" and self.settings.shared_style_weight else 1.0
        factor = self.chosen(f"{kind}_weight")
        representation = self.chosen("style_representation")
        if (
            kind == "style"
            and self.style_weight is None
            and representation != self.settings.style_representation
        ):
            factor *= STYLE_UNITS[representation] / STYLE_UNITS[self.settings.style_representation]
        found = {name: factor * (default if weight is None else weight) for name, weight in given}
        if self.weighting == "features":
            found = {name: weight**2 for name, weight in found.items()}
        return {name: weight for name, weight in found.items() if weight}
