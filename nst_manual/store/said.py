"""What a file says about the input that its network expects, in values that came out of the file itself.

Files that we write, and any that follow us, carry up to four: order "RGB" or "BGR"; mean, three numbers in
that order; scale, a factor on pixels 0..255 that comes before the mean; std, three divisors that come after.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.nets.preprocessing import Preprocessing

NAMES = ("order", "mean", "scale", "std")


def said_preprocessing(file: str, values: Mapping[str, object]) -> Preprocessing | None:
    """Return what `values` say about the input; None unless both order and mean are there.

    Parameters
    ----------
    file : str
        For messages.
    values : mapping
        Of `NAMES`, any of which may be missing or None: strings, numbers, arrays or lists of numbers.

    Raises
    ------
    WeightsError
        They say something that makes no sense.
    """
    order, mean, scale, std = (values.get(name) for name in NAMES)
    if order is None or mean is None:
        return None
    try:
        means, stds = (
            tuple(map(float, np.asarray(x, float).ravel())) for x in (mean, (1, 1, 1) if std is None else std)
        )
        factor = 1.0 if scale is None else float(np.asarray(scale, float).item())
        sound = isinstance(order, str) and order in ("RGB", "BGR") and len(means) == len(stds) == 3
        sound = sound and np.isfinite([*means, *stds, factor]).all() and factor > 0 and min(stds) > 0
    except (TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        listed = ", ".join(f"{name} {_shortly(values.get(name))}" for name in NAMES)
        raise WeightsError(file, f"has unusable attributes {listed}")
    return Preprocessing(str(order), means, factor, stds)


def _shortly(value: object) -> str:
    """Return its repr on one line, of a length that suits a message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."
