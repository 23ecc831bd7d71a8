"""The checks find mistakes inside the fast convolutions, and in what is fused with them."""

import numpy as np
import pytest
from fused_checks import Fused, check_fused
from kernel_checks import Conv, check_conv_by_adjoint, check_conv_by_loops
from planted import changed, planted

from nst_manual.kernels import conv_planes, conv_winograd, fused, masked
from nst_manual.kernels import winograd_transforms as transforms
from nst_manual.kernels.conv_winograd import winograd, winograd6

# -- convolution in tiles, and in planes: mistakes inside ----------------------------------------------------

TILES = Conv(x=(2, 7, 9, 4), out=4, padding=(1, 1), band_bytes=1)
NO_PADDING = Conv(x=(2, 7, 6, 4), out=4, padding=(0, 0), band_bytes=500)


def with_entry(matrix, i, j, value):
    """Return a copy of a matrix, as rows, with another number in one place."""
    rows = [list(row) for row in matrix]
    assert rows[i][j] != value
    rows[i][j] = value
    return rows


def never_turned(tile, dtype, xp, turned, matrices=conv_winograd.matrices):
    """The matrices of the way forward on the way back."""
    return matrices(tile, dtype, xp, False)


def without_border(pixels, *rest, transform_input=conv_winograd.transform_input):
    """The last row of pixels that a band of tiles sees is taken as outside the image."""
    pixels[-1] = 0
    transform_input(pixels, *rest)


def rows_for_columns(m, *rest, transform_output=conv_winograd.transform_output):
    """The tiles are transposed."""
    return transform_output(m, *rest).transpose(1, 0, 2)


