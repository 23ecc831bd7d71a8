"""The words on a contact sheet: captions of several lines, and a title."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont

from nst_manual.images import contact_sheet
from nst_manual.images.sheet import MAX_LINES, _lines

FONT = ImageFont.load_default(size=13)
WHITE = np.full((120, 180, 3), 255.0)


def test_a_caption_goes_on_in_the_next_line_where_it_makes_sense():
    assert _lines("relu3_1, 1e-3", FONT, 180) == ["relu3_1, 1e-3"]
    assert _lines("style-weight 100, total-variation 0", FONT, 180) == [
        "style-weight 100,",
        "total-variation 0",
    ]
    assert _lines("style-layers relu1_1, plain false", FONT, 180) == ["style-layers relu1_1,", "plain false"]
    layers = "style-layers relu1_1,relu2_1,relu3_1,relu4_1"
    found = _lines(layers, FONT, 180)
    assert len(found) == 2
    assert found[0].endswith(",")
    assert "".join(found) == layers
    assert _lines("", FONT, 180) == [""]


@pytest.mark.parametrize("text", ["w" * 90, "word " * 90, "a,b," * 60, "one, " + "w" * 90])
def test_lines_are_never_too_long_nor_too_many(text):
    found = _lines(text, FONT, 180)
    assert 1 <= len(found) <= MAX_LINES
    assert all(0 < FONT.getlength(line) <= 180 for line in found)
    assert found[-1].endswith("...")


def test_the_sheet_makes_room_for_the_longest_caption_of_all():
    one = contact_sheet([("a", WHITE), ("b", WHITE)], columns=1)
    two = contact_sheet([("a", WHITE), ("style-weight 100, total-variation 0", WHITE)], columns=1)
    line = sum(FONT.getmetrics())
    assert two.shape[0] - one.shape[0] == 2 * line
    for sheet, words in ((one, line), (two, 2 * line)):
        tops = np.nonzero((sheet == 255).all(axis=2).sum(axis=1) == 180)[0]
        assert tops[120] - tops[0] == 120 + 10 + words + 32
        # nothing but paper between the words of the first picture and the second
        assert (sheet[tops[119] + 10 + words + 4 : tops[120] - 1] == sheet[0, 0]).all()


def test_a_title_stands_above_and_moves_nothing_else():
    without = contact_sheet([("a", WHITE)] * 2, columns=2)
    titled = contact_sheet([("a", WHITE)] * 2, columns=2, title="vgg16, 192 pixels")
    more = titled.shape[0] - without.shape[0]
    assert more > 20
    np.testing.assert_array_equal(titled[more + 31 :], without[31:])
    inked = np.nonzero((titled[: more + 31] != titled[0, 0]).any(axis=(1, 2)))[0]
    assert inked.min() >= 32
    narrow = contact_sheet([("a", WHITE)], title="a title that has many more words than one line can hold")
    assert narrow.shape[0] - contact_sheet([("a", WHITE)]).shape[0] > more
