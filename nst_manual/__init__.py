"""Neural style transfer by hand: every forward and backward kernel is written out, and nothing differentiates
for us.

    files -> pixels -> start image -> [ objective: network with loss modules -> (loss, dx) ] <-> optimiser ->
    pixels -> file

The network is a row of modules in the manner of Lua Torch. Loss modules stand inside it; one backward pass
that starts with dy = 0 collects their gradients on the way down to the pixels.

    >>> import nst_manual as nst
    >>> result = nst.stylize("photo.jpg", "painting.jpg", size=256, iterations=100)      # doctest: +SKIP
    >>> result.image.save("out.png")                                                      # doctest: +SKIP

    >>> objective = nst.Objective("photo.jpg", ["painting.jpg"], preset="paper")          # doctest: +SKIP
    >>> loss, dx = objective(image)                                                       # doctest: +SKIP

    >>> net = nst.load_network("vgg16", upto="relu3_1")                                   # doctest: +SKIP
    >>> y = net.forward(x)                                                                # doctest: +SKIP
    >>> dx = net.backward(x, dy)                                                          # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# name -> module that has it; loaded when it is first asked for, so that `import nst_manual` costs nothing
_PUBLIC = {
    "stylize": "nst_manual.run",
    "Objective": "nst_manual.objective",
    "load_network": "nst_manual.nn",
    "nn": "nst_manual.nn",
    "kernels": "nst_manual.kernels",
    "losses": "nst_manual.losses",
    "optim": "nst_manual.optim",
    "nets": "nst_manual.nets",
    "presets": "nst_manual.presets",
    "check": "nst_manual.check",
    "errors": "nst_manual.errors",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return module if _PUBLIC[name] == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
