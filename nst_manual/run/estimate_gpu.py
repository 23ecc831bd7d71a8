"""How much of a GPU's memory a run needs: what `estimate.py` is for the processor's.

Every array there is made by a plan (`nst_manual.nn.plan`) or counted here, so that the sum is known without
a GPU; it is held against the allocations of whole runs by tests. What the driver and cuBLAS take for
themselves, and the gaps between CuPy's blocks, are allowances: they have not been measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from nst_manual.config import RunConfig
from nst_manual.run.estimate import (
    Estimate,
    Size,
    configurations,
    objective_of,
    optimiser,
    picture_of,
    settled,
)

# cuBLAS's workspace, kernels, CuPy's own tables.
LIBRARIES = 128 * 2**20
# The share by which CuPy's blocks are larger than what is asked for.
GAPS = 0.05


def estimate_gpu(config: RunConfig, content: Size, paintings: Sequence[Size]) -> Estimate:
    """Return the memory that a run will need on a GPU at its greediest stage.

    Parameters and errors are those of `nst_manual.run.estimate.estimate`.
    """
    last = configurations(settled(config, content))[-1]
    memory = objective_of(last, content, paintings, 1)
    network = {"weights": memory.weights, "targets": memory.targets}
    capturing = network | {"capturing of targets": memory.capturing}
    images = optimiser(last, picture_of(content, last))
    running = network | {"network and losses": memory.running, "optimiser and images": images}
    stages = [Estimate("capturing", capturing), Estimate("painting", running)]
    most = max(stages, key=lambda stage: stage.bytes)
    gaps = {"gaps between blocks": int(GAPS * most.bytes)}
    return Estimate(most.stage, most.parts | gaps | {"libraries": LIBRARIES})
