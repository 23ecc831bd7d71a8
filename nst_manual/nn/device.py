"""A network brought to the GPU: its weights and whatever arrays its modules hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nst_manual.backend import to_device
from nst_manual.nn.conv2d import Conv2d
from nst_manual.nn.fused_conv2d import FusedConv2d
from nst_manual.nn.module import Module


def move_to_gpu(modules: Iterable[Module], tf32: bool = False) -> None:
    """Copy the arrays of modules to the GPU, each once, and let the modules compute there from now on.

    Parameters
    ----------
    modules : iterable of Module
        No containers: what `walk` yields. Their buffers are freed.
    tf32 : bool
        Let convolutions round the factors of float32 products to TF32.
    """
    moved: dict[int, tuple[Any, Any]] = {}  # with the array itself, so that no other gets its id meanwhile
    for module in modules:
        module.clear_state()
        for part in module.parts if isinstance(module, FusedConv2d) else [module]:
            if isinstance(part, Conv2d):
                part.tf32 = tf32
            for name, value in vars(part).items():
                setattr(part, name, _moved(value, moved))


def _moved(value: Any, moved: dict[int, tuple[Any, Any]]) -> Any:
    """Return a value with all NumPy arrays in it, in lists and the like too, copied to the GPU."""
    if isinstance(value, np.ndarray):
        if id(value) not in moved:
            moved[id(value)] = value, to_device(value)
        return moved[id(value)][1]
    if type(value) in (list, tuple):
        return type(value)(_moved(item, moved) for item in value)
    if type(value) is dict:
        return {key: _moved(item, moved) for key, item in value.items()}
    return value
