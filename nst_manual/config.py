"""Every option of a run, once: its default, range and help text.

`ObjectiveConfig` says which function of the image is minimised, `RunConfig` how, `CommandConfig` what is
written. None means that the preset or the network decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nst_manual.nets import NETWORKS
from nst_manual.nets.preprocessing import PREPROCESSINGS
from nst_manual.options import (
    choice,
    factors,
    interval,
    layers,
    numbers,
    option,
    parse_all,
    paths,
    real,
    share,
    switch,
    text,
    whole,
)
from nst_manual.presets import PRESETS, STYLE_REPRESENTATIONS, Preset, get_preset

LARGEST_SIZE = 16384
DEFAULT_PRESET = "gatys"
OPTIMIZERS = (
    "lbfgs",
    "lbfgs-scipy",
    "adam",
    "adagrad",
    "rmsprop",
    "momentum",
    "nesterov",
    "gradient-descent",
)

# What `nst_manual.images` has: ways of matching colours, spaces with a luminance, rules for masks.
COLOUR_METHODS = ("cholesky", "symmetric", "mean-std", "histogram")
COLOUR_SPACES = ("yiq", "ycbcr", "lab", "oklab")
MASK_RULES = ("average", "grown", "inside")

_IMAGE, _NETWORK, _LOSS, _OPTIMISER, _OUTPUT = "Images", "Network", "Losses", "Optimisation", "Output"
_CONTROL = "Control"


@dataclass(frozen=True)
class ObjectiveConfig:
    """Options of the function that is minimised; attributes are described by their `help`."""

    size: int = option(
        256,
        whole(8, LARGEST_SIZE),
        "Longer side of the picture; the photograph is scaled to it.",
        _IMAGE,
        "PIXELS",
    )
    style_size: int | None = option(
        None,
        whole(8, LARGEST_SIZE),
        "Longer side to which paintings are scaled.",
        _IMAGE,
        "PIXELS",
        "as --size",
    )
    style_blend: tuple[float, ...] | None = option(
        None,
        numbers,
        "Shares of several paintings, such as 2,1: their Gram matrices are averaged with these weights.",
        _IMAGE,
        "NUMBERS",
        "equal shares",
    )
    style_scales: tuple[float, ...] = option(
        (1.0,),
        factors,
        "Scales of each painting at which its statistics are gathered and averaged, such as 1,0.5.",
        _IMAGE,
        "NUMBERS",
        "1",
    )
    style_combine: str = option(
        "average",
        choice("average", "sum"),
        "Several paintings: average of their statistics (average), or sum of their losses (sum).",
        _IMAGE,
        "HOW",
    )
    match_colours: str | None = option(
        None,
        choice(*COLOUR_METHODS),
        f"Give the paintings the photograph's colours first: {', '.join(COLOUR_METHODS)}.",
        _CONTROL,
        "METHOD",
        "their own",
    )
    colours_of: str | None = option(
        None,
        text,
        "An image whose colours --match-colours takes in place of the photograph's.",
        _CONTROL,
        "IMAGE",
        "the photograph",
    )
    style_masks: tuple[str, ...] | None = option(
        None,
        paths,
        "A mask for each painting, with commas: grey pictures, white where its style goes.",
        _CONTROL,
        "IMAGES",
        "everywhere",
    )
    mask_rule: str = option(
        "average",
        choice(*MASK_RULES),
        "A position of a layer sees several pixels: average of their mask, grown (any), or inside (all).",
        _CONTROL,
        "RULE",
    )
    network: str | None = option(
        None,
        choice(*NETWORKS),
        f"One of {', '.join(NETWORKS)}.",
        _NETWORK,
        "NAME",
        "vgg19 where its weights are installed, else vgg16",
    )
    weights: str | None = option(
        None, text, 'A weight file, or "random".', _NETWORK, "PATH", "the network's installed or bundled file"
    )
    preprocessing: str | None = option(
        None,
        choice(*PREPROCESSINGS),
        "What the weights expect of their input, where the file does not say it: "
        f"{', '.join(PREPROCESSINGS)}.",
        _NETWORK,
        "NAME",
        "what is known of the file",
    )
    pooling: str | None = option(
        None,
        choice("max", "max-ceil", "average"),
        "Pooling layers: max, max-ceil (in ceil mode) or average.",
        _NETWORK,
        "KIND",
        "the preset's",
    )
    dtype: str = option(
        "float32",
        choice("float32", "float64"),
        "Precision of the network: float32 or float64.",
        _NETWORK,
        "TYPE",
    )
    algorithm: str = option(
        "auto",
        choice("auto", "winograd", "winograd6", "planes", "matmul", "direct"),
        "Of the convolutions that it can compute: winograd, winograd6, planes, matmul, direct; "
        "auto chooses for each.",
        _NETWORK,
        "NAME",
    )
    plain: bool = option(
        False, switch, "Run the network module by module, nothing fused: slower, to compare.", _NETWORK, ""
    )
    seed: int = option(0, whole(0, 2**32 - 1), "Of noise and of random weights.", _OPTIMISER, "NUMBER")
    preset: str = option(
        DEFAULT_PRESET, choice(*PRESETS), f"Published settings: {', '.join(PRESETS)}.", _LOSS, "NAME"
    )
    style_representation: str | None = option(
        None,
        choice(*STYLE_REPRESENTATIONS),
        f"What style is, at a layer: {', '.join(STYLE_REPRESENTATIONS)}.",
        _LOSS,
        "NAME",
        "the preset's",
    )
    tv_form: str | None = option(
        None,
        choice("absolute", "squared", "isotropic"),
        "Of the total variation: absolute, squared or isotropic.",
        _LOSS,
        "NAME",
        "the preset's",
    )
    content_weight: float | None = option(
        None, real(0), "Factor of the content loss.", _LOSS, "NUMBER", "the preset's"
    )
    style_weight: float | None = option(
        None, real(0), "Factor of the style losses.", _LOSS, "NUMBER", "the preset's"
    )
    tv_weight: float | None = option(
        None, real(0), "Factor of the total variation.", _LOSS, "NUMBER", "the preset's"
    )
    laplacian_weight: float = option(
        0.0, real(0), "Factor of the Laplacian loss, which keeps the photograph's edges.", _LOSS, "NUMBER"
    )
    laplacian_pool: int = option(
        4,
        whole(1, 256),
        "Pixels, in each direction, that the Laplacian loss averages first.",
        _LOSS,
        "PIXELS",
    )
    content_layers: tuple[tuple[str, float | None], ...] | None = option(
        None,
        layers,
        "Layers of the content loss: name or name:weight, with commas.",
        _LOSS,
        "LAYERS",
        "the preset's",
    )
    style_layers: tuple[tuple[str, float | None], ...] | None = option(
        None,
        layers,
        "Layers of the style loss: name or name:weight, with commas.",
        _LOSS,
        "LAYERS",
        "the preset's",
    )

    @property
    def settings(self) -> Preset:
        """The preset."""
        return get_preset(self.preset)

    def chosen(self, name: str) -> Any:
        """Return the option `name`, or the preset's where it was not given."""
        value = getattr(self, name)
        return getattr(self.settings, name) if value is None else value

    def weighted_layers(self, kind: str) -> dict[str, float]:
        """Return layer -> weight, times the factor of the whole, of "content" or "style"; zeros left out.

        Presets name VGG's layers; of another network, its counterparts stand for them.
        """
        given = self.chosen(f"{kind}_layers")
        given = [(item, None) if isinstance(item, str) else item for item in given]
        if getattr(self, f"{kind}_layers") is None and self.network:  # without, it is a VGG
            counterparts = NETWORKS[self.network].counterparts
            given = [(counterparts.get(name, name), weight) for name, weight in given]
        default = 1 / len(given) if kind == "style" and self.settings.shared_style_weight else 1.0
        factor = self.chosen(f"{kind}_weight")
        found = {name: factor * (default if weight is None else weight) for name, weight in given}
        return {name: weight for name, weight in found.items() if weight}


