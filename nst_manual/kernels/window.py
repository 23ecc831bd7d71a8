"""The geometry of sliding windows, which convolution and pooling share."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from typing import Any

from nst_manual.errors import ShapeError, UsageError
from nst_manual.nets.sizes import output_size

Pair = tuple[int, int]


def pair(value: int | Pair, what: str, least: int = 0) -> Pair:
    """Return `value` as (height, width); an int stands for both.

    Raises
    ------
    UsageError
        It is neither an int nor two ints, or one is below `least`.
    """
    wanted = UsageError(what, f"expected an int or a pair of ints of at least {least}, got {value!r}")
    try:
        values = tuple(value) if isinstance(value, Iterable) else (value, value)
        values = tuple(operator.index(v) for v in values)  # NumPy's ints too, but no floats
    except TypeError:
        raise wanted from None
    if len(values) != 2 or min(values) < least:
        raise wanted
    return values


def output_shape(
    x_shape: tuple[int, ...], k: Pair, s: Pair, p: Pair, d: Pair = (1, 1), ceil_mode: bool = False
) -> Pair:
    """Return the output's height and width for an input (N, H, W, C).

    Raises
    ------
    ShapeError
        The input is not four-dimensional, or smaller than the window.
    """
    if len(x_shape) != 4:
        raise ShapeError("input", f"expected (N, H, W, C), got shape {tuple(x_shape)}")
    h, w = (output_size(x_shape[1 + a], k[a], s[a], p[a], d[a], ceil_mode) for a in (0, 1))
    if h < 1 or w < 1:
        least = [
            next(n for n in itertools.count(1) if output_size(n, k[a], s[a], p[a], d[a], ceil_mode) > 0)
            for a in (0, 1)
        ]
        raise ShapeError(
            "input",
            f"{x_shape[1]} x {x_shape[2]} pixels do not hold one window, "
            f"expected at least {least[0]} x {least[1]}",
        )
    return h, w


def overhang(image: Pair, k: Pair, size: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Pair:
    """Return how far below and right of the padded image the last windows reach (ceil_mode lets them)."""
    return tuple(
        max(0, (size[a] - 1) * stride[a] + dilation[a] * (k[a] - 1) + 1 - image[a] - 2 * padding[a])
        for a in (0, 1)
    )


def pad(xp: Any, x: Any, p: Pair, value: float = 0.0, extra: Pair = (0, 0)) -> Any:
    """Return x (N, H, W, C) with a border of `value`: p on each side, and `extra` more below and on the
    right.
    """
    if p == (0, 0) and extra == (0, 0):
        return x
    n, h, w, c = x.shape
    padded = xp.full((n, h + 2 * p[0] + extra[0], w + 2 * p[1] + extra[1], c), value, dtype=x.dtype)
    padded[:, p[0] : p[0] + h, p[1] : p[1] + w] = x
    return padded


def crop(xp: Any, x: Any, p: Pair, size: Pair, *, out: Any = None) -> Any:
    """Return x (N, H, W, C) without its border, in an array of its own or in `out`: the adjoint of `pad`."""
    inner = x[:, p[0] : p[0] + size[0], p[1] : p[1] + size[1]]
    if out is None:
        return xp.ascontiguousarray(inner)
    out[...] = inner
    return out


def position(x: Any, u: int, v: int, size: Pair, s: Pair, d: Pair = (1, 1)) -> Any:
    """Return the view of padded x that kernel position (u, v) meets while the window takes `size` positions.

    x (N, Hp, Wp, C) -> (N, Ho, Wo, C); element (i, j) is x[:, i s + u d, j s + v d].
    """
    top, left = u * d[0], v * d[1]
    return x[:, top : top + (size[0] - 1) * s[0] + 1 : s[0], left : left + (size[1] - 1) * s[1] + 1 : s[1]]


def group_slices(groups: int, c: int, o: int) -> list[tuple[slice, slice]]:
    """Return the input channels and the output channels of each group."""
    c, o = c // groups, o // groups
    return [(slice(g * c, (g + 1) * c), slice(g * o, (g + 1) * o)) for g in range(groups)]
