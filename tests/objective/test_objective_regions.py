"""Parts of pictures: where content holds, where the photograph stays, which part of a painting counts; a
drawing under colours.
"""

import numpy as np
import pytest
from smooth_pictures import random_start, smooth_picture

import nst_manual as nst
from nst_manual import Objective
from nst_manual.check import gradcheck
from nst_manual.errors import UsageError
from nst_manual.images import to_uint8
from nst_manual.losses.masked_content import MaskedContentLoss

CONTENT, STYLE, OTHER = smooth_picture(0, 36, 40), smooth_picture(1, 40, 38), smooth_picture(2, 33, 40)
LEFT = np.zeros((36, 40, 3), np.uint8)
LEFT[:, :20] = 255
SOFT = np.repeat(np.linspace(0, 255, 40).astype(np.uint8)[None, :, None], 36, axis=0).repeat(3, axis=2)
SMALL = {
    "network": "vgg11",
    "weights": "random",
    "size": 40,
    "content_layers": "relu2_1",
    "style_layers": "relu1_1,relu2_1",
}


def objective(styles=(STYLE,), content=CONTENT, **options):
    return Objective(content, list(styles), **SMALL | {"dtype": "float64", "plain": True} | options)


def start(ours):
    return random_start(3, ours.shape).astype(float)


@pytest.mark.parametrize(
    "options",
    [
        {"content_mask": SOFT},
        {"untouched": SOFT},
        {"painting_masks": [LEFT]},
        {"sketch": True, "untouched": LEFT},
        {"tv_form": "nine-point", "tv_weight": 1e4, "untouched": SOFT},
    ],
    ids=lambda options: ",".join(options),
)
def test_the_gradient_is_that_of_the_loss(options):
    ours = objective(**options)
    report = gradcheck(ours.network, start(ours))
    assert report.passed, str(report)


def test_content_holds_under_its_mask_alone():
    ours = objective(content_mask=LEFT, style_weight=0, content_layers="relu1_1")
    assert isinstance(ours.network["content/relu1_1"], MaskedContentLoss)
    dx = np.abs(ours(start(ours))[1])[0]
    assert dx[:, :18].max() > 0
    assert dx[:, 22:].max() == 0
    white, plain = objective(content_mask=np.full_like(LEFT, 255)), objective()
    assert white(start(ours))[0] == pytest.approx(plain(start(ours))[0], rel=1e-12)


def test_the_part_of_a_painting_that_counts():
    """Left half a painting, right half black: under a mask, the Gram matrix is nearly that of the left."""
    both = np.concatenate([STYLE[:, :20], np.zeros((40, 20, 3), np.uint8)], axis=1)
    masked = objective([both], painting_masks=[LEFT], style_layers="conv1_1")
    alone = objective([STYLE[:, :20]], style_layers="conv1_1", style_size=40)
    whole = objective([both], style_layers="conv1_1")
    found, expected, other = (o.network["style/conv1_1"].target for o in (masked, alone, whole))
    error, difference = np.linalg.norm(found - expected), np.linalg.norm(other - expected)
    assert error < 0.1 * difference


def test_two_paintings_with_parts_in_two_regions():
    ours = objective([STYLE, OTHER], style_masks=[LEFT, 255 - LEFT], painting_masks=[LEFT, 255 - LEFT])
    assert {name for name in ours.losses if name.startswith("style")} == {
        f"style/relu{block}_1/{number}" for block in (1, 2) for number in (1, 2)
    }
    plain = objective([STYLE, OTHER], style_masks=[LEFT, 255 - LEFT])
    names = ("style/relu1_1/1", "style/relu1_1/2")
    assert all(np.abs(ours.network[n].target - plain.network[n].target).max() > 0 for n in names)


def test_regions_as_one_picture_of_flat_colours():
    colours = np.where(LEFT > 0, [[[10, 20, 60]]], [[[240, 230, 200]]]).astype(np.uint8)  # dark on the left
    one = objective([STYLE, OTHER], style_masks=[colours])
    two = objective([STYLE, OTHER], style_masks=[LEFT, 255 - LEFT])
    np.testing.assert_allclose(one(start(one))[1], two(start(two))[1], rtol=1e-9, atol=1e-12)
    with pytest.raises(UsageError, match="has 2 flat colours, expected one for each of 3 paintings"):
        objective([STYLE, OTHER, STYLE], style_masks=[colours])


def test_what_stays_untouched_is_the_photograph_and_pulls_at_nothing():
    ours = objective(untouched=LEFT)
    x = start(ours)
    loss, dx = ours(x)
    assert np.abs(dx[:, :, :20]).max() == 0
    assert np.abs(dx[:, :, 20:]).max() > 0
    moved = x.copy()
    moved[:, :, :20] += 100  # what the optimiser has there is not seen
    assert ours(moved)[0] == loss
    picture = ours.picture(x[0])
    np.testing.assert_array_equal(picture[:, :20], ours.content[:, :20])
    np.testing.assert_array_equal(picture[:, 20:], x[0, :, 20:])
    assert ours.measure_picture(picture[None]) == loss


def test_a_run_leaves_it_untouched_whatever_the_bounds():
    result = nst.stylize(CONTENT, STYLE, **SMALL, untouched=LEFT, iterations=3, init="noise")
    found, photograph = to_uint8(result.pixels), CONTENT
    np.testing.assert_array_equal(found[:, :20], photograph[:, :20])
    assert np.abs(found[:, 20:].astype(int) - photograph[:, 20:]).mean() > 5


def test_a_mask_that_leaves_nothing_to_paint_is_refused():
    with pytest.raises(UsageError, match="--untouched: is white everywhere"):
        objective(untouched=np.full_like(LEFT, 255))
    with pytest.raises(UsageError, match="--painting-masks: expected one for each of 1 paintings, got 2"):
        objective(painting_masks=[LEFT, LEFT])
    with pytest.raises(UsageError, match="--painting-masks 1: is black everywhere"):
        objective(painting_masks=[LEFT * 0])
    with pytest.raises(UsageError, match="--painting-masks: needs --style-representation gram"):
        objective(painting_masks=[LEFT], style_representation="covariance")


def drawing():
    lines = np.full((36, 40, 3), 255, np.uint8)
    lines[:, 30:31] = 90
    lines[10:12] = 0
    return lines


def test_the_lines_of_a_drawing_stay():
    ours = objective(content=drawing(), sketch=True)
    x = start(ours).clip(0, 255)
    picture = ours.picture(x[0])
    assert picture[10:12].max() == 0
    np.testing.assert_allclose(picture[:8, 30], x[0, :8, 30] * 90 / 255, rtol=1e-6)
    np.testing.assert_allclose(picture[:8, :30], x[0, :8, :30], rtol=1e-6)
    np.testing.assert_allclose(ours.picture(np.full((36, 40, 3), 255.0)), ours.content, rtol=1e-6)


def test_a_drawing_is_coloured_in():
    result = nst.stylize(drawing(), STYLE, **SMALL, sketch=True, iterations=4)
    pixels = to_uint8(result.pixels).astype(int)
    assert pixels[10:12].max() == 0
    assert np.ptp(pixels[:8, :28], axis=2).mean() > 10  # colours
    assert result.saved_loss == pytest.approx(result.loss, rel=0.1)
    assert result.history[0]["loss"] > result.loss
    twice = nst.stylize(drawing(), STYLE, **SMALL | {"size": 80}, sketch=True, iterations=2, scales=2)
    assert to_uint8(twice.pixels)[21:23].max() == 0
