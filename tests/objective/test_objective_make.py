"""What an objective is made of: its modules and their places, its targets, and what it refuses."""

import numpy as np
import pytest
from small_objective import CONTENT, FEW, OTHER_STYLE, SIZES, START, STYLE, assert_same_answer, objective
from smooth_pictures import random_start

from nst_manual import Objective
from nst_manual.config import objective_config
from nst_manual.errors import ImageError, UsageError
from nst_manual.losses import LossModule
from nst_manual.threads import thread_limit


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Run products on one thread: of small matrices it is the fastest."""
    with thread_limit(1):
        yield


def plain_names(ours):
    """Return the names of the modules that are no losses."""
    return [module.name for module in ours.network if not isinstance(module, LossModule)]


# -- places --------------------------------------------------------------------------------------------------


def test_each_loss_stands_right_behind_its_layer():
    ours = objective(content_layers="conv2_1", style_layers="conv1_1,relu2_1", tv_weight=1)
    assert ours.network.names == [
        *("preprocess", "tv", "conv1_1", "style/conv1_1", "relu1_1", "pool1"),
        *("conv2_1", "content/conv2_1", "relu2_1", "style/relu2_1"),
    ]


def test_conv_and_relu_are_different_places():
    before, behind = (objective(content_layers=layer, style_weight=0) for layer in ("conv4_2", "relu4_2"))
    (conv_loss, conv_dx), (relu_loss, relu_dx) = before(START), behind(START)
    assert list(before.losses) == ["content/conv4_2"]
    assert list(behind.losses) == ["content/relu4_2"]
    # max(0, .) brings numbers together, and stops what is negative on both sides
    assert 0 < relu_loss < 0.95 * conv_loss
    assert np.linalg.norm(relu_dx - conv_dx) > 0.05 * np.linalg.norm(conv_dx)


def test_content_and_style_may_share_a_layer():
    ours = objective(content_layers="relu2_1", style_layers="relu2_1")
    ours(START)
    content, style = objective(style_weight=0), objective(content_weight=0, style_layers="relu2_1")
    loss = content(START)[0] + style(START)[0]
    assert ours.loss == pytest.approx(loss, rel=1e-13)


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({"content_layers": "relu4_2"}, "relu4_2"),
        ({"content_layers": "conv4_2"}, "conv4_2"),
        ({"style_layers": "relu1_1,pool3"}, "pool3"),
        ({"content_layers": "relu4_2", "content_weight": 0}, "relu2_1"),
        ({"content_layers": "relu2_1,relu5_1:0"}, "relu2_1"),
        ({"style_weight": 0, "content_layers": "conv1_1"}, "conv1_1"),
    ],
)
def test_the_network_ends_with_the_last_layer_that_is_needed(options, last):
    ours = objective(**options)
    assert plain_names(ours)[-1] == last
    assert ours.network.names.index(last) >= len(ours.network) - 3  # nothing but its losses behind it


def test_weights_of_zero_leave_modules_out():
    ours = objective(style_layers="relu1_1:0,relu2_1:2", content_weight=0)
    ours(START)
    assert list(ours.losses) == ["style/relu2_1"]
    assert [module.name for module in ours.modules] == ["style/relu2_1"]
    assert_same_answer(ours, objective(style_layers="relu2_1:2", content_weight=0))


def test_weights_of_layers_are_factors():
    once, thrice = (objective(style_layers=f"relu1_1:{w},relu2_1:1", content_weight=0) for w in (1, 3))
    once(START)
    thrice(START)
    assert thrice.losses["style/relu1_1"] == pytest.approx(3 * once.losses["style/relu1_1"], rel=1e-13)
    assert thrice.losses["style/relu2_1"] == once.losses["style/relu2_1"]


def test_total_variation_alone_needs_no_layer():
    ours = objective(content_weight=0, style_weight=0, tv_weight=1)
    assert ours.network.names == ["preprocess", "tv"]
    loss, dx = ours(START)
    assert ours.losses == {"tv": loss}
    assert dx.any()


def test_total_variation_alone_needs_no_weight_file(monkeypatch, tmp_path):
    monkeypatch.setenv("NST_MANUAL_CACHE", str(tmp_path))  # so that no weights of VGG-19 are found
    ours = objective(network="vgg19", weights=None, content_weight=0, style_weight=0, tv_weight=1)
    assert ours(START)[0] > 0


def test_a_small_picture_is_enough_for_total_variation_alone():
    ours = objective(content_weight=0, style_weight=0, tv_weight=1, size=8, style_size=8)
    assert ours(np.zeros(ours.shape))[0] == 0


# -- targets -------------------------------------------------------------------------------------------------


def grams(ours):
    """Return layer -> target of the style losses."""
    return {name: ours.network[f"style/{name}"].target for name in ("relu1_1", "relu2_1")}


@pytest.mark.parametrize(
    ("blend", "shares"),
    [(None, (0.5, 0.5)), ("3,1", (0.75, 0.25)), ((0.2, 0.6), (0.25, 0.75)), ([0, 5], (0, 1))],
)
@pytest.mark.parametrize("preset", ["paper", "gatys"])
def test_a_blend_is_the_weighted_average_of_the_gram_matrices(blend, shares, preset):
    blended = grams(objective([STYLE, OTHER_STYLE], style_blend=blend, preset=preset))
    one, other = (grams(objective([style], preset=preset)) for style in (STYLE, OTHER_STYLE))
    for layer, target in blended.items():
        np.testing.assert_allclose(target, shares[0] * one[layer] + shares[1] * other[layer], rtol=1e-12)
        assert not np.allclose(one[layer], other[layer], rtol=1e-2)


@pytest.mark.parametrize("share", ["1e-300", "1e308"])
def test_shares_count_by_their_proportion_alone(share):
    blended = grams(objective([STYLE, OTHER_STYLE], style_blend=f"{share},{share}"))
    expected = grams(objective([STYLE, OTHER_STYLE], style_blend="1,1"))
    for layer, target in blended.items():
        np.testing.assert_allclose(target, expected[layer], rtol=1e-12)


def test_the_same_painting_twice_is_that_painting():
    one, twice = objective([STYLE]), objective([STYLE, STYLE], style_blend="1,3")
    one(START)
    twice(START)
    assert twice.loss == pytest.approx(one.loss, rel=1e-12)


@pytest.mark.parametrize("blend", ["1", "1,2,3"])
def test_a_blend_has_one_number_for_each_painting(blend):
    with pytest.raises(UsageError, match=f"--style-blend: .*2.*got {len(blend.split(','))}"):
        objective([STYLE, OTHER_STYLE], style_blend=blend)


def test_the_photograph_itself_has_no_content_loss_and_the_painting_no_style_loss():
    ours = objective(style_weight=0)
    loss, dx = ours(CONTENT[None].astype(float))
    assert loss == 0
    assert not dx.any()
    ours = Objective(
        STYLE, STYLE, **{"network": "vgg11", "weights": "random", "dtype": "float64", "size": 30} | FEW
    )
    ours(STYLE[None].astype(float))
    assert all(loss < 1e-18 for name, loss in ours.losses.items() if name.startswith("style"))


def test_the_photograph_is_kept_at_the_size_of_the_picture():
    ours = objective(size=16)
    assert ours.content.shape == (12, 16, 3)
    assert ours.shape == (1, 12, 16, 3)
    assert ours.content.dtype == np.float32
    np.testing.assert_array_equal(objective().content, CONTENT)


def test_without_a_style_size_paintings_take_the_pictures():
    ours, same = objective(size=28, style_size=None), objective(size=28, style_size=28)
    assert_same_answer(ours, same, random_start(4, ours.shape))


# -- what may be given ---------------------------------------------------------------------------------------


def test_pictures_may_be_paths_pil_images_and_arrays_in_a_list_or_alone(tmp_path):
    from PIL import Image

    expected = objective([STYLE])
    path = tmp_path / "painting.png"
    Image.fromarray(STYLE).save(path)
    for styles in (str(path), path, Image.fromarray(STYLE), STYLE, [path], (str(path),)):
        assert_same_answer(objective(styles), expected)
    photograph = tmp_path / "photograph.png"
    Image.fromarray(CONTENT).save(photograph)
    options = {"network": "vgg11", "weights": "random", "dtype": "float64"} | SIZES | FEW
    for content in (photograph, str(photograph), Image.fromarray(CONTENT)):
        assert_same_answer(Objective(content, path, **options), expected)


def test_all_may_be_given_by_name():
    options = {"network": "vgg11", "weights": "random", "dtype": "float64"} | SIZES | FEW
    assert_same_answer(Objective(content=CONTENT, styles=[STYLE], **options), objective())


def test_a_config_and_options_by_name_are_the_same():
    options = {"network": "vgg11", "weights": "random", "dtype": "float64"} | SIZES | FEW
    assert_same_answer(Objective(CONTENT, STYLE, config=objective_config(options)), objective())


def test_the_seed_draws_the_weights():
    one, same, other = (objective(seed=seed)(START)[0] for seed in (1, 1, 2))
    assert one == same != other


def test_it_says_which_network_and_weights_it_took():
    assert "vgg11" in objective().note
    assert "random" in objective().note


# -- what is refused -----------------------------------------------------------------------------------------


def test_nothing_to_minimise_is_refused():
    with pytest.raises(UsageError, match="all weights are 0"):
        objective(content_weight=0, style_weight=0, tv_weight=0)
    with pytest.raises(UsageError, match="all weights are 0"):
        objective(content_layers="relu1_1:0", style_layers="relu1_1:0,relu2_1:0")


def test_no_painting_is_refused():
    with pytest.raises(UsageError, match="at least one painting"):
        objective([])


@pytest.mark.parametrize("option", ["content_layers", "style_layers"])
def test_an_unknown_layer_is_refused_and_the_nearest_suggested(option):
    with pytest.raises(UsageError, match="layer of vgg11: 'relu3_11' is unknown, did you mean 'relu3_1'"):
        objective(**{option: "relu1_1,relu3_11"})
    with pytest.raises(UsageError, match="unknown"):  # VGG-19 has it, VGG-11 has not
        objective(**{option: "relu3_4"})


def test_an_unknown_option_is_refused_and_the_nearest_suggested():
    with pytest.raises(UsageError, match="'style_wieght' is unknown, did you mean 'style_weight'"):
        objective(style_wieght=3)


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"style_layers": "relu5_1", "size": 15}, "16 x 16"),
        ({"style_layers": "relu5_1", "style_size": 15}, "16 x 16"),
        ({"style_layers": "relu5_1", "size": 20}, "16 x 16"),  # the shorter side is 15
        ({"content_layers": "relu5_1", "size": 8, "style_size": 8}, "16 x 16"),
    ],
)
def test_pictures_too_small_for_the_network_are_refused_with_the_smallest_size(options, least):
    with pytest.raises(ImageError, match=f"the smallest is {least}"):
        objective(**options)


def test_the_smallest_pictures_are_enough():
    ours = Objective(
        CONTENT[:16, :16], STYLE[:16, :16], network="vgg11", weights="random", size=16, style_layers="relu5_1"
    )
    assert ours(np.zeros(ours.shape))[0] > 0
