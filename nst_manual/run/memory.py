"""Refuse a run that cannot fit, before it starts: its estimate beside what it may have."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nst_manual.backend import gpu_memory
from nst_manual.config import RunConfig
from nst_manual.errors import NstError, ResourceError
from nst_manual.images.read import opened_image
from nst_manual.machine import available_memory, resident_memory
from nst_manual.objective.pictures import as_list
from nst_manual.run.estimate import (
    IMAGES,
    PROGRAM,
    Estimate,
    Size,
    computes_on_gpu,
    estimate,
    largest_size,
)
from nst_manual.run.estimate_gpu import estimate_gpu
from nst_manual.threads import available_cpus

ORIENTATION = 0x0112  # EXIF's number

Estimated = Callable[[RunConfig, Size, Sequence[Size]], Estimate]


def check_memory(content: Any, styles: Any, config: RunConfig) -> None:
    """Refuse a run that needs more memory than it may have, before any picture is decoded.

    Parameters
    ----------
    content, styles : path, PIL image or array; the same, or a list of them
    config : RunConfig
        Its `memory`, or else what is available, is what the run may have.

    Raises
    ------
    ResourceError
        It does not fit; the message has the estimate, the largest size that fits, and what needs less.
    NstError
        A picture cannot be opened, the network cannot be made: what the run would end with.
    """
    sizes = source_sizes(content, styles)
    if sizes is None:  # what it is that was given, reading will say
        return
    if computes_on_gpu(config):
        _check(sizes, config, estimate_gpu, *room_on_gpu(config))
        config = replace(config, memory=None)  # which was the GPU's
    _check(sizes, config, estimate, *room(config))


def _check(
    sizes: tuple[Size, list[Size]], config: RunConfig, estimated: Estimated, limit: int | None, words: str
) -> None:
    """Raise `ResourceError` where an estimate is above a limit."""
    needed = estimated(config, *sizes)
    if limit is None or needed.bytes <= limit:
        return
    cause = f"needs about {amount(needed.bytes)} of memory, {words}"
    if needed.stage == "reading":
        height, width = max(sizes[0], *sizes[1], key=math.prod)
        cause += f", and a picture of {width} x {height} pixels is to be read"
        raise ResourceError("the run", cause, "scale the pictures down first")
    what = "the picture" if config.size_rule == "original" else f"--size {config.size}"
    raise ResourceError(what, cause, "; ".join(_advice(config, sizes, needed, limit, estimated)))


def source_sizes(content: Any, styles: Any) -> tuple[Size, list[Size]] | None:
    """Return the sizes (H, W) of the photograph and of the paintings; None where one is no picture."""
    styles = as_list(styles)
    names = ["style"] if len(styles) == 1 else [f"style {n}" for n in range(1, len(styles) + 1)]
    found = [source_size(content, "content")]
    found += [source_size(style, name) for style, name in zip(styles, names, strict=True)]
    return None if None in found else (found[0], found[1:])


def source_size(source: Any, what: str) -> Size | None:
    """Return (H, W) of a picture as it will be read, upright, from its header; None for what is no picture.

    Raises
    ------
    ImageError
        A file cannot be opened.
    """
    from PIL import Image

    if isinstance(source, np.ndarray):
        return source.shape[:2] if source.ndim in (2, 3) and source.size else None
    if isinstance(source, Image.Image):
        return _upright(source)
    if not isinstance(source, str | os.PathLike):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come again when it is read
        with opened_image(source, what) as (image, _):
            return _upright(image)


def _upright(image: Any) -> Size | None:
    """Return (H, W) of a PIL image once it has been turned as its EXIF data says."""
    try:
        turned = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception:  # damaged EXIF data: Pillow's parser raises many kinds, and reading passes it over
        turned = False
    width, height = image.size
    if not width * height:
        return None
    return (width, height) if turned else (height, width)


def greediest(config: RunConfig) -> tuple[Estimated, int | None, str]:
    """Return the estimate of the memory that a run needs most, the processor's or the GPU's; its limit."""
    if computes_on_gpu(config):
        return estimate_gpu, *room_on_gpu(config)
    return estimate, *room(config)


def room(config: RunConfig) -> tuple[int | None, str]:
    """Return how many bytes a run may take in all, None if that is not known, and whose limit it is."""
    if config.memory is not None:
        return config.memory, f"--memory allows {amount(config.memory)}"
    free = available_memory(config.threads or available_cpus())
    if free is None:
        return None, "nobody knows how much is free"
    # the program is here already
    return free + min(resident_memory(), PROGRAM), f"{amount(free)} are free"


def room_on_gpu(config: RunConfig) -> tuple[int, str]:
    """Return how many bytes of the GPU's memory a run may take, and whose limit it is."""
    if config.memory is not None:
        return config.memory, f"--memory allows {amount(config.memory)} on the GPU"
    free, total = gpu_memory()
    return free, f"{amount(free)} of the GPU's {amount(total)} are free"


def fitting_on_gpu(config: RunConfig, picture: Size) -> str:
    """Return what would fit where the GPU's memory has run out in spite of the estimate, as a hint.

    Of what grows with the picture it may take two thirds of what this run was estimated to.
    """
    sizes = picture, [picture]
    needed = estimate_gpu(config, *sizes).bytes
    fixed = 0
    for part in (2, 4):
        with contextlib.suppress(NstError):  # too small for the network
            fixed = estimate_gpu(replace(config, size=config.size // part), *sizes).bytes
    limit = min(fixed + (needed - fixed) * 2 // 3, gpu_memory()[0])
    size = largest_size(config, *sizes, limit, estimate_gpu)
    return f"--size {size} should fit" if size else "--device cpu may have more memory"


def amount(number: int) -> str:
    """Return bytes in words; a GB is 1024^3 of them, as for `--memory`."""
    if number < 2**30:
        return f"{number / 2**20:.0f} MB"
    return f"{number / 2**30:.1f} GB" if number < 100 * 2**30 else f"{number / 2**30:.0f} GB"


def _advice(
    config: RunConfig,
    sizes: tuple[Size, list[Size]],
    needed: Estimate,
    limit: int,
    estimated: Estimated,
) -> Iterator[str]:
    """Yield what would fit, then what needs a good deal less."""
    size = largest_size(config, *sizes, limit, estimated) if config.size_rule != "original" else 0
    fitting = [f"--size {size}"] if size else []
    less = []
    for option, changed in _alternatives(config):
        try:
            found = estimated(changed, *sizes).bytes
        except NstError:  # layers or weights that were asked for are another network's
            continue
        if found <= limit:
            fitting.append(option)
        elif found < 0.9 * needed.bytes:
            less.append(option)
    if fitting:
        yield f"{_or(fitting)} {'fits' if len(fitting) == 1 else 'fit'}"
    if less:
        yield f"{_or(less)} {'needs' if len(less) == 1 else 'need'} less"
    if not fitting and not less:
        yield "no size of the picture fits"


def _alternatives(config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    """Yield options that may need less memory, as they are typed, with the configuration."""
    if config.chosen("optimizer") in IMAGES:
        yield "--optimizer adam", replace(config, optimizer="adam")
        if config.history > 5:
            yield "--history 5", replace(config, history=5)
    if config.network != "squeezenet":
        yield "--network squeezenet", replace(config, network="squeezenet", weights=None)
    if config.dtype == "float64":
        yield "--dtype float32", replace(config, dtype="float32")
    if config.plain:
        yield "the run without --plain", replace(config, plain=False)


def _or(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
