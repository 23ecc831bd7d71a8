"""What came of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nst_manual.errors import NstError
from nst_manual.images import to_pil


@dataclass
class Outcome:
    """What a run gives back.

    Attributes
    ----------
    pixels : array (H, W, 3)
        The picture, RGB, with the photograph's colours where `keep_colours` is set; values outside 0..255
        occur without bounds.
    loss : float
        Of the optimiser's image.
    losses : dict of str to float
        The same by name.
    saved_loss : float
        Of the picture as it is saved, rounded and clamped to 8 bits.
    iterations : int
    history : list of dict
        One record an evaluation; the log's lines.
    seconds : float
    message : str
        Why the optimiser stopped early; empty when it did not.
    stopped : NstError or None
        Why the run ended before the optimiser did: a signal, a loss that is not finite, a file on the way
        that could not be written.
    moved : array (H, W, 3)
        What the optimiser has moved: the picture before anything is laid over it and colours are given back.
    memory : dict or None
        The optimiser's state, where the configuration lets it be carried to the next scale; its arrays live
        where the optimiser's did.
    place : (int, int)
        The scale, from 0, and its iterations, where the run ended.
    """

    pixels: np.ndarray
    loss: float
    losses: dict[str, float]
    saved_loss: float
    iterations: int
    history: list[dict] = field(repr=False)
    seconds: float
    message: str = ""
    stopped: NstError | None = None
    moved: Any = field(default=None, repr=False)
    memory: Any = field(default=None, repr=False)
    place: tuple[int, int] = (0, 0)

    @property
    def image(self) -> Any:
        """The picture as a PIL image, 8 bits a channel."""
        return to_pil(self.pixels)
