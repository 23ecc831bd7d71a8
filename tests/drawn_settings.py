"""Hypothesis strategies: geometries that hold at least one window."""

from hypothesis import strategies as st
from kernel_checks import Conv, Pool


def pairs(low, high):
    """Two ints, for height and width."""
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw, most_groups=3):
    """Small convolutions of every kind, bands of one row and of all."""
    k, dilation = draw(pairs(1, 4)), draw(pairs(1, 3))
    padding = tuple(draw(st.integers(0, side)) for side in k)
    least = [max(1, dilation[a] * (k[a] - 1) + 1 - 2 * padding[a]) for a in (0, 1)]
    size = tuple(side + draw(st.integers(0, 4)) for side in least)
    groups = draw(st.integers(1, most_groups))
    return Conv(
        x=(draw(st.integers(1, 2)), *size, groups * draw(st.integers(1, 2))),
        k=k,
        out=groups * draw(st.integers(1, 2)),
        stride=draw(pairs(1, 3)),
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
        band_bytes=draw(st.sampled_from([1, 500, 2**21])),
        seed=draw(st.integers(0, 2**16)),
    )


@st.composite
def poolings(draw, dilated=False):
    """Small poolings whose windows all see the image."""
    k = draw(pairs(1, 4))
    dilation = draw(pairs(1, 3)) if dilated else (1, 1)
    padding = tuple(draw(st.integers(0, side // 2)) for side in k)
    least = [max(1, dilation[a] * (k[a] - 1) + 1 - 2 * padding[a]) for a in (0, 1)]
    size = tuple(side + draw(st.integers(0, 5)) for side in least)
    return Pool(
        x=(draw(st.integers(1, 2)), *size, draw(st.integers(1, 3))),
        k=k,
        stride=draw(pairs(1, 4)),
        padding=padding,
        dilation=dilation,
        ceil_mode=draw(st.booleans()),
        count_include_pad=draw(st.booleans()),
        ties=draw(st.booleans()),
        seed=draw(st.integers(0, 2**16)),
    )
