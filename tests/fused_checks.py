"""The check of ReLU and pooling on the way, against the kernels in a row; raises AssertionError."""

from dataclasses import dataclass

import numpy as np

from nst_manual.kernels import avg_pool, max_pool, relu


@dataclass(frozen=True)
class Fused:
    """What stands behind a convolution's rows, and how the rows come: `values` (N, H, W, O) of it."""

    values: tuple = (2, 6, 5, 3)
    pool: str = ""  # "max", "average" or none
    rectified: bool = True
    bias: bool = True
    masked: bool = True  # a ReLU without pooling keeps a mask, else the output tells
    tiled: bool = False  # a pooling gets its bands as tiles of 4x4
    bands: tuple = ()  # where bands begin besides row 0; for reading at any row, for writing at even ones
    dtype: str = "float64"
    seed: int = 0

    def arrays(self):
        """Return values with many ties, zeros of both signs and a few NaN, bias of whole numbers, and dy."""
        rng = np.random.default_rng(self.seed)
        n, h, w, o = self.values
        x = rng.integers(-2, 3, self.values) + rng.choice([0.0, 0.0, 0.25], self.values)
        x[rng.random(self.values) < 0.2] = -0.0
        x[rng.random(self.values) < 0.05] = np.nan
        b = rng.integers(-1, 2, o) if self.bias else np.zeros(o)
        dy = rng.standard_normal((n, h // 2, w // 2, o) if self.pool else self.values)
        return tuple(array.astype(self.dtype) for array in (x, b, dy))

    def slices(self, multiple=1):
        """Return (top, bottom) of the bands, which begin at multiples."""
        height = self.values[1]
        inner = {top - top % multiple for top in self.bands if top < height} - {0}
        edges = [0, *sorted(inner), height]
        return list(zip(edges[:-1], edges[1:], strict=True))


WINDOWS = (2, 2), (2, 2), (0, 0)


def as_tiles(rows):
    """Return (4, 4, tile rows, tiles across, O) of rows (h, W, O); large numbers where tiles reach beyond."""
    h, w, o = rows.shape
    whole = np.full((-(-h // 4) * 4, -(-w // 4) * 4, o), 1e9, rows.dtype)
    whole[:h, :w] = rows
    tiles = whole.reshape(len(whole) // 4, 4, -1, 4, o).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(tiles)


def one_after_the_other(case):
    """Return y and the gradient before the bias, by the kernels of ReLU and pooling."""
    x, b, dy = case.arrays()
    z = x + b
    r = relu.forward(z) if case.rectified else z
    if case.pool == "max":
        y, winner = max_pool.forward(r, *WINDOWS)
        dr = max_pool.input_gradient(dy, winner, r.shape, *WINDOWS)
    elif case.pool:
        y, dr = avg_pool.forward(r, *WINDOWS), avg_pool.input_gradient(dy, r.shape, *WINDOWS)
    else:
        y, dr = r, dy
    return y, relu.input_gradient(z, dr) if case.rectified else dr


def check_fused(kernels, case):
    """Output and gradient of a sink and its source are, number by number, those of the kernels in a row."""
    x, b, dy = case.arrays()
    n, height, width, _ = case.values
    bias = b if case.bias else None
    expected, expected_dx = one_after_the_other(case)
    y = np.full(expected.shape, 99, case.dtype)
    if case.pool == "max":
        code = np.full(y.shape, 77, "uint8")
        sink = kernels.MaxPoolSink(y, code, bias, width, case.rectified)
        source = kernels.MaxUnpoolSource(dy, code, case.values)
    elif case.pool:
        mask = np.ones(case.values, bool) if case.rectified else None
        sink = kernels.AvgPoolSink(y, mask, bias, width, case.rectified)
        source = kernels.AvgUnpoolSource(dy, mask, case.values)
    else:
        mask = np.ones(case.values, bool) if case.masked else None
        sink = kernels.ReLUSink(y, bias, mask)
        source = kernels.ReLUSource(dy, mask, None if case.masked else y)
    for i in range(n):
        tiled = case.tiled and hasattr(sink, "take_tiles")
        for top, bottom in case.slices(4 if tiled else sink.multiple):
            if tiled:
                sink.take_tiles(i, top, bottom, as_tiles(x[i, top:bottom]))
                continue
            band = sink.place(i, top, bottom)
            band[...] = x[i, top:bottom]
            sink.finish(i, top, bottom, band)
    np.testing.assert_array_equal(y, expected)
    assert source.shape == case.values
    dx = np.full(case.values, 99, case.dtype)
    for i in range(n):
        for top, bottom in case.slices():
            source.read(i, top, bottom, dx[i, top:bottom])
    np.testing.assert_array_equal(dx, expected_dx)
