"""The algorithms of convolution, in one table. All compute the same; a `Conv2d` module names the one that it
runs.

Each is a file with three functions: `forward`, `input_gradient`, `parameter_gradients`.
"""

from __future__ import annotations

from types import ModuleType

from nst_manual.errors import unknown_name
from nst_manual.kernels import conv_direct, conv_matmul

ALGORITHMS: dict[str, ModuleType] = {
    "matmul": conv_matmul,
    "direct": conv_direct,
}
DEFAULT = "matmul"


def get_algorithm(name: str) -> ModuleType:
    """Return the algorithm of that name; raise `UsageError` where there is none."""
    if name not in ALGORITHMS:
        raise unknown_name("convolution algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]
