"""Memory: what nobody has written is not read, the same bits come twice, and running out is survived."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nst_manual.backend import array_module, to_device, to_host
from nst_manual.check.device.case import Check
from nst_manual.check.device.networks import image, objective

NETWORK = "squeezenet"
MEBIBYTE = 2**20


def checks() -> Iterator[Check]:
    """Yield the checks."""
    for plain in (False, True):
        words = "plain" if plain else "fused"
        yield Check("memory", f"full of NaN before, {words}", lambda p=plain: filled_error(p))
    yield Check("memory", "the same bits twice", repeated_error)
    yield Check("memory", "running out, and going on", exhausted_error)


def pool() -> Any:
    """Return CuPy's memory pool."""
    return array_module(to_device(np.zeros(1))).get_default_memory_pool()


def filled_error(plain: bool) -> tuple[float, float]:
    """Return how many numbers of loss and gradient are not finite where all free memory was full of NaN."""
    found = objective(NETWORK, "cuda", plain=plain)
    x = found.place(image(NETWORK).astype(np.float32))
    xp = array_module(x)
    # of many sizes, which go back to the pool, and are what it hands out next
    filled = [xp.full(2**power, np.nan, xp.float32) for power in range(7, 22) for _ in range(4)]
    del filled
    loss, gradient = found(x)
    return float((not math.isfinite(loss)) + (~np.isfinite(to_host(gradient))).sum()), 0.0


def repeated_error() -> tuple[float, float]:
    """Return how many numbers of the gradient differ between two evaluations."""
    found = objective(NETWORK, "cuda")
    x = found.place(image(NETWORK).astype(np.float32))
    (loss, gradient), (again, same) = ((loss, to_host(dx)) for loss, dx in (found(x), found(x)))
    return float((loss != again) + (gradient != same).sum()), 0.0


def exhausted_error() -> tuple[float, float]:
    """Return the largest difference of an evaluation after one that found no memory: there must be none.

    Raises
    ------
    RuntimeError
        The limit was not met.
    """
    found = objective(NETWORK, "cuda")
    x = found.place(image(NETWORK).astype(np.float32))
    loss, gradient = found(x)
    gradient = to_host(gradient)
    found.network.clear_state()
    limited = pool()
    limited.free_all_blocks()
    limited.set_limit(size=limited.total_bytes() + MEBIBYTE // 4)
    try:
        found(x)
    except MemoryError:
        pass
    else:
        raise RuntimeError("an evaluation needed less than a quarter of a mebibyte")
    finally:
        limited.set_limit(size=0)
    again, same = found(x)
    return max(abs(again - loss), float(np.abs(to_host(same) - gradient).max())), 0.0
