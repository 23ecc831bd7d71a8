"""Style as an objective has it: every representation, several paintings, several scales."""

import numpy as np
import pytest
from smooth_pictures import random_start, smooth_picture

from nst_manual import Objective
from nst_manual.config import objective_config
from nst_manual.errors import UsageError
from nst_manual.losses import representations
from nst_manual.presets import PRESETS, STYLE_REPRESENTATIONS, STYLE_UNITS

CONTENT, STYLE, OTHER = smooth_picture(0, 36, 40), smooth_picture(1, 40, 38), smooth_picture(2, 33, 40)
LAYERS = {"content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1,relu3_1"}
EVERY = pytest.mark.parametrize("name", STYLE_REPRESENTATIONS)


def objective(styles=(STYLE,), content=CONTENT, **options):
    options = {"network": "vgg11", "weights": "random", "dtype": "float64", "size": 40} | LAYERS | options
    return Objective(content, list(styles), **options)


def start(ours):
    return random_start(3, ours.shape).astype(float)


def test_options_and_modules_name_the_same_representations():
    assert STYLE_REPRESENTATIONS == representations.NAMES
    assert {preset.style_representation for preset in PRESETS.values()} <= set(STYLE_REPRESENTATIONS)
    assert all(kind.words for kind in representations.REPRESENTATIONS.values())


@EVERY
def test_the_painting_itself_has_no_style_loss_and_no_gradient(name):
    ours = objective(content=STYLE, style_representation=name, content_weight=0)
    loss, dx = ours(STYLE[None].astype(float))
    other_loss, other_dx = ours(start(ours))
    assert other_loss > 0
    assert abs(loss) < 1e-6 * other_loss
    assert np.abs(dx).max() < 1e-5 * np.abs(other_dx).max()


@EVERY
def test_the_fused_network_has_the_same_loss_and_gradient(name):
    plain, fused = (objective(style_representation=name, plain=plain) for plain in (True, False))
    x = start(plain)
    for _ in range(2):
        (loss, dx), (other_loss, other_dx) = plain(x), fused(x)
        assert other_loss == pytest.approx(loss, rel=1e-9)
        np.testing.assert_allclose(other_dx, dx, atol=1e-8 * np.abs(dx).max())
        assert fused.losses == pytest.approx(plain.losses, rel=1e-9)
        x = x + 1


@EVERY
def test_losses_of_several_paintings_are_added_by_their_shares(name):
    options = {"style_representation": name, "content_weight": 0}
    both = objective([STYLE, OTHER], style_combine="sum", style_blend=(3, 1), **options)
    x = start(both)
    alone = [objective([style], **options)(x) for style in (STYLE, OTHER)]
    loss, dx = both(x)
    assert loss == pytest.approx(0.75 * alone[0][0] + 0.25 * alone[1][0], rel=1e-9)
    expected = 0.75 * alone[0][1] + 0.25 * alone[1][1]
    np.testing.assert_allclose(dx, expected, atol=1e-8 * np.abs(dx).max())
    assert [name for name in both.losses if name.endswith("/2")]


def test_several_scales_are_paintings_of_several_sizes():
    scaled = objective(style_scales="1,0.5", style_size=36)
    x = start(scaled)
    again = objective([STYLE, STYLE], style_size=36, style_scales="1")
    half = objective(style_size=18)
    targets = [
        o.network["style/relu2_1"].target for o in (objective(style_size=36, plain=True), half, scaled)
    ]
    np.testing.assert_allclose(targets[2], (targets[0] + targets[1]) / 2, rtol=1e-12)
    assert scaled(x)[0] != pytest.approx(again(x)[0], rel=1e-3)


def test_pairs_of_layers_are_those_of_neighbours_in_the_network_whatever_their_order():
    ours = objective(style_representation="cross-layer-gram", style_layers="relu3_1:2,relu1_1,relu2_1:0.5")
    ours(start(ours))
    assert list(ours.losses) == ["style/relu1_1-relu2_1", "content/relu2_1", "style/relu2_1-relu3_1"]
    with pytest.raises(UsageError, match="needs two layers or more, got relu2_1"):
        objective(style_representation="cross-layer-gram", style_layers="relu2_1")


def test_isotropic_variation_is_in_the_loss():
    ours = objective(tv_form="isotropic", tv_weight=0.5)
    ours(start(ours))
    assert ours.losses["tv"] > 0
    assert ours.losses["tv"] != objective(tv_weight=0.5).measure(start(ours))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"style_representation": "gramm"},
            "--style-representation: 'gramm' is unknown, did you mean 'gram'",
        ),
        ({"style_scales": "1,0"}, "--style-scales: expected a number above 0"),
        ({"style_combine": "both"}, "--style-combine: 'both' is unknown"),
        ({"tv_form": "round"}, "--tv-form"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(UsageError, match=match):
        objective(**options)


def test_other_frameworks_say_what_they_do_not_restate():
    pytest.importorskip("torch")
    from nst_manual.check.torch_objective import TorchObjective

    options = {"network": "vgg11", "weights": "random", "size": 40} | LAYERS
    with pytest.raises(UsageError, match="--style-representation: 'wasserstein' is not restated"):
        TorchObjective(CONTENT, [STYLE], style_representation="wasserstein", **options)


def test_weights_of_features_are_those_of_losses_squared():
    """The features times alpha and the Gram matrices times beta, before the differences."""
    ours = objective(weighting="features", content_weight=3, style_weight=7, preset="gatys", plain=True)
    alpha, beta = 3, 7
    ours(start(ours))
    plain = ours.network
    f = {name: plain[name].output for name in ("relu1_1", "relu2_1")}
    content = plain["content/relu2_1"].target
    assert ours.losses["content/relu2_1"] == pytest.approx(
        ((alpha * f["relu2_1"] - alpha * content) ** 2).mean(), rel=1e-12
    )
    for layer, features in f.items():
        flat = features.reshape(-1, features.shape[-1])
        g = flat.T @ flat / flat.size
        expected = ((beta * g - beta * plain[f"style/{layer}"].target) ** 2).mean()
        assert ours.losses[f"style/{layer}"] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("plain", [True, False])
def test_normalized_gradients_add_up_to_the_weights(plain):
    """Each content and style gradient has its weight for an L1 norm, where it arises."""
    ours = objective(normalize_gradients=True, style_layers="relu1_1", content_weight=0, plain=plain)
    assert ours.network["style/relu1_1"].normalized
    loss, _ = ours(start(ours))
    assert loss == objective(style_layers="relu1_1", content_weight=0, plain=plain)(start(ours))[0]
    own = ours.network["style/relu1_1"].own_gradient
    assert np.abs(own).sum() == pytest.approx(1000, rel=1e-6)


def test_patches_have_layers_of_their_own_and_others_the_presets():
    """There are too many at the first layers; who names layers gets those."""
    named = objective_config({"style_representation": "patches", "style_layers": "relu1_1"})
    assert list(named.weighted_layers("style")) == ["relu1_1"]
    for name in STYLE_REPRESENTATIONS:
        found = objective_config({"style_representation": name}).weighted_layers("style")
        expected = {"patches": ["relu3_1", "relu4_1"]}.get(name, list(PRESETS["gatys"].style_layers))
        assert list(found) == expected
        assert set(found.values()) == {1000 * STYLE_UNITS[name]}
    other = objective_config({"style_representation": "patches", "network": "squeezenet"})
    assert list(other.weighted_layers("style")) == ["fire4", "fire6"]
