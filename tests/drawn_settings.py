"""Hypothesis strategies: geometries that hold at least one window."""

from fused_checks import Fused
from hypothesis import settings
from hypothesis import strategies as st
from kernel_checks import Conv, Pool, tile_of

from nst_manual.kernels import conv_planes


def examples(share):
    """Settings with a share of the profile's examples, for tests that take long or see much in each."""
    return settings(max_examples=max(1, round(share * settings().max_examples)))


def pairs(low, high):
    """Two ints, for height and width."""
    return st.tuples(st.integers(low, high), st.integers(low, high))


def convolutions(algorithm, most_groups=3):
    """Convolutions that the algorithm can compute."""
    if tile_of(algorithm):
        return tiled_convolutions()
    return all_convolutions(1 if algorithm.__name__ == conv_planes.__name__ else most_groups)


@st.composite
def all_convolutions(draw, most_groups=3):
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
def tiled_convolutions(draw):
    """Convolutions 3x3 of stride 1: from a part of a tile to some tiles and the rest of one."""
    padding = draw(pairs(0, 2))
    # not sizes alike: most loops would be spent on the largest
    size = tuple(draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 9, 14])) for _ in padding)
    size = tuple(max(side, 3 - 2 * p) for side, p in zip(size, padding, strict=True))
    small = size[0] * size[1] <= 64  # so that the loops end
    groups = draw(st.sampled_from([1, 1, 2, 3] if small else [1, 2]))
    most = (5 if small else 2) // groups
    return Conv(
        x=(draw(st.integers(1, 2)) if small else 1, *size, groups * draw(st.integers(1, most))),
        out=groups * draw(st.integers(1, most)),
        padding=padding,
        groups=groups,
        bias=draw(st.booleans()),
        band_bytes=draw(st.sampled_from([1, 500, 2**21])),
        seed=draw(st.integers(0, 2**16)),
    )


@st.composite
def fused_rows(draw):
    """What stands behind a convolution: ReLU, a pooling, both; bands of any rows."""
    pool = draw(st.sampled_from(["", "max", "average"]))
    size = draw(pairs(2 if pool else 1, 11))
    return Fused(
        values=(draw(st.integers(1, 2)), *size, draw(st.integers(1, 4))),
        pool=pool,
        rectified=not pool or draw(st.booleans()),
        bias=draw(st.booleans()),
        masked=draw(st.booleans()),
        tiled=draw(st.booleans()),
        bands=tuple(draw(st.lists(st.integers(1, 10), max_size=6))),
        dtype=draw(st.sampled_from(["float32", "float64"])),
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
