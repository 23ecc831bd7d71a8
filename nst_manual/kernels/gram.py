"""Gram matrices: which channels of a layer are active together, summed over all positions.

    S[n, c, d]  = sum over i, j of x[n, i, j, c] x[n, i, j, d]        (N, C, C), the paper's G
    dx[n, i, j] = x[n, i, j] (D + D^T)[n]                             D = dL/dS (N, C, C), symmetric or not

L. Gatys, A. Ecker, M. Bethge, "Image style transfer using convolutional neural networks" (CVPR 2016),
equations 3 and 6. Both are matrix products over F = x as (M, C), M = H W, and are cut into BANDS bands of
positions for several threads; the sums over the bands are added in order, so that the result does not depend
on how many threads there are.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, parallel, scratch
from nst_manual.kernels.rows import band_slices

BANDS = 8
# Positions of a band on the way back, at most: its products stay in the cache until they are added.
BACKWARD_POSITIONS = 1024


def forward(x: Any) -> Any:
    """Return S (N, C, C) for x (N, H, W, C)."""
    xp = array_module(x)
    features = _positions(x)  # (N, M, C)
    bands = band_slices(features.shape[1], max(1, -(-features.shape[1] // BANDS)))
    parts = xp.empty((len(bands), x.shape[0], x.shape[3], x.shape[3]), x.dtype)

    def band(index: int, positions: slice) -> None:
        part = features[:, positions]
        xp.matmul(part.transpose(0, 2, 1), part, out=parts[index])

    parallel(band, enumerate(bands))
    return parts.sum(axis=0)


def input_gradient(x: Any, ds: Any, *, out: Any = None, add: bool = False) -> Any:
    """Return dx (N, H, W, C) for ds (N, C, C), the gradient with respect to each entry of S.

    With `add`, it is added to what `out` holds.
    """
    xp = array_module(x)
    features = _positions(x)
    dx = xp.empty(x.shape, xp.result_type(x, ds)) if out is None else out
    if not dx.flags.c_contiguous:
        whole = input_gradient(x, ds)
        dx[...] = dx + whole if add else whole
        return dx
    flat = _positions(dx)
    both = ds + ds.transpose(0, 2, 1)

    def band(positions: slice) -> None:
        part = features[:, positions]
        if add:
            product = scratch("gram gradient", part.shape, flat.dtype, x)
            xp.matmul(part, both, out=product)
            flat[:, positions] += product
        else:
            xp.matmul(part, both, out=flat[:, positions])

    count = features.shape[1]
    positions = min(BACKWARD_POSITIONS, -(-count // BANDS))
    parallel(band, ((part,) for part in band_slices(count, positions)))
    return dx


def _positions(x: Any) -> Any:
    """Return x (N, H, W, C) as (N, M, C)."""
    return x.reshape(x.shape[0], -1, x.shape[3])
