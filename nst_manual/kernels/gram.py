"""Gram matrices: which channels of a layer are active together, summed over all positions.

    S[n, c, d]  = sum over i, j of x[n, i, j, c] x[n, i, j, d]        (N, C, C), the paper's G
    dx[n, i, j] = x[n, i, j] (D + D^T)[n]                             D = dL/dS (N, C, C), symmetric or not

With a shift, x - shift stands for x in both: means of the channels make a covariance of it. The product of
two different layers, or of a layer and itself moved, is rectangular:

    S[n, c, d]  = sum over i, j of x[n, i, j, c] y[n, i, j, d]        (N, C, D): cross
    dx[n, i, j] = y[n, i, j] D[n]^T,  dy[n, i, j] = x[n, i, j] D[n]   two times add_product

L. Gatys, A. Ecker, M. Bethge, "Image style transfer using convolutional neural networks" (CVPR 2016),
equations 3 and 6. Both are matrix products over F = x as (M, C), M = H W, and are cut into BANDS bands of
positions for several threads; the sums over the bands are added in order, so that the result does not depend
on how many threads there are. On a GPU each is one product, which adds to what is there by itself.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module, on_gpu, product, scratch
from nst_manual.kernels.rows import band_slices
from nst_manual.threads import parallel

BANDS = 8
# Positions of a band on the way back, at most: its products stay in the cache until they are added.
BACKWARD_POSITIONS = 1024


def forward(x: Any, shift: Any = None) -> Any:
    """Return S (N, C, C) for x (N, H, W, C), less a shift (N, C) or number."""
    xp = array_module(x)
    features = _positions(x)  # (N, M, C)
    if on_gpu(x):
        return _matrices(_shifted(features, shift), _shifted(features, shift))
    bands = band_slices(features.shape[1], max(1, -(-features.shape[1] // BANDS)))
    parts = xp.empty((len(bands), x.shape[0], x.shape[3], x.shape[3]), x.dtype)

    def band(index: int, positions: slice) -> None:
        part = _shifted(features[:, positions], shift)
        xp.matmul(part.transpose(0, 2, 1), part, out=parts[index])

    parallel(band, enumerate(bands))
    return parts.sum(axis=0)


def input_gradient(x: Any, ds: Any, shift: Any = None, *, out: Any = None, add: bool = False) -> Any:
    """Return dx (N, H, W, C) for ds (N, C, C), the gradient with respect to each entry of S.

    With `add`, it is added to what `out` holds. The shift is that of `forward`. If it was the mean of x, dx
    holds nevertheless: the mean's own part is a sum over x - mean, which is 0.
    """
    xp = array_module(x)
    features = _positions(x)
    dx = xp.empty(x.shape, xp.result_type(x, ds)) if out is None else out
    if not dx.flags.c_contiguous:
        whole = input_gradient(x, ds, shift)
        dx[...] = dx + whole if add else whole
        return dx
    flat = _positions(dx)
    both = ds + ds.transpose(0, 2, 1)
    if on_gpu(x):
        product(_shifted(features, shift), both, flat, add)
        return dx

    def band(positions: slice) -> None:
        part = _shifted(features[:, positions], shift)
        if add:
            products = scratch("gram gradient", part.shape, flat.dtype, x)
            xp.matmul(part, both, out=products)
            flat[:, positions] += products
        else:
            xp.matmul(part, both, out=flat[:, positions])

    count = features.shape[1]
    positions = min(BACKWARD_POSITIONS, -(-count // BANDS))
    parallel(band, ((part,) for part in band_slices(count, positions)))
    return dx


def cross(x: Any, y: Any) -> Any:
    """Return S (N, C, D) for x (N, H, W, C) and y (N, H, W, D); both may be parts of larger arrays."""
    xp = array_module(x, y)
    if on_gpu(x):
        return _matrices(_positions(x), _positions(y))
    count, channels, others = x.shape[0], x.shape[3], y.shape[3]
    bands = band_slices(x.shape[1], max(1, -(-x.shape[1] // BANDS)))
    rows = max(1, BACKWARD_POSITIONS // x.shape[2])
    sums = xp.zeros((len(bands), count, channels, others), xp.result_type(x, y))

    def band(index: int, whole: slice, n: int) -> None:
        part_sums = scratch("cross product", (channels, others), sums.dtype, x)
        for part in band_slices(whole.stop - whole.start, rows):
            part = slice(whole.start + part.start, whole.start + part.stop)
            a, b = _together(x[n, part], "cross x"), _together(y[n, part], "cross y")
            sums[index, n] += xp.matmul(a.T, b, out=part_sums)

    parallel(band, ((index, part, n) for index, part in enumerate(bands) for n in range(count)))
    return sums.sum(axis=0)


def add_product(x: Any, w: Any, *, out: Any) -> None:
    """Add x[n, i, j] w[n] to out (N, H, W, D), for x (N, H, W, C) and w (N, C, D).

    Both arrays of positions may be parts of larger ones, as long as they do not share memory.
    """
    xp = array_module(x, w)
    if on_gpu(x):
        if out.flags.c_contiguous:
            product(_positions(x), w, _positions(out), add=True)
        else:
            products = xp.empty((len(x), x.shape[1] * x.shape[2], w.shape[2]), out.dtype)
            product(_positions(x), w, products)
            out += products.reshape(out.shape)
        return

    def band(n: int, rows: slice) -> None:
        part = _together(x[n, rows], "product x")  # (P, C)
        products = scratch("product", (len(part), w.shape[2]), out.dtype, x)
        xp.matmul(part, w[n], out=products)
        out[n, rows] += products.reshape(out[n, rows].shape)

    bands = band_slices(x.shape[1], max(1, BACKWARD_POSITIONS // x.shape[2]))
    parallel(band, ((n, rows) for n in range(x.shape[0]) for rows in bands))


def _matrices(a: Any, b: Any) -> Any:
    """Return a[n]^T b[n] (N, C, D) for a (N, M, C) and b (N, M, D), on a GPU."""
    sums = array_module(a).empty((len(a), a.shape[2], b.shape[2]), a.dtype)
    product(a.transpose(0, 2, 1), b, sums)
    return sums


def _shifted(part: Any, shift: Any) -> Any:
    """Return part (N, P, C) itself, or less the shift in scratch memory."""
    if shift is None:
        return part
    xp = array_module(part)
    shift = shift[:, None] if getattr(shift, "ndim", 0) else shift
    return xp.subtract(part, shift, out=scratch("gram shifted", part.shape, part.dtype, part))


def _together(part: Any, name: str) -> Any:
    """Return part (H, W, C) as (H W, C), copied into scratch memory where it does not lie together."""
    if not part.flags.c_contiguous:
        copy = scratch(name, part.shape, part.dtype, part)
        copy[...] = part
        part = copy
    return part.reshape(-1, part.shape[2])


def _positions(x: Any) -> Any:
    """Return x (N, H, W, C) as (N, M, C)."""
    return x.reshape(x.shape[0], -1, x.shape[3])