def whole_tiles_alone(tiles, pixels, scatter=conv_winograd.scatter):
    """Tiles that reach beyond the image are left out."""
    pixels[...] = 0
    t = len(tiles)
    rows, columns = (t * (side // t) for side in pixels.shape[:2])
    scatter(tiles[:, :, : rows // t, : columns // t], pixels[:rows, :columns])


def a_row_too_low(source, n, top, *rest, padded_rows=conv_winograd.padded_rows):
    """The padding above is off by one."""
    return padded_rows(source, n, top + 1, *rest)


def a_pixel_too_far(source, n, top, rows, left, width, padded_rows=conv_winograd.padded_rows):
    """The padding on the left is off by one."""
    band = padded_rows(source, n, top, rows, left, width)
    return np.roll(band, 1, axis=1)


def first_image_alone(source, n, *rest, padded_rows=conv_winograd.padded_rows):
    """Every image is the first."""
    return padded_rows(source, 0, *rest)


def with_matrix(tile, name, change):
    """Return all matrices, that of one size and name changed."""
    own = transforms.MATRICES[tile]
    return {"MATRICES": transforms.MATRICES | {tile: own | {name: change(own[name])}}}


def other_sign(matrix):
    """The first number of the third row that is not 0 has the other sign."""
    j = next(j for j, value in enumerate(matrix[2]) if value)
    return with_entry(matrix, 2, j, -matrix[2][j])


def rounded(matrix):
    """In half the digits."""
    return np.asarray(matrix, "float32").tolist()


WINOGRAD_BUGS = {
    "kernel not turned on the way back": {"matrices": never_turned},
    "the border of a tile lost": {"transform_input": without_border},
    "tiles transposed": {"transform_output": rows_for_columns},
    "the last part of a tile dropped": {"scatter": whole_tiles_alone},
    "padding above off by one": {"padded_rows": a_row_too_low},
    "padding left off by one": {"padded_rows": a_pixel_too_far},
    "second image forgotten": {"padded_rows": first_image_alone},
}
MATRIX_BUGS = {
    "a sign in B": ("B_T", other_sign),
    "rows of B in another order": ("B_T", lambda b: [*b[:2], b[3], b[2], *b[4:]]),
    "a sign in A": ("A_T", other_sign),
    "the last number of A forgotten": ("A_T", lambda a: with_entry(a, -1, -1, 0)),
    "a number in G": ("G", lambda g: with_entry(g, 3, 0, g[3][0] * 1.01)),
    "G rounded": ("G", rounded),
}
every_tile = pytest.mark.parametrize("algorithm", [winograd, winograd6], ids=["4x4", "6x6"])


@every_tile
@pytest.mark.parametrize("check", [check_conv_by_loops, check_conv_by_adjoint])
@pytest.mark.parametrize("bug", WINOGRAD_BUGS.values(), ids=WINOGRAD_BUGS)
def test_a_mistake_inside_winograds_convolution_is_found(bug, check, algorithm, monkeypatch):
    for case in (TILES, NO_PADDING):
        check(algorithm, case)
    for name, value in bug.items():
        monkeypatch.setattr(conv_winograd, name, value)
    with pytest.raises(AssertionError):
        check(algorithm, TILES)


@every_tile
@pytest.mark.parametrize("check", [check_conv_by_loops, check_conv_by_adjoint])
@pytest.mark.parametrize("bug", MATRIX_BUGS.values(), ids=MATRIX_BUGS)
def test_a_mistake_in_winograds_matrices_is_found(bug, check, algorithm, monkeypatch):
    check(algorithm, TILES)
    transforms.matrices.cache_clear()
    monkeypatch.setattr(transforms, *with_matrix(algorithm.tile, *bug).popitem())
    try:
        with pytest.raises(AssertionError):
            check(algorithm, TILES)
    finally:
        transforms.matrices.cache_clear()


WINOGRAD_WRAPPED = {
    f"dx {algorithm.tile}x{algorithm.tile}: {name}": planted(
        algorithm, input_gradient=lambda *args, bug=bug, f=algorithm.input_gradient: bug(f, *args)
    )
    for algorithm in (winograd, winograd6)
    for name, bug in {
        "channels transposed": lambda f, dy, w, *rest: f(dy, w.transpose(0, 1, 3, 2), *rest),
        "scaled by 1 + 1e-11": lambda f, *args: f(*args) * (1 + 1e-11),
        "computed in float32": lambda f, dy, w, *rest: f(
            dy.astype("float32"), w.astype("float32"), *rest
        ).astype(float),
        "last column lost": lambda f, *args: changed(f(*args), np.s_[:, :, -1], 0),
    }.items()
}


@pytest.mark.parametrize("check", [check_conv_by_loops, check_conv_by_adjoint])
@pytest.mark.parametrize("bug", WINOGRAD_WRAPPED.values(), ids=WINOGRAD_WRAPPED)
def test_the_wider_bound_of_winograd_is_narrow_enough(bug, check):
    with pytest.raises(AssertionError):
        check(bug, TILES)


def last_band_dropped(*args, bands=conv_planes._bands, **options):
    """The last rows of every image are not computed."""
    return [band for band in bands(*args, **options) if band[1] == 0]


def positions_swapped(planes, u, v, *rest, seen=conv_planes._seen):
    """Rows of the kernel for columns."""
    return seen(planes, v, u, *rest)


PLANES_BUGS = {
    "last bands dropped": {"_bands": last_band_dropped},
    "kernel transposed in space": {"_seen": positions_swapped},
    "padding above off by one": {"padded_rows": a_row_too_low},
    "second image forgotten": {"padded_rows": first_image_alone},
}


@pytest.mark.parametrize("bug", PLANES_BUGS.values(), ids=PLANES_BUGS)
def test_a_mistake_inside_the_convolution_in_planes_is_found(bug, monkeypatch):
    check_conv_by_loops(conv_planes, TILES)
    for name, value in bug.items():
        monkeypatch.setattr(conv_planes, name, value)
    with pytest.raises(AssertionError):
        check_conv_by_loops(conv_planes, TILES)


# -- ReLU and pooling on the way -----------------------------------------------------------------------------

ROWS = {
    "relu": Fused(bands=(1, 3, 4)),
    "relu by output": Fused(bands=(2,), masked=False),
    "max": Fused(pool="max", rectified=False, bands=(3, 4)),
    "relu, max": Fused(pool="max", values=(2, 7, 5, 3), bands=(1, 2, 4)),
    "relu, max, tiles": Fused(pool="max", values=(2, 7, 5, 3), bands=(4, 5), tiled=True),
    "average": Fused(pool="average", rectified=False, bands=(2, 5)),
    "relu, average": Fused(pool="average", bands=(3, 4)),
    "relu, average, tiles": Fused(pool="average", values=(2, 7, 5, 3), bands=(4, 5), tiled=True),
}


class MaskFromZero(fused.ReLUSink):
    """Passes the gradient at 0."""

    def finish(self, n, top, bottom, band):
        """Take >= for >."""
        super().finish(n, top, bottom, band)
        if self.mask is not None:
            self.mask[n, top:bottom] = band >= 0


class LetsAllThrough(fused.ReLUSource):
    """Takes >= for >, by the output."""

    def read(self, n, top, bottom, out):
        """Write what is not negative."""
        out[...] = self.dy[n, top:bottom] * (self.y[n, top:bottom] >= 0)


def sink_after(base, change):
    """Return a sink that is right, and then changes what it has kept for the way back."""

    class Wrong(base):
        def __init__(self, y, kept, *rest):
            super().__init__(y, kept, *rest)
            self.all, self.result = kept, y

        def finish(self, n, top, bottom, band):
            super().finish(n, top, bottom, band)
            self.later(n, top, bottom)

        def take_tiles(self, n, top, bottom, tiles):
            super().take_tiles(n, top, bottom, tiles)
            self.later(n, top, bottom)

        def later(self, n, top, bottom):
            change(self.all, self.result, n, top, bottom)

    return Wrong


def mirrored(code, y, n, top, bottom):
    """Counts the window's positions from the end."""
    rows = code[n, top // 2 : bottom // 2]
    rows[rows < 4] = 3 - rows[rows < 4]


def ties_to_the_last(code, y, n, top, bottom):
    """A window of zeros lets the gradient through, at its last pixel."""
    rows = code[n, top // 2 : bottom // 2]
    rows[y[n, top // 2 : bottom // 2] == 0] = 3


def losers_forgotten(code, y, n, top, bottom):
    """Forgets that no value was positive."""
    code[n, top // 2 : bottom // 2] &= 3


def all_positive(mask, y, n, top, bottom):
    """The mask of the ReLU is true everywhere."""
    if mask is not None:
        mask[n, top:bottom] = True


def without_bias(base):
    """Return a sink that forgets the bias."""

    class Wrong(base):
        def __init__(self, y, kept, b, *rest):
            super().__init__(y, kept, None, *rest)

    return Wrong


class OtherRows(fused.MaxUnpoolSource):
    """Even rows for odd ones."""

    def spread(self, n, rows, position, out):
        """Write what the row beside should get."""
        super().spread(n, rows, position ^ 2, out)


class OnlyFromRowZero(fused.MaxUnpoolSource):
    """Takes every band to begin with a whole window."""

    def read(self, n, top, bottom, out):
        """Read from the even row before."""
        even = np.empty((bottom - top + top % 2, *out.shape[1:]), out.dtype)
        super().read(n, top - top % 2, bottom, even)
        out[...] = even[: len(out)]


class LeavesTheRest(fused.AvgUnpoolSource):
    """Does not zero the last pixel, which has no window."""

    def read(self, n, top, bottom, out):
        """Write the windows alone."""
        before = out[:, 2 * self.dy.shape[2] :].copy()
        super().read(n, top, bottom, out)
        out[:, 2 * self.dy.shape[2] :] = before


class WholeGradient(fused.AvgUnpoolSource):
    """Gives each pixel all of dy."""

    def spread(self, n, rows, position, out):
        """Do not divide by four."""
        out[...] = self.dy[n, rows]


FUSED_BUGS = {
    "ReLU's mask from >= 0": ("relu", {"ReLUSink": MaskFromZero}),
    "ReLU's output read as >= 0": ("relu by output", {"ReLUSource": LetsAllThrough}),
    "max: positions mirrored": ("max", {"MaxPoolSink": sink_after(fused.MaxPoolSink, mirrored)}),
    "max: ties to the last": ("relu, max", {"MaxPoolSink": sink_after(fused.MaxPoolSink, ties_to_the_last)}),
    "max: nothing positive forgotten": (
        "relu, max, tiles",
        {"MaxPoolSink": sink_after(fused.MaxPoolSink, losers_forgotten)},
    ),
    "max: bias forgotten": ("max", {"MaxPoolSink": without_bias(fused.MaxPoolSink)}),
    "max: bias forgotten in tiles": ("relu, max, tiles", {"MaxPoolSink": without_bias(fused.MaxPoolSink)}),
    "unpool: row parity": ("max", {"MaxUnpoolSource": OtherRows}),
    "unpool: bands begin at even rows": ("max", {"MaxUnpoolSource": OnlyFromRowZero}),
    "unpool: pixels without a window": ("relu, average, tiles", {"AvgUnpoolSource": LeavesTheRest}),
    "average: not divided": ("average", {"AvgUnpoolSource": WholeGradient}),
    "average: mask forgotten": (
        "relu, average",
        {"AvgPoolSink": sink_after(fused.AvgPoolSink, all_positive)},
    ),
    "average: mask forgotten in tiles": (
        "relu, average, tiles",
        {"AvgPoolSink": sink_after(fused.AvgPoolSink, all_positive)},
    ),
    "average: bias forgotten": ("average", {"AvgPoolSink": without_bias(fused.AvgPoolSink)}),
}


@pytest.mark.parametrize(("case", "bug"), FUSED_BUGS.values(), ids=FUSED_BUGS)
def test_a_wrong_sink_or_source_is_found(case, bug):
    check_fused(fused, ROWS[case])
    with pytest.raises(AssertionError):
        check_fused(planted(fused, **bug), ROWS[case])


@pytest.mark.parametrize("case", [case for name, case in ROWS.items() if "max" in name])
def test_a_tie_between_the_rows_of_a_window_that_goes_to_the_lower_is_found(case, monkeypatch):
    larger = fused._larger

    def wrong(a, b, out, wins, nan):
        larger(a, b, out, wins, nan)
        wins |= a == b

    monkeypatch.setattr(fused, "_larger", wrong)
    with pytest.raises(AssertionError):
        check_fused(fused, case)


@pytest.mark.parametrize("case", ROWS.values(), ids=ROWS)
def test_a_mask_that_is_turned_about_is_found(case, monkeypatch):
    if case.pool == "average" and not case.rectified:
        return  # there is none
    monkeypatch.setattr(fused, "masked", lambda x, mask, out: masked.masked(x, ~mask, out=out))
    with pytest.raises(AssertionError):
        check_fused(fused, case)
