"""`figure weights`: ratios of content to style, against the layers of style."""

from __future__ import annotations

import pytest
from small_figure import CONTENT, SMALL, STYLE, captions

from nst_manual.config import run_config
from nst_manual.errors import UsageError
from nst_manual.figures.defaults import RATIOS
from nst_manual.figures.weights import plan_weights, power, weights_figure
from nst_manual.presets import PRESETS


def test_at_the_ratio_of_the_preset_the_last_row_is_the_preset():
    plan = plan_weights(CONTENT, STYLE)
    preset = run_config({"preset": "paper"})
    last = plan.jobs[4 * 4 + RATIOS.index(1e-3)].config
    for kind in ("content", "style"):
        assert last.weighted_layers(kind) == pytest.approx(preset.weighted_layers(kind))
    assert last.chosen("init") == preset.chosen("init")


@pytest.mark.parametrize("options", [{}, {"preset": "gatys", "style_weight": 7.0}])
def test_the_ratio_is_that_of_the_two_factors_and_rows_add_a_layer(options):
    plan = plan_weights(CONTENT, STYLE, [0.5, 2e-3], "relu1_1,relu2_1,relu3_1", **options)
    assert plan.columns == 2
    assert [job.caption for job in plan.jobs] == [
        f"{words}, {ratio}"
        for words in ("relu1_1", "up to relu2_1", "up to relu3_1")
        for ratio in ("5e-1", "2e-3")
    ]
    weight = options.get("style_weight", 1000.0)
    for number, job in enumerate(plan.jobs):
        config = job.config
        rows, ratio = number // 2 + 1, (0.5, 2e-3)[number % 2]
        assert sum(config.weighted_layers("content").values()) == pytest.approx(ratio * weight)
        style = config.weighted_layers("style")
        assert list(style) == ["relu1_1", "relu2_1", "relu3_1"][:rows]
        each = weight / rows if config.settings.shared_style_weight else weight
        assert style == pytest.approx(dict.fromkeys(style, each))


def test_layers_keep_their_own_weights():
    plan = plan_weights(CONTENT, STYLE, "1e-2", "relu1_1:3,relu2_1", preset="gatys")
    assert plan.jobs[1].config.weighted_layers("style") == {"relu1_1": 3000.0, "relu2_1": 1000.0}
    preset = PRESETS["style-transfer-pytorch"]
    plan = plan_weights(CONTENT, STYLE, [0.015], preset=preset.name)
    assert plan.jobs[-1].config.weighted_layers("style") == pytest.approx(dict(preset.style_layers))
    assert [job.caption for job in plan.jobs[:2]] == ["relu1_1, 1.5e-2", "up to relu2_1, 1.5e-2"]


def test_pictures_of_it():
    figure = weights_figure(
        CONTENT, [STYLE, CONTENT], "1e-3", "relu1_1,relu2_1", **SMALL | {"preset": "paper"}
    )
    assert captions(figure) == ["relu1_1, 1e-3", "up to relu2_1, 1e-3"]
    assert figure.title.endswith("vgg11, random weights, preset paper, 32 pixels, 2 iterations")


def test_numbers_are_written_in_one_manner():
    assert [power(number) for number in (1e-5, 2.5e-3, 1, 120)] == ["1e-5", "2.5e-3", "1e0", "1.2e2"]


@pytest.mark.parametrize("ratios", ["0", "1e-3,-1", "abc", [1e-3] * 25])
def test_ratios_that_are_none_or_too_many(ratios):
    with pytest.raises(UsageError, match="--ratios|columns"):
        plan_weights(CONTENT, STYLE, ratios)
