"""How work is cut into bands of rows: small ones on a processor, everything at once on a GPU.

On a processor a band stays in the cache while several steps are made of it, and threads take bands side by
side. On a GPU the memory is fast and each step of each band is one more launch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nst_manual.backend import on_gpu
from nst_manual.kernels.rows import band_slices
from nst_manual.threads import parallel


def bands(like: Any, height: int, rows: int, gpu_rows: int | None = None) -> list[slice]:
    """Return slices of at most that many rows which together are the height.

    Parameters
    ----------
    like : array
        Lives where the work is done.
    height, rows : int
    gpu_rows : int, optional
        The rows on a GPU, for steps that take much memory; all of them without.
    """
    if on_gpu(like):
        rows = gpu_rows or max(1, height)
    return band_slices(height, rows)


def run(function: Callable[..., Any], items: Iterable[tuple], like: Any) -> None:
    """Call function(*item) for all items: by several threads, on a GPU in order.

    Threads could not launch faster, and each has a stream of its own as the current one.
    """
    if not on_gpu(like):
        parallel(function, items)
        return
    for item in items:
        function(*item)
