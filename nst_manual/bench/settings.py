"""What to measure, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nst_manual.config import RunConfig
from nst_manual.errors import UsageError, unknown_name
from nst_manual.threads import available_cpus

DEFAULT_VARIANT = "nchw"
# the names of nst_manual.check.torch_objective.VARIANTS, which imports NumPy
VARIANTS = ("nchw", "inplace", "channels-last", "compile", "bfloat16")

# Evaluations in a row that count as one turn on a GPU, where one takes milliseconds. Each fetches its loss,
# as an optimiser does, and so waits for the GPU.
GPU_EVALUATIONS = 20


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes
    ----------
    config : RunConfig
        Network, weights, losses, threads, dtype and device ("cpu" or "cuda", no "auto"); its `size` is not
        used.
    size : (int, int)
        Height and width.
    variants : sequence of str
        Of PyTorch; empty for ours alone. The default variant is always one of them.
    optional : bool
        A variant that does not work here is reported, not raised.
    repeat : int
        Turns of each subject; the seconds reported are their median.
    iterations : int or None
        Measure whole runs of so many iterations instead of evaluations.
    """

    config: RunConfig
    size: tuple[int, int]
    variants: Sequence[str] = ()
    optional: bool = False
    repeat: int = 5
    iterations: int | None = None

    def __post_init__(self) -> None:
        if self.repeat < 1:
            raise UsageError("--repeat", f"expected a whole number of at least 1, got {self.repeat}")
        if self.iterations is not None and self.iterations < 1:
            raise UsageError("--iterations", f"expected a whole number of at least 1, got {self.iterations}")
        for variant in self.variants:
            if variant not in VARIANTS:
                raise unknown_name("--torch-variant", variant, VARIANTS)

    @property
    def threads(self) -> int:
        """The threads of every subject."""
        return self.config.threads or available_cpus()

    @property
    def all_variants(self) -> list[str]:
        """The variants to measure, the default one first, each once."""
        return list(dict.fromkeys([DEFAULT_VARIANT, *self.variants])) if self.variants else []

    def job(self, kind: str, variant: str | None = None) -> dict[str, Any]:
        """Return a worker's first message."""
        options = dataclasses.asdict(self.config) | {"threads": self.threads}
        warm_up = kind != "idle" and self.iterations is None
        return {"kind": kind, "variant": variant, "size": self.size, "options": options, "warm_up": warm_up}