@dataclass(frozen=True)
class RunConfig(ObjectiveConfig):
    """Options of a run."""

    init: str | None = option(
        None,
        text,
        "Start: content, style, noise, blend (photograph and noise), spectrum (noise of the photograph's "
        "spectrum), grey, or the path of an image.",
        _OPTIMISER,
        "START",
        "the preset's",
    )
    noise_std: float | None = option(
        None, real(0), "Of the start noise, in pixel values 0..255.", _OPTIMISER, "NUMBER", "the preset's"
    )
    keep_colours: str | None = option(
        None,
        choice(*COLOUR_SPACES),
        "Give the picture the photograph's colours afterwards, and keep its luminance, in the colour space "
        f"{', '.join(COLOUR_SPACES)}.",
        _CONTROL,
        "SPACE",
        "its own",
    )
    iterations: int = option(
        100, whole(0, 1_000_000), "Iterations of the optimiser, at each scale.", _OPTIMISER, "NUMBER"
    )
    scales: int = option(
        1,
        whole(1, 16),
        "Sizes from coarse to fine, each sqrt 2 of the one before, the last --size.",
        _OPTIMISER,
        "NUMBER",
    )
    optimizer: str | None = option(
        None,
        choice(*OPTIMIZERS),
        f"One of {', '.join(OPTIMIZERS)}; lbfgs-scipy is SciPy's L-BFGS-B.",
        _OPTIMISER,
        "NAME",
        "the preset's",
    )
    learning_rate: float | None = option(
        None,
        real(0, above=True),
        "Step of adam, adagrad and rmsprop in pixel values; rate of gradient-descent, momentum and nesterov "
        "(x' = x - rate dx).",
        _OPTIMISER,
        "NUMBER",
        "adam: the preset's; adagrad: 10; rmsprop: 1; the others: a first step of 0.1 pixel values",
    )
    schedule: str | None = option(
        None,
        text,
        "How the rate changes, factors of it joined by commas: step:0.5@100, exponential:0.99, cosine, "
        "warm-up@20.",
        _OPTIMISER,
        "SCHEDULE",
        "constant",
    )
    averaging: float = option(
        0.0,
        share,
        "Decay of an average of the iterates, which becomes the picture: 0.99 is usual, 0 takes the last.",
        _OPTIMISER,
        "NUMBER",
    )
    backtracking: bool = option(
        False, switch, "Let gradient-descent shorten a step until the loss falls enough.", _OPTIMISER, ""
    )
    bounds: tuple[float, ...] | None = option(
        None,
        interval,
        "Pixel values that the optimiser keeps to, LOW,HIGH, or none; a picture holds 0 to 255.",
        _OPTIMISER,
        "LOW,HIGH",
        "0,255 for lbfgs and lbfgs-scipy, else none",
    )
    tolerance: float = option(
        0.0,
        real(0),
        "Stop where the loss has fallen by less than this share in --patience iterations; 0 never does.",
        _OPTIMISER,
        "NUMBER",
    )
    patience: int = option(20, whole(1, 1_000_000), "Iterations; see --tolerance.", _OPTIMISER, "NUMBER")
    history: int = option(10, whole(1, 1000), "Corrections that L-BFGS keeps.", _OPTIMISER, "NUMBER")
    threads: int | None = option(
        None,
        whole(1, 1024),
        "Threads of the matrix products.",
        _OPTIMISER,
        "NUMBER",
        "the processors of this process",
    )


