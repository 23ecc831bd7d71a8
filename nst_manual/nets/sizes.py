"""How many positions a sliding window has; sizes follow PyTorch, ceil_mode included."""

from __future__ import annotations


def output_size(size: int, k: int, s: int, p: int, d: int = 1, ceil_mode: bool = False) -> int:
    """Return how many positions a window has along an axis.

    Parameters
    ----------
    size, k, s, p, d : int
        Input size, kernel size, stride, padding on each side, dilation.
    ceil_mode : bool
        Let the last window hang over the end; it must still begin inside the input or the padding before it.

    Returns
    -------
    int
        floor((size + 2 p - d (k - 1) - 1) / s) + 1, or with ceil; at most 0 where the window does not fit.
    """
    span = size + 2 * p - d * (k - 1) - 1
    if not ceil_mode:
        return span // s + 1
    positions = -(-span // s) + 1
    if (positions - 1) * s >= size + p:  # would begin in the padding behind the input
        positions -= 1
    return positions
