"""Maximum over windows.

    y[n, i, j, c]  = max over u, v of x[n, i s + u d - p, j s + v d - p, c]     (outside the image: -infinity)
    dx gets dy at the window's maximum; a tie goes to the first in row-major order, as in PyTorch.

NaN wins over every number, and the last NaN of several over the others, as in PyTorch. Forward can return the
winners (the kernel position u kw + v, one byte where that fits), which is all that backward needs. Complex
input is compared by its real part.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.kernels.masked import masked
from nst_manual.kernels.window import Pair, crop, output_shape, overhang, pad, position


def forward(
    x: Any,
    k: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
    *,
    out: Any = None,
) -> tuple[Any, Any]:
    """Return y (N, Ho, Wo, C) and the winning positions (N, Ho, Wo, C) for x (N, H, W, C)."""
    xp = array_module(x)
    size = output_shape(x.shape, k, stride, padding, dilation, ceil_mode)
    image = x.shape[1:3]
    beyond = overhang(image, k, size, stride, padding, dilation)
    x = pad(xp, x, padding, -xp.inf, beyond)
    # where a window has met a pixel of the image yet: its first one wins over the padding even if it is
    # -infinity
    met = None if padding == beyond == (0, 0) else xp.zeros((*size, 1), bool)
    y = xp.empty((x.shape[0], *size, x.shape[3]), x.dtype) if out is None else out
    y[...] = position(x, 0, 0, size, stride, dilation)
    winner = xp.zeros(y.shape, xp.uint8 if k[0] * k[1] <= 256 else xp.int64)
    for u in range(k[0]):
        for v in range(k[1]):
            if met is None and u == v == 0:
                continue  # y begins with it
            seen = position(x, u, v, size, stride, dilation)
            wins = (seen.real > y.real) | (seen.real != seen.real)  # NaN differs from itself
            if met is not None:
                inside = _inside(xp, u, v, image, size, stride, padding, dilation)
                wins |= inside & ~met
                met |= inside
            if x.dtype.kind == "c":
                xp.copyto(y, seen, where=wins)
            else:
                xp.maximum(y, seen, out=y)  # keeps a NaN
            # winner = u kw + v where it wins: by bits, since a branch for each element costs ten times more
            ones = xp.negative(wins.view(xp.int8)).astype(winner.dtype)
            winner ^= (winner ^ winner.dtype.type(u * k[1] + v)) & ones
    return y, winner


def input_gradient(
    dy: Any,
    winner: Any,
    x_shape: tuple[int, ...],
    k: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    *,
    out: Any = None,
) -> Any:
    """Return dx (N, H, W, C) for dy (N, Ho, Wo, C) and the winning positions of forward."""
    xp = array_module(dy)
    n, height, width, c = x_shape
    size = dy.shape[1:3]
    extra = overhang((height, width), k, size, stride, padding, dilation)
    shape = (n, height + 2 * padding[0] + extra[0], width + 2 * padding[1] + extra[1], c)
    dx = xp.zeros(shape, dy.dtype)
    for u in range(k[0]):
        for v in range(k[1]):
            position(dx, u, v, size, stride, dilation)[...] += masked(dy, winner == u * k[1] + v)
    return crop(xp, dx, padding, (height, width), out=out)


def _inside(
    xp: Any, u: int, v: int, image: Pair, size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Any:
    """Return where (Ho, Wo, 1) kernel position (u, v) meets a pixel of the image and not its border."""
    rows, columns = (xp.arange(size[a]) * stride[a] + (u, v)[a] * dilation[a] - padding[a] for a in (0, 1))
    rows, columns = (rows >= 0) & (rows < image[0]), (columns >= 0) & (columns < image[1])
    return (rows[:, None] & columns)[..., None]
