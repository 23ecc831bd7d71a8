"""What a figure is going to be: its runs, checked before the first of them begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nst_manual.config import RunConfig, run_config
from nst_manual.errors import UsageError
from nst_manual.images import fit, read_image, resize, to_uint8
from nst_manual.images.sheet import MAX_COLUMNS
from nst_manual.nets import get_network
from nst_manual.run.job import Outcome
from nst_manual.run.optimizers import make_optimizer
from nst_manual.run.scales import configurations
from nst_manual.store import default_network


def no_remark(outcome: Outcome) -> str:
    """Add nothing to a caption."""
    return ""


@dataclass(frozen=True)
class Job:
    """One picture of a figure.

    Attributes
    ----------
    caption : str
    config : RunConfig
    remark : callable
        Outcome -> what the caption ends with once the picture is there; empty for nothing.
    """

    caption: str
    config: RunConfig
    remark: Callable[[Outcome], str] = no_remark


@dataclass(frozen=True)
class Plan:
    """A figure before it is painted.

    Attributes
    ----------
    content : path, PIL image or array (H, W, 3) of uint8
    styles : sequence of the same
    jobs : sequence of Job
        Row by row.
    columns : int
    title : str
    given : sequence of (str, array)
        Captions and pixels of pictures that stand before those to be painted: photograph and paintings.

    Raises
    ------
    UsageError
        More columns than a sheet has; an option that the optimiser does not have; iterations of more or
        fewer scales than there are; a layer that the network does not have.
    """

    content: Any
    styles: Sequence[Any]
    jobs: Sequence[Job]
    columns: int
    title: str
    given: Sequence[tuple[str, np.ndarray]] = field(default=())

    def __post_init__(self) -> None:
        if self.columns > MAX_COLUMNS:
            raise UsageError("columns", f"expected at most {MAX_COLUMNS}, got {self.columns}")
        for job in self.jobs:
            make_optimizer(job.config)
            configurations(job.config)
            layers = [*job.config.weighted_layers("content"), *job.config.weighted_layers("style")]
            get_network(network_name(job.config)).covering(layers)

    @property
    def inputs(self) -> list[Any]:
        """The files that the runs read beside photograph and paintings; none of them must be replaced."""
        return [path for job in self.jobs for path in job.config.files]


def as_list(styles: Any) -> list[Any]:
    """Return the paintings, of which there may be one by itself; raise `UsageError` where there is none."""
    styles = list(styles) if isinstance(styles, list | tuple) else [styles]
    if not styles:
        raise UsageError("styles", "expected at least one painting")
    return styles


def read_images(content: Any, styles: Sequence[Any]) -> list[tuple[str, np.ndarray]]:
    """Return photograph and paintings with what a sheet calls them: read before the work, or refused.

    Parameters
    ----------
    content : path, PIL image or array (H, W, 3) of uint8
    styles : sequence of the same

    Returns
    -------
    list of (str, array (H, W, 3) of float32)
        0..255.

    Raises
    ------
    ImageError
        A picture that cannot be read.
    """
    found = [("photograph", read_image(content, "content"))]
    for number, style in enumerate(styles, start=1):
        suffix = "" if len(styles) == 1 else f" {number}"
        found.append((f"painting{suffix}", read_image(style, f"style{suffix}")))
    return found


def at_size(pictures: Sequence[tuple[str, np.ndarray]], size: int) -> list[tuple[str, np.ndarray]]:
    """Return pictures with their captions, uint8, the first at the size of those that are painted.

    The others are as large as fits into it, so that all places of the sheet have its proportion.
    """
    height, width = fit(pictures[0][1].shape[:2], size)
    found = []
    for caption, pixels in pictures:
        h, w = pixels.shape[:2]
        scale = min(height / h, width / w)
        small = resize(pixels, (max(1, round(h * scale)), max(1, round(w * scale))))
        found.append((caption, to_uint8(small)))
    return found


def options_of(
    defaults: Mapping[str, Any], options: Mapping[str, Any], decided: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the options of a figure's runs, its defaults behind what was said.

    Parameters
    ----------
    defaults : mapping
        See `nst_manual.figures.defaults`.
    options : mapping
        Fields of `RunConfig`; None stands for "not given".
    decided : sequence of str
        What the figure itself decides, which cannot be given.

    Raises
    ------
    UsageError
        One of `decided`; an unknown option or a wrong value.
    """
    said = {name: value for name, value in options.items() if value is not None}
    for name in said:
        if name in decided:
            raise UsageError(name, "is decided by the figure", "leave it out")
    run_config(said)
    return {**defaults, **said}


def network_name(config: RunConfig) -> str:
    """Return the name of the network of a run."""
    return config.network or default_network()[0]


def title_of(config: RunConfig, without: Sequence[str] = ()) -> str:
    """Return what all pictures have in common: network, preset, size, iterations, but for some of these."""
    iterations = [scale.chosen("iterations") for scale in configurations(config)]
    counted = " + ".join(map(str, iterations)) + (" iteration" if iterations == [1] else " iterations")
    parts = {
        ("network",): network_name(config),
        ("weights",): "random weights" if config.weights == "random" else "",
        ("preset",): f"preset {config.preset}",
        ("size", "size_rule"): "" if config.size_rule == "original" else f"{config.size} pixels",
        ("iterations", "scales", "scale_iterations", "scale_factor"): counted,
    }
    return ", ".join(text for names, text in parts.items() if text and not set(names) & set(without))
