"""`figure grid`: one option against another."""

from __future__ import annotations

import numpy as np
import pytest
from small_figure import CONTENT, SMALL, STYLE, captions, images

import nst_manual as nst
from nst_manual.config import run_config
from nst_manual.errors import UsageError
from nst_manual.figures.grid import grid_figure, parse_axis, plan_grid


def test_rows_and_columns_and_every_picture_is_that_of_a_run():
    rows, columns = ("style_weight", [10.0, 1000.0]), ("seed", [0, 1, 2])
    figure = grid_figure(CONTENT, STYLE, rows, columns, init="noise", **SMALL)
    expected = [f"style-weight {weight}, seed {seed}" for weight in (10, 1000) for seed in (0, 1, 2)]
    assert captions(figure) == expected
    assert figure.columns == 3
    assert figure.title == "vgg11, random weights, preset gatys, 32 pixels, 2 iterations"
    wanted = nst.stylize(CONTENT, STYLE, style_weight=10, seed=2, init="noise", scales=1, **SMALL)
    np.testing.assert_array_equal(images(figure)[2], np.asarray(wanted.image))
    assert len({image.tobytes() for image in images(figure)}) == 6


def test_a_long_strip_stands_in_rows():
    seeds = ("seed", list(range(10)))
    assert (
        plan_grid(CONTENT, STYLE, rows=seeds).columns == plan_grid(CONTENT, STYLE, columns=seeds).columns == 5
    )
    assert plan_grid(CONTENT, STYLE, seeds, ("optimizer", ["adam", "lbfgs"])).columns == 2


def test_a_strip_has_one_option():
    down = plan_grid(CONTENT, STYLE, rows=("optimizer", ["adam", "lbfgs"]))
    across = plan_grid(CONTENT, STYLE, columns=("optimizer", ["adam", "lbfgs"]))
    assert (down.columns, across.columns) == (1, 2)
    for plan in (down, across):
        assert [job.config.optimizer for job in plan.jobs] == ["adam", "lbfgs"]
        assert [job.caption for job in plan.jobs] == ["optimizer adam", "optimizer lbfgs"]


def configurations(text: str, **options):
    plan = plan_grid(CONTENT, STYLE, rows=parse_axis("--rows", text), **options)
    return [job.config for job in plan.jobs]


def test_options_of_every_kind_as_text():
    assert [c.plain for c in configurations("plain=false,TRUE")] == [False, True]
    assert [c.chosen("init") for c in configurations("preset=paper, gatys")] == ["noise", "content"]
    assert [c.network for c in configurations("--network=vgg16,squeezenet")] == ["vgg16", "squeezenet"]
    assert [c.bounds for c in configurations("bounds=none;0,255")] == [(), (0.0, 255.0)]
    layers = configurations("style-layers=relu1_1;relu1_1,relu2_1:0.5")
    assert [c.style_layers for c in layers] == [(("relu1_1", None),), (("relu1_1", None), ("relu2_1", 0.5))]
    assert [len(c.style_layers) for c in configurations("style_layers=relu1_1,relu2_1;")] == [2]


def test_the_value_default_is_the_option_not_given():
    found = configurations("match-colours=default,cholesky", match_colours="histogram")
    assert [c.match_colours for c in found] == [None, "cholesky"]
    plan = plan_grid(CONTENT, STYLE, ("match_colours", [None, "cholesky"]))
    assert [job.caption for job in plan.jobs] == ["match-colours default", "match-colours cholesky"]


def test_a_figure_has_its_own_size_and_one_scale_unless_they_are_asked_for():
    (config,) = configurations("seed=0")
    assert (config.size, config.iterations, config.scales) == (128, 40, 1)
    assert [c.scales for c in configurations("scales=1,2", size=40)] == [1, 2]


def test_the_title_says_what_all_pictures_share():
    def title(name, values, **options):
        return plan_grid(CONTENT, STYLE, (name, values), network="vgg16", **options).title

    assert title("size", [32, 64]) == "vgg16, preset gatys, 40 iterations"
    assert title("network", ["vgg16", "vgg19"], iterations=1) == "preset gatys, 128 pixels, 1 iteration"
    scales = {"scales": 2, "scale_iterations": "20,5"}
    assert title("preset", ["paper", "gatys"], **scales) == "vgg16, 128 pixels, 20 + 5 iterations"
    assert title("scales", [1, 2]) == "vgg16, preset gatys, 128 pixels"
    assert title("seed", [0], size_rule="original") == "vgg16, preset gatys, 40 iterations"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("style-wieght=1", "--rows: 'style-wieght' is unknown, did you mean 'style-weight'"),
        ("save-every=1", "--rows: 'save-every' is unknown"),
        ("style-weight", "expected OPTION=VALUE"),
        ("style-weight=", "expected a value"),
        ("style-weight=1,,2", "expected a value"),
        ("seed=1", "names the same option as --rows, seed"),
        ("plain=maybe", "--plain: expected True or False, got 'maybe'"),
        ("style-layers=relu1_1;relu9_1", "'relu9_1' is unknown, did you mean"),
        ("scale-iterations=1;1,2", "--scale-iterations: expected a number for each of 1 scales, got 2"),
        ("learning-rate=default,2", "--learning-rate: has no meaning for lbfgs"),
    ],
)
def test_what_is_wrong_is_told_before_the_first_picture(rows, said, monkeypatch):
    monkeypatch.setattr("nst_manual.figures.paint.paint", lambda *arguments: pytest.fail("was painted"))
    with pytest.raises(UsageError) as error:
        grid_figure(CONTENT, STYLE, parse_axis("--rows", rows), ("seed", [0, 1]), **SMALL)
    assert said in str(error.value)


def test_a_wrong_value_is_told_as_elsewhere():
    for name, value in (("style_weight", "-1"), ("preset", "papr"), ("size", "abc"), ("seed", "0.5")):
        with pytest.raises(UsageError) as here:
            plan_grid(CONTENT, STYLE, columns=(name, ["default", value]))
        with pytest.raises(UsageError) as elsewhere:
            run_config({name: value})
        assert str(here.value) == str(elsewhere.value)


def test_without_options_or_with_more_columns_than_a_sheet_has():
    with pytest.raises(UsageError, match="expected --rows or --columns"):
        plan_grid(CONTENT, STYLE)
    with pytest.raises(UsageError, match="at most 24, got 25"):
        plan_grid(CONTENT, STYLE, ("optimizer", ["adam", "lbfgs"]), ("seed", range(25)))
