"""Where an array is wrong, and what would have made it so."""

import numpy as np
import pytest

from nst_manual.check.diagnosis import likely_cause, relative_error, where

RIGHT = np.random.default_rng(0).standard_normal((2, 5, 6, 3))


def changed(index, value):
    """A copy with other values in some places."""
    array = RIGHT.copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ((1, 2, 3, 0), "at one element, image 1, row 2, column 3, channel 0: 9 where"),
        (np.s_[..., 1], "channel 1 alone"),
        (np.s_[..., 2], "channel 2 alone, the last of 3"),
        (np.s_[:, :, -1], "column 5 alone, the last of 6"),
        (np.s_[:, 3:], "rows 3 to the last"),
        (np.s_[:, 1:3], "rows 1 to 2"),
        (np.s_[:, :, ::2], "every 2nd column from 0 on"),
        (np.s_[1], "image 1 alone, the last of 2"),
    ],
)
def test_the_wrong_elements_are_pointed_at(index, words):
    assert words in where(changed(index, 9), RIGHT)


def test_the_border_is_called_that():
    array = RIGHT.copy()
    array[:, 0] = array[:, -1] = array[:, :, 0] = array[:, :, -1] = 0
    assert "on the border (first row, last row, first column, last column)" in where(array, RIGHT)
    array = RIGHT.copy()
    array[:, 0] = array[:, :, 0] = 0
    assert "on the border (first row, first column)" in where(array, RIGHT)


def test_what_is_right_is_nowhere_wrong():
    assert where(RIGHT, RIGHT) == likely_cause(RIGHT, RIGHT) == ""
    assert where(RIGHT * (1 + 1e-14), RIGHT) == ""
    assert where(RIGHT + 1, RIGHT) == "everywhere"
    assert where(RIGHT[:1], RIGHT) == "shape (1, 5, 6, 3), expected (2, 5, 6, 3)"


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (2 * RIGHT, "twice as large"),
        (RIGHT / 2, "half as large"),
        (-RIGHT, "of the wrong sign"),
        (RIGHT * 30, "the number of positions (30) as a factor too many"),
        (RIGHT / 30, "lacks the number of positions (30)"),
        (RIGHT * 1.0001, "too few digits"),
        (RIGHT * 7.3, "7.3 times what it should be"),
        (RIGHT * 0, "zero everywhere"),
        (RIGHT.astype("float32").astype(float), "digits of float32"),
        (RIGHT + 1e-7 * np.random.default_rng(1).standard_normal(RIGHT.shape), "computed in float32"),
        (RIGHT[:, ::-1], "upside down"),
        (RIGHT[:, :, ::-1], "left and right"),
        (RIGHT[:, ::-1, ::-1], "turned by 180 degrees"),
        (RIGHT[..., ::-1], "channels is reversed"),
        (np.roll(RIGHT, 1, 1), "shifted down by one"),
        (np.roll(RIGHT, -1, 2), "shifted left by one"),
        (changed((0, 1, 2, 0), np.nan), "1 elements are NaN"),
        (changed(np.s_[:, 2], 0), "left out"),
        (changed(np.s_[:, 2], 2 * RIGHT[:, 2]), "counted twice"),
        (RIGHT + 5, "a five is added"),
        (RIGHT.transpose(0, 2, 1, 3), "axes are in another order"),
        (RIGHT[:, :4], "off by one"),
        (RIGHT[0], "it has 3 axes, expected 4"),
    ],
)
def test_the_mistake_is_named(got, words):
    known = {"a five is added": RIGHT + 5}
    assert words in likely_cause(got, RIGHT, alternatives=known, factors={"the number of positions": 30.0})


def test_a_square_matrix_may_be_transposed():
    square = RIGHT[0, :3, :3, 0]
    assert likely_cause(square.T, square) == "it is transposed"


def test_what_nobody_knows_is_not_named():
    assert likely_cause(np.random.default_rng(5).standard_normal(RIGHT.shape), RIGHT) == ""


def test_the_error_is_relative_and_infinite_where_nothing_can_be_compared():
    assert relative_error(RIGHT * 1.5, RIGHT) == pytest.approx(0.5)
    assert relative_error(RIGHT[0], RIGHT) == np.inf
    assert relative_error(changed((0, 0, 0, 0), np.nan), RIGHT) == np.inf
    both = changed((0, 0, 0, 0), np.inf)
    assert relative_error(both, both) == np.inf
    assert relative_error(np.full(3, 1e-3), np.zeros(3)) == np.inf
    assert relative_error(np.zeros(3), np.zeros(3)) == 0
