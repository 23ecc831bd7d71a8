"""How much memory a run needs, before anything of it is made; a run that cannot fit is refused.

A run is a row of stages, and needs what the greediest of them takes: reading a picture (decoded at its own
size), loading the weights, capturing the targets, painting. Of several scales it is the last that counts.

Bytes are those of resident memory. On Linux they are within 20 % of what was measured for VGG-16, VGG-19 and
AlexNet at 128 to 1536 pixels with the presets gatys, paper and neural-style-pt and the optimisers lbfgs and
adam, and within 35 % for other networks, representations of style, float64 and `--plain`:
`tools/measure_memory.py` prints the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nst_manual.backend import open_device
from nst_manual.config import LARGEST_SIZE, RunConfig
from nst_manual.errors import ImageError, UsageError
from nst_manual.images import fit
from nst_manual.objective.memory import ObjectiveMemory, objective_memory
from nst_manual.objective.pictures import content_side, painting_sides
from nst_manual.run.scales import configurations
from nst_manual.threads import available_cpus

Size = tuple[int, int]
SMALLEST_SIZE = 8

# Python, NumPy, Pillow, rich, this package, a BLAS library, the gaps of the heap; h5py; SciPy: measured.
PROGRAM, HDF5, SCIPY = 60 * 2**20, 12 * 2**20, 40 * 2**20
# CuPy, the driver, cuBLAS and the compiler of kernels, in the memory of the processor: a guess.
CUDA = 400 * 2**20
# A file of weights is read layer by layer, as it is stored, unpacked, and as it will be used.
LOADING = 20 * 2**20
# A pixel of a picture that is read: as Pillow decodes it, turned upright, as float32, in part once more.
PIXEL_BYTES, READING = 24, 20 * 2**20
MATCHED_PIXEL_BYTES = 60  # where its colours are matched to another's, in float64
# Images that are held or allocated in an iteration, those of the run around the optimiser included.
IMAGES = {"lbfgs": 14, "lbfgs-scipy": 40}
FIRST_ORDER_IMAGES = 16
COLOUR_IMAGES = 10  # where luminance and colours part ways, at the end of each iteration


@dataclass(frozen=True)
class Estimate:
    """The memory of a run at its greediest stage.

    Attributes
    ----------
    stage : str
        "reading", "loading", "capturing" or "painting".
    parts : dict of str to int
        Bytes by name.
    """

    stage: str
    parts: dict[str, int]

    @property
    def bytes(self) -> int:
        """The sum of the parts."""
        return sum(self.parts.values())


def estimate(config: RunConfig, content: Size, paintings: Sequence[Size]) -> Estimate:
    """Return the memory that a run will need.

    Parameters
    ----------
    config : RunConfig
    content : (int, int)
        Height and width of the photograph's file in pixels, upright.
    paintings : sequence of (int, int)
        The same of each painting.

    Raises
    ------
    UsageError
        Options that make no sense.
    ImageError
        The picture or a painting is too small for the network.
    """
    return max(_stages(config, content, paintings), key=lambda stage: stage.bytes)


def _stages(config: RunConfig, content: Size, paintings: Sequence[Size]) -> Iterator[Estimate]:
    """Yield what each stage takes."""
    config = settled(config, content)
    threads = config.threads or available_cpus()
    last = configurations(config)[-1]  # the largest; those before it are gone when it is made
    size = picture_of(content, last)
    memory = objective_of(last, content, paintings, threads)
    drawn = config.weights == "random"
    program = {"program and libraries": _program(config)}
    pictures = {"pictures": memory.pictures}
    yield Estimate("reading", program | {"pictures being read": _reading(config, content, paintings)})
    weights = {"weights": memory.weights}
    loading = {"reading of weights": 0 if drawn else LOADING}
    yield Estimate("loading", program | pictures | weights | loading)
    if computes_on_gpu(config):  # what else there is lies there: `estimate_gpu.py`
        return
    network = weights | {"targets": memory.targets, "threads": memory.threads}
    capturing = {"capturing of targets": memory.capturing}
    yield Estimate("capturing", program | pictures | network | capturing)
    running = {"network and losses": memory.running, "optimiser and images": optimiser(last, size)}
    yield Estimate("painting", program | pictures | network | running)


def stages_of(config: RunConfig, content: Size) -> list[tuple[int, Size]]:
    """Return (iterations, (H, W) of the picture) of each scale, the coarsest first."""
    return [
        (stage.iterations, picture_of(content, stage)) for stage in configurations(settled(config, content))
    ]


def settled(config: RunConfig, content: Size) -> RunConfig:
    """Return the configuration with the size in pixels where the photograph decides it."""
    if config.size_rule != "original":
        return config
    return replace(config, size=max(content), size_rule="longer")


def _program(config: RunConfig) -> int:
    """Return what the program takes without any picture, with the libraries that it will import."""
    scipy = SCIPY if config.chosen("optimizer") == "lbfgs-scipy" else 0
    cuda = CUDA if computes_on_gpu(config) else 0
    return PROGRAM + scipy + cuda + (0 if config.weights == "random" else HDF5)


def computes_on_gpu(config: RunConfig) -> bool:
    """Whether a run will compute on a GPU; raises `UsageError` where it cannot and must."""
    return open_device(config.device)[0] == "cuda"


def objective_of(
    config: RunConfig, content: Size, paintings: Sequence[Size], threads: int
) -> ObjectiveMemory:
    """Return the memory of the objective of one scale, for the sizes of the files."""
    size = picture_of(content, config)
    found = []
    for number, painting in enumerate(paintings, start=1):
        what = "style" if len(paintings) == 1 else f"style {number}"
        found += [fit(painting, side) for side in painting_sides(painting, max(size), config, what)]
    return objective_memory(config, size, found, threads)


def picture_of(content: Size, config: RunConfig) -> Size:
    """Return the size of the picture that is painted."""
    return fit(content, content_side(content, config))


def _reading(config: RunConfig, content: Size, paintings: Sequence[Size]) -> int:
    """Return the most that reading takes: each painting is still there while the next is decoded."""
    extra = MATCHED_PIXEL_BYTES if config.match_colours else 0
    most, before = 0, 0
    for number, size in enumerate([content, *paintings]):
        pixels = math.prod(size)
        most = max(most, before + pixels * (PIXEL_BYTES + (extra if number else 0)))
        before = pixels * 12 if number else 0
    return most + READING


def optimiser(config: RunConfig, size: Size) -> int:
    """Return what the optimiser and the run around it take, in images: vectors as long as one."""
    image = 3 * math.prod(size) * np.dtype(config.dtype).itemsize
    name = config.chosen("optimizer")
    kept = min(config.history, config.chosen("iterations")) if name in IMAGES else 0
    if kept and computes_on_gpu(config):  # where memory is taken that is never written to
        kept = config.history
    corrections = 2 * kept * (2 if name == "lbfgs-scipy" else 1)  # SciPy's are float64
    images = IMAGES.get(name, FIRST_ORDER_IMAGES) + corrections
    if config.carries or getattr(config, "checkpoint", None):  # a copy of all that it remembers
        images += corrections + 4
    if config.chosen("averaging"):
        images += 2
    if config.keep_colours or config.keep_luminance:
        images += COLOUR_IMAGES
    return images * image


def largest_size(
    config: RunConfig,
    content: Size,
    paintings: Sequence[Size],
    limit: int,
    estimated: Callable[[RunConfig, Size, Sequence[Size]], Estimate] = estimate,
) -> int:
    """Return the largest `--size` whose estimate is at most `limit` bytes, to a hundredth; 0 for none.

    Memory grows nearly with the area, so each guess is made from the last one. What is returned has been
    estimated itself.
    """
    fits, above = 0, LARGEST_SIZE + 1
    below = SMALLEST_SIZE - 1  # fits, or is too small for the network
    guess = config.size
    while above - below > max(1, below // 100):
        guess = min(max(guess, below + 1), above - 1)
        try:
            needs = estimated(replace(config, size=guess), content, paintings).bytes
        except (ImageError, UsageError):  # too small for the network, or for the scales that were asked for
            below, guess = guess, (guess + above) // 2
            continue
        if needs <= limit:
            fits = below = guess
            if needs > 0.98 * limit:
                break
        else:
            above = guess
        growing = max(1, needs - PROGRAM), max(1, limit - PROGRAM)
        wanted = int(guess * math.sqrt(growing[1] / growing[0]) * 0.995)
        # where the rule is of no help any more, halve
        guess = wanted if below < wanted < above else (below + above) // 2
    return fits
