"""Published settings of style transfer, as data: which losses, of what form and weight, on what scale of
pixels.

A preset fixes the function that is minimised, the start, the optimiser and its rate. Size and number of
iterations a published one leaves alone, since they are what the user pays in time; its authors' stand in
`published`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nst_manual.errors import unknown_name

# What `nst_manual.losses.representations` has, for options and presets, which know no arrays.
STYLE_REPRESENTATIONS = (
    "gram",
    "covariance",
    "mean-std",
    "shifted-gram",
    "spatial-gram",
    "wasserstein",
    "sliced-wasserstein",
    "patches",
    "histogram",
    "cross-layer-gram",
)
# What a style weight is multiplied by where a representation stands in for another: with it, the gradient of
# the style losses at the photograph is about as long as that of Gram matrices ("mean"), to one digit. See
# tools/measure_style_units.py.
STYLE_UNITS = dict.fromkeys(STYLE_REPRESENTATIONS, 2.0) | {
    "gram": 1.0,
    "covariance": 10.0,
    "shifted-gram": 1.0,
    "spatial-gram": 1.0,
}
# Layers of representations that take others than the preset's, unless layers are given: at the first ones
# there are so many patches that comparing them all takes minutes an iteration; Li and Wand use these two.
STYLE_LAYERS = {"patches": ("relu3_1", "relu4_1")}

RELU_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONV_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


Layer = str | tuple[str, float]


@dataclass(frozen=True)
class Preset:
    """A published setting.

    Attributes
    ----------
    name, source, published : str
        Where it comes from, and the size and iterations that its authors give.
    content_layers, style_layers : tuple of str or of (str, float)
        A layer, or a layer with its weight.
    content_form, style_form, tv_form : str
        Forms of the losses; see `nst_manual.losses`.
    style_representation : str
        One of `STYLE_REPRESENTATIONS`.
    content_weight, style_weight, tv_weight : float
        Factors of the three sums.
    shared_style_weight : bool
        Each of n style layers counts 1 / n (the paper's w_l) instead of 1.
    pooling : str
        A key of `nst_manual.nn.build.POOLINGS`.
    pixel_scale : float
        Factor on pixels 0..255 before the means are subtracted.
    padding : str
        What the first convolution pads with: "zeros", or "replicate".
    input_unit : float
        Pixel values to a unit of the input for which the weights of the losses are meant; 0 takes that of the
        network's weights, whatever it is. Features, and roughly the square roots of the losses, are in it.
    epsilon : float
        What the Wasserstein loss adds to the variances, in units of the input squared; 0 for its own.
    init : str
    noise_std : float
        Standard deviation of the start "noise" around the mean colour, in units of pixels 0..255.
    optimizer : str
    learning_rate : float
        Of Adam; L-BFGS has none.
    betas : (float, float)
        Of Adam.
    averaging : float
        Decay of the average of the iterates; 0 takes the last.
    bounds : (float, float), optional
        Of the pixels.
    iterations : int
    scale_iterations : tuple of int
        At each scale, from coarse to fine, the last for all further ones; without, `iterations` at the first
        and the last, a tenth of them between.
    coarsest : int
        Scales are added until the first has at most so many pixels.
    scale_state : str
        "carried" where the optimiser goes on with what it remembers at the next scale, "new" where it begins
        anew.
    """

    name: str
    source: str
    published: str
    content_layers: tuple[Layer, ...]
    style_layers: tuple[Layer, ...]
    content_form: str
    style_form: str
    content_weight: float
    style_weight: float
    tv_weight: float = 0.0
    tv_form: str = "absolute"
    style_representation: str = "gram"
    shared_style_weight: bool = False
    pooling: str = "max"
    pixel_scale: float = 1.0
    padding: str = "zeros"
    input_unit: float = 0.0
    epsilon: float = 0.0
    init: str = "content"
    noise_std: float = 60.0
    optimizer: str = "lbfgs"
    learning_rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    averaging: float = 0.0
    bounds: tuple[float, float] | None = None
    iterations: int = 100
    scale_iterations: tuple[int, ...] = ()
    coarsest: int = 256
    scale_state: str = "new"


_GATYS = Preset(
    name="gatys",
    source="L. Gatys's own PyTorch notebook; neural-style with style 1000, content 1, tv 0",
    published="512 px (shorter side), 500 iterations of L-BFGS, then 200 at 800 px",
    content_layers=("relu4_2",),
    style_layers=RELU_LAYERS,
    content_form="mean",
    style_form="mean",
    content_weight=1.0,
    style_weight=1000.0,
)
PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="paper",
            source="Gatys, Ecker, Bethge, CVPR 2016: alpha / beta = 1e-3; average pooling; from white noise. "
            "Differs in the weights: the paper rescales VGG-19 to a mean activation of 1",
            published="512 x 512, iterations not stated",
            content_layers=("conv4_2",),
            style_layers=CONV_LAYERS,
            content_form="sum",
            style_form="paper",
            content_weight=1.0,
            style_weight=1e3,
            shared_style_weight=True,
            pooling="average",
            init="noise",
        ),
        Preset(
            name="neural-style",
            source="J. Johnson's Lua Torch program: pixels 0..256, ceil-mode pooling, squared variation",
            published="512 px, 1000 iterations of L-BFGS with 100 corrections and no line search, or Adam",
            content_layers=("relu4_2",),
            style_layers=RELU_LAYERS,
            content_form="mean",
            style_form="mean",
            content_weight=5.0,
            style_weight=100.0,
            tv_weight=1e-3,
            tv_form="squared",
            pooling="max-ceil",
            pixel_scale=256 / 255,
            init="noise",
            noise_std=1e-3 * 255 / 256,
            learning_rate=10.0,
        ),
        Preset(
            name="neural-style-pt",
            source="its port to PyTorch: pixels 0..255, floor-mode pooling, absolute total variation",
            published="512 px, 1000 iterations of L-BFGS with 100 corrections and no line search, or Adam",
            content_layers=("relu4_2",),
            style_layers=RELU_LAYERS,
            content_form="mean",
            style_form="mean",
            content_weight=5.0,
            style_weight=100.0,
            tv_weight=1e-3,
            init="noise",
            noise_std=1e-3,
        ),
        _GATYS,
        Preset(
            name="style-transfer-pytorch",
            source="K. Crowson's PyTorch program: Wasserstein-2 distance of normal distributions for style, "
            "nine-point variation of pixels 0..1, borders repeated; Adam, its iterates averaged",
            published="512 px from 128 by factors of sqrt 2, 1000 iterations at the first, then 500",
            content_layers=("relu4_2",),
            style_layers=tuple((layer, 4 ** (4 - i) / 341) for i, layer in enumerate(RELU_LAYERS)),
            content_form="mean",
            style_form="mean",
            content_weight=0.015,
            style_weight=1.0,
            tv_weight=2.0,
            tv_form="nine-point",
            style_representation="wasserstein",
            padding="replicate",
            # the standard deviation of ImageNet's pixels, by which torchvision's weights want them divided
            input_unit=255 * (0.229 + 0.224 + 0.225) / 3,
            epsilon=1e-4,
            optimizer="adam",
            learning_rate=0.02 * 255,
            betas=(0.9, 0.99),
            averaging=0.99,
            bounds=(0.0, 255.0),
            coarsest=128,
            scale_state="carried",
        ),
        replace(
            _GATYS,
            name="fast",
            source="our own: the losses of gatys, from 181 pixels to 256, and not many iterations; "
            "20 seconds on two processors",
            published="256 px",
            scale_iterations=(35, 22),
            coarsest=182,
        ),
        replace(
            _GATYS,
            name="quality",
            source="our own: as gatys, but style is the covariance of the features, which leaves their means "
            "free; twice the iterations",
            published="512 px and more",
            style_weight=10000.0,
            style_representation="covariance",
            iterations=200,
        ),
    )
}


def get_preset(name: str) -> Preset:
    """Return the preset of that name; raise `UsageError` where there is none."""
    if name not in PRESETS:
        raise unknown_name("--preset", name, PRESETS)
    return PRESETS[name]
