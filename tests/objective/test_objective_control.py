"""Control over an objective: colours of the paintings, masks, edges; and over the finished picture."""

import numpy as np
import pytest
from PIL import Image
from smooth_pictures import random_start, smooth_picture

import nst_manual as nst
from nst_manual import Objective, config
from nst_manual.check import gradcheck
from nst_manual.errors import UsageError
from nst_manual.images import colour_control, colour_spaces, masks
from nst_manual.losses.guided import guided_gram

CONTENT, STYLE, OTHER = smooth_picture(0, 36, 40), smooth_picture(1, 40, 38), smooth_picture(2, 33, 40)
LEFT = np.zeros((36, 40, 3), np.uint8)
LEFT[:, :20] = 255
SMALL = {
    "network": "vgg11",
    "weights": "random",
    "size": 40,
    "content_layers": "relu2_1",
    "style_layers": "relu1_1,relu2_1",
}


def objective(styles=(STYLE,), **options):
    return Objective(CONTENT, list(styles), **SMALL | {"dtype": "float64", "plain": True} | options)


def test_the_names_are_those_of_the_images():
    assert tuple(colour_control.METHODS) == config.COLOUR_METHODS
    assert colour_spaces.SPACES == config.COLOUR_SPACES
    assert masks.RULES == config.MASK_RULES


def test_under_masks_each_painting_has_losses_of_its_own_and_pulls_at_its_region_alone():
    ours = objective([STYLE, OTHER], style_masks=[LEFT, 255 - LEFT], content_weight=0, style_layers="conv1_1")
    x = random_start(3, ours.shape).astype(float)
    ours(x)
    assert set(ours.losses) == {"style/conv1_1/1", "style/conv1_1/2"}
    for number, other in ((1, 2), (2, 1)):
        module = ours.network[f"style/conv1_1/{number}"]
        ours.network[f"style/conv1_1/{other}"].weight, kept = (
            0.0,
            ours.network[f"style/conv1_1/{other}"].weight,
        )
        dx = np.abs(ours(x)[1])[0]
        ours.network[f"style/conv1_1/{other}"].weight = kept
        inside, outside = (dx[:, :18], dx[:, 22:]) if number == 1 else (dx[:, 22:], dx[:, :18])
        assert inside.max() > 0
        assert outside.max() == 0
        assert module.loss > 0


def test_the_gradient_under_masks_with_edges_kept_is_right():
    ours = objective([STYLE, OTHER], style_masks=[LEFT, 255 - LEFT], laplacian_weight=1e3, mask_rule="grown")
    x = random_start(3, ours.shape).astype(float)
    ours(x)
    assert ours.losses["laplacian"] > 0
    report = gradcheck(ours.network, x)
    assert report.passed, str(report)


def test_a_white_mask_is_no_mask():
    white = np.full((8, 8, 3), 255, np.uint8)
    masked, plain = objective(style_masks=[white]), objective()
    x = random_start(3, plain.shape).astype(float)
    (loss, dx), (other, other_dx) = masked(x), plain(x)
    assert loss == pytest.approx(other, rel=1e-9)
    np.testing.assert_allclose(dx, other_dx, atol=1e-9 * np.abs(dx).max())


def test_the_photograph_has_no_laplacian_loss():
    ours = objective(laplacian_weight=5, style_weight=0, content_weight=0)
    assert list(ours.losses) == ["laplacian"]
    assert ours.measure(CONTENT[None].astype(float)) == pytest.approx(0, abs=1e-9)
    assert ours.measure(STYLE[None, :36, :38].repeat(2, 2)[:, :, :40].astype(float)) > 1


@pytest.mark.parametrize("method", config.COLOUR_METHODS)
def test_paintings_in_the_colours_of_the_photograph_are_the_targets(method):
    dark = STYLE // 2
    matched = np.clip(colour_control.match_colours(dark, CONTENT, method), 0, 255)
    ours, by_hand = objective([dark], match_colours=method), objective([np.round(matched).astype(np.uint8)])
    found, expected = (o.network["style/relu2_1"].target for o in (ours, by_hand))
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)  # rounding to bytes
    assert np.linalg.norm(found - objective([dark]).network["style/relu2_1"].target) > 0.05 * np.linalg.norm(
        expected
    )


def test_colours_may_come_from_a_third_image(tmp_path):
    Image.fromarray(OTHER).save(tmp_path / "third.png")
    ours = objective(match_colours="histogram", colours_of=str(tmp_path / "third.png"))
    matched = np.clip(colour_control.match_colours(STYLE, OTHER, "histogram"), 0, 255)
    expected = objective([np.round(matched).astype(np.uint8)]).network["style/relu2_1"].target
    found = ours.network["style/relu2_1"].target
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


def test_guided_targets_are_of_the_whole_painting():
    ours = objective(style_masks=[LEFT], style_layers="relu1_1")
    x = np.random.default_rng(0).standard_normal((1, 6, 7, 3))
    whole = guided_gram(x, np.ones((6, 7)), "mean")[0]
    np.testing.assert_allclose(whole, guided_gram(x, np.full((6, 7), 0.3), "mean")[0], rtol=1e-12)
    assert ours.network["style/relu1_1/1"].target.shape == (64, 64)


def test_the_picture_keeps_the_colours_of_the_photograph():
    result = nst.stylize(CONTENT, STYLE, **SMALL, iterations=3, keep_colours="yiq")
    free = nst.stylize(CONTENT, STYLE, **SMALL, iterations=3)
    kept, painted, photograph = (
        colour_spaces.to_space(np.asarray(pixels, float), "yiq")
        for pixels in (result.pixels, free.pixels, CONTENT)
    )
    np.testing.assert_allclose(kept[..., 0], painted[..., 0], atol=1e-3)
    np.testing.assert_allclose(kept[..., 1:], photograph[..., 1:], atol=1e-3)
    assert np.abs(painted[..., 1:] - photograph[..., 1:]).max() > 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"style_masks": [LEFT, LEFT]}, "--style-masks: expected one for each of 1 paintings, got 2"),
        ({"style_masks": [LEFT * 0]}, "--style-masks 1: is black everywhere"),
        ({"style_masks": [LEFT], "style_representation": "wasserstein"}, "needs --style-representation gram"),
        ({"colours_of": "x.png"}, "--colours-of: has no meaning without --match-colours"),
        ({"match_colours": "hue"}, "--match-colours: 'hue' is unknown"),
        ({"mask_rule": "outside"}, "--mask-rule: 'outside' is unknown"),
        ({"laplacian_weight": -1}, "--laplacian-weight: expected a number of at least 0"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(UsageError, match=match):
        objective(**options)
