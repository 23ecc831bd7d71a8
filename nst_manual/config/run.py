"""Options of a run and of the command line: start, optimiser, sizes, files."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from nst_manual.config.objective import CONTROL, OPTIMISER, OUTPUT, ObjectiveConfig
from nst_manual.options import choice, interval, memory, option, real, share, switch, text, whole, wholes

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

# Spaces with a luminance that `nst_manual.images.colour_spaces` has.
COLOUR_SPACES = ("yiq", "ycbcr", "lab", "oklab")


@dataclass(frozen=True)
class RunConfig(ObjectiveConfig):
    """Options of a run."""

    init: str | None = option(
        None,
        text,
        "Start: content, style, noise, blend (photograph and noise), spectrum (noise of the photograph's "
        "spectrum), grey, or the path of an image.",
        OPTIMISER,
        "START",
        "the preset's",
    )
    noise_std: float | None = option(
        None, real(0), "Of the start noise, in pixel values 0..255.", OPTIMISER, "NUMBER", "the preset's"
    )
    keep_colours: str | None = option(
        None,
        choice(*COLOUR_SPACES),
        "Give the picture the photograph's colours afterwards, and keep its luminance, in the colour space "
        f"{', '.join(COLOUR_SPACES)}.",
        CONTROL,
        "SPACE",
        "its own",
    )
    keep_luminance: str | None = option(
        None,
        choice(*COLOUR_SPACES),
        "Give the picture the photograph's luminance afterwards, and keep its colours, in the colour space "
        f"{', '.join(COLOUR_SPACES)}.",
        CONTROL,
        "SPACE",
        "its own",
    )
    iterations: int | None = option(
        None,
        whole(0, 1_000_000),
        "Iterations of the optimiser, at the first and the last scale; a tenth of them at those between.",
        OPTIMISER,
        "NUMBER",
        "the preset's, 100 of most",
    )
    scales: int | None = option(
        None,
        whole(1, 16),
        "Sizes from coarse to fine, the last --size; 1 paints at once.",
        OPTIMISER,
        "NUMBER",
        "as many as let the first be at most 256 pixels",
    )
    scale_factor: float = option(
        math.sqrt(2),
        real(1, above=True),
        "Of one size to the one before.",
        OPTIMISER,
        "NUMBER",
        "1.414, the square root of 2",
    )
    scale_iterations: tuple[int, ...] | None = option(
        None,
        wholes(0, 1_000_000),
        "Iterations at each scale, from coarse to fine, such as 100,50,50.",
        OPTIMISER,
        "NUMBERS",
        "--iterations at the first and the last, a tenth of them between",
    )
    scale_state: str | None = option(
        None,
        choice("carried", "new"),
        "At the next scale the optimiser goes on with what it remembers, enlarged (carried), or begins anew.",
        OPTIMISER,
        "HOW",
        "the preset's, new of most",
    )
    optimizer: str | None = option(
        None,
        choice(*OPTIMIZERS),
        f"One of {', '.join(OPTIMIZERS)}; lbfgs-scipy is SciPy's L-BFGS-B.",
        OPTIMISER,
        "NAME",
        "the preset's",
    )
    learning_rate: float | None = option(
        None,
        real(0, above=True),
        "Step of adam, adagrad and rmsprop in pixel values; rate of gradient-descent, momentum and nesterov "
        "(x' = x - rate dx).",
        OPTIMISER,
        "NUMBER",
        "adam: the preset's; adagrad: 10; rmsprop: 1; the others: a first step of 0.1 pixel values",
    )
    schedule: str | None = option(
        None,
        text,
        "How the rate changes, factors of it joined by commas: step:0.5@100, exponential:0.99, cosine, "
        "warm-up@20.",
        OPTIMISER,
        "SCHEDULE",
        "constant",
    )
    averaging: float | None = option(
        None,
        share,
        "Decay of an average of the iterates, which becomes the picture: 0.99 is usual, 0 takes the last.",
        OPTIMISER,
        "NUMBER",
        "the preset's, 0 of most",
    )
    backtracking: bool = option(
        False, switch, "Let gradient-descent shorten a step until the loss falls enough.", OPTIMISER, ""
    )
    bounds: tuple[float, ...] | None = option(
        None,
        interval,
        "Pixel values that the optimiser keeps to, LOW,HIGH, or none; a picture holds 0 to 255.",
        OPTIMISER,
        "LOW,HIGH",
        "the preset's, else 0,255 for lbfgs and lbfgs-scipy, none for the others",
    )
    tolerance: float = option(
        0.0,
        real(0),
        "Stop where the loss has fallen by less than this share in --patience iterations; 0 never does.",
        OPTIMISER,
        "NUMBER",
    )
    patience: int = option(20, whole(1, 1_000_000), "Iterations; see --tolerance.", OPTIMISER, "NUMBER")
    history: int = option(10, whole(1, 1000), "Corrections that L-BFGS keeps.", OPTIMISER, "NUMBER")
    threads: int | None = option(
        None,
        whole(1, 1024),
        "Threads of the matrix products.",
        OPTIMISER,
        "NUMBER",
        "the processors of this process",
    )
    memory: int | None = option(
        None,
        memory,
        "Most memory that the run may take, such as 4GB; one that would need more is refused at once.",
        OPTIMISER,
        "AMOUNT",
        "what is free",
    )

    @property
    def files(self) -> list[Any]:
        """What a run reads beside photograph and paintings: paths that must not be replaced, or pictures."""
        names = [f.name for f in fields(RunConfig) if f.metadata["metavar"] in ("IMAGE", "IMAGES", "PATH")]
        values = [self.chosen("init"), *(getattr(self, name) for name in names)]
        lists = (value if isinstance(value, tuple) else (value,) for value in values)
        return [value for several in lists for value in several if value is not None]

    @property
    def carries(self) -> bool:
        """Whether the optimiser goes on with what it remembers at the next scale."""
        return self.chosen("scale_state") == "carried"


@dataclass(frozen=True)
class CommandConfig(RunConfig):
    """Options of the command line: a run, and the files that it writes."""

    save_every: int | None = option(
        None,
        whole(1, 1_000_000),
        "Also save the picture every so many iterations, as OUT-0010.png and so on.",
        OUTPUT,
        "NUMBER",
        "never",
    )
    progress_sheet: str | None = option(
        None,
        text,
        "Write a contact sheet of the picture after 1, 10, 20, 30, ... iterations.",
        OUTPUT,
        "FILE",
        "none",
    )
    checkpoint: str | None = option(
        None,
        text,
        "Write what is needed to go on after a crash, with `resume FILE.h5`; also on Ctrl-C.",
        OUTPUT,
        "FILE.h5",
        "none",
    )
    checkpoint_every: float = option(
        60.0, real(0), "Time between two checkpoints; 0 is after every iteration.", OUTPUT, "SECONDS", "60"
    )
    no_manifest: bool = option(
        False,
        switch,
        "Write nothing into the picture, or beside it, about how it was made.",
        OUTPUT,
        "",
    )
    log: str | None = option(None, text, "Write one JSON object an evaluation.", OUTPUT, "FILE.jsonl", "none")
    force: bool = option(
        False,
        switch,
        "Let the picture replace one of the inputs, and the checkpoint that of an unfinished run.",
        OUTPUT,
        "",
    )
    quiet: bool = option(False, switch, "Print errors only.", OUTPUT, "")
    debug: bool = option(False, switch, "Print the traceback of an error.", OUTPUT, "")


# Names of the options that change nothing of the picture: another run of the same may have others.
FREE = {f.name for f in fields(CommandConfig)} - {f.name for f in fields(RunConfig)} | {"threads", "memory"}
