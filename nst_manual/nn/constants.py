"""A module's arrays in main memory, and their copies on a GPU."""

from __future__ import annotations

from typing import Any

from nst_manual.backend import beside, on_gpu
from nst_manual.nn.module import Module


def constants_beside(module: Module, x: Any, *arrays: Any) -> tuple[Any, ...]:
    """Return the arrays, some of which may be None, where x lives.

    On a GPU they are kept as `module.brought`, one of its buffers: only the first of many passes brings them
    over, and one that follows other arrays in their place.
    """
    if not on_gpu(x):
        return arrays
    kept = module.brought
    if kept is None or any(one is not other for one, other in zip(kept[0], arrays, strict=True)):
        copies = tuple(None if array is None else beside(array, x) for array in arrays)
        kept = module.brought = arrays, copies
    return kept[1]
