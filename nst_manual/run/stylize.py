"""Style transfer in one call."""

from __future__ import annotations

from typing import Any

from nst_manual.config import run_config
from nst_manual.errors import Interrupted
from nst_manual.run.job import Outcome
from nst_manual.run.memory import check_memory
from nst_manual.run.optimizers import make_optimizer
from nst_manual.run.scales import paint


def stylize(content: Any, style: Any, **options: Any) -> Outcome:
    """Return a photograph in the style of a painting.

    Parameters
    ----------
    content : path, PIL image or array (H, W, 3) of uint8
    style : the same, or a list of them
    **options
        Any field of `nst_manual.config.RunConfig`: size=256, iterations=100, network="vgg16", ...

    Returns
    -------
    Outcome
        `image` is a PIL image; `loss`, `losses`, `history` are numbers.

    Raises
    ------
    NstError
        One of `nst_manual.errors`, each also a ValueError, OSError or the like.
    """
    config = run_config(options)
    make_optimizer(config)  # its options are checked before any file is opened
    check_memory(content, style, config)
    outcome = paint(content, style, config)
    if isinstance(outcome.stopped, Interrupted):
        raise KeyboardInterrupt
    if outcome.stopped is not None:
        raise outcome.stopped
    return outcome