@dataclass(frozen=True)
class CommandConfig(RunConfig):
    """Options of the command line: a run, and the files that it writes."""

    save_every: int | None = option(
        None,
        whole(1, 1_000_000),
        "Also save the picture every so many iterations, as OUT-0010.png and so on.",
        _OUTPUT,
        "NUMBER",
        "never",
    )
    progress_sheet: str | None = option(
        None,
        text,
        "Write a contact sheet of the picture after 1, 10, 20, 30, ... iterations.",
        _OUTPUT,
        "FILE",
        "none",
    )
    log: str | None = option(
        None, text, "Write one JSON object an evaluation.", _OUTPUT, "FILE.jsonl", "none"
    )
    force: bool = option(False, switch, "Let the picture replace one of the inputs.", _OUTPUT, "")
    quiet: bool = option(False, switch, "Print errors only.", _OUTPUT, "")
    debug: bool = option(False, switch, "Print the traceback of an error.", _OUTPUT, "")


def objective_config(values: Mapping[str, Any]) -> ObjectiveConfig:
    """Return the options of an objective, checked; raise `UsageError`."""
    return ObjectiveConfig(**parse_all(ObjectiveConfig, values))


def run_config(values: Mapping[str, Any]) -> RunConfig:
    """Return the options of a run, checked; raise `UsageError`."""
    return RunConfig(**parse_all(RunConfig, values))


def command_config(values: Mapping[str, Any]) -> CommandConfig:
    """Return the options of the command line, checked; raise `UsageError`."""
    return CommandConfig(**parse_all(CommandConfig, values))
