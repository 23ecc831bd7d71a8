"""`figure networks`: the same transfer with several networks."""

from __future__ import annotations

import pytest
from small_figure import CONTENT, STYLE, captions

from nst_manual.errors import UsageError
from nst_manual.figures.networks import even_columns, networks_figure, plan_networks


@pytest.fixture(autouse=True)
def no_installed_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("NST_MANUAL_CACHE", str(tmp_path))


def test_each_network_has_its_weights_where_there_are_any_and_random_ones():
    plan = plan_networks(CONTENT, [STYLE, STYLE], ["squeezenet", "alexnet"], {"alexnet": "mine.pth"})
    assert [caption for caption, _ in plan.given] == ["photograph", "painting 1", "painting 2"]
    assert [job.caption for job in plan.jobs] == [
        f"{name}, {words}" for name in ("squeezenet", "alexnet") for words in ("pretrained", "random")
    ]
    assert plan.jobs[0].config.weights.endswith("squeezenet.h5")
    assert [job.config.weights for job in plan.jobs[1:]] == ["random", "mine.pth", "random"]
    assert "mine.pth" in plan.inputs
    assert [job.caption for job in plan_networks(CONTENT, STYLE, ["vgg11"]).jobs] == ["vgg11, random"]


def test_a_network_of_which_a_file_is_given_is_one_of_them_and_none_comes_twice():
    plan = plan_networks(CONTENT, STYLE, ["vgg11", "vgg11"], {"vgg13": "mine.h5"})
    assert [job.caption for job in plan.jobs] == ["vgg11, random", "vgg13, pretrained", "vgg13, random"]


def test_pictures_of_it():
    figure = networks_figure(CONTENT, STYLE, ["vgg11", "squeezenet"], size=40, iterations=1)
    assert captions(figure)[2:] == ["vgg11, random", "squeezenet, pretrained", "squeezenet, random"]
    assert figure.title == "preset gatys, 40 pixels, 1 iteration"
    assert {pixels.shape for _, pixels in figure.pictures if pixels is not figure.pictures[1][1]} == {
        (30, 40, 3)
    }
    assert len({pixels.tobytes() for _, pixels in figure.pictures}) == 5


def test_unknown_networks_and_layers_by_name():
    with pytest.raises(UsageError, match="did you mean 'vgg1"):
        plan_networks(CONTENT, STYLE, ["vgg20"])
    with pytest.raises(UsageError, match="is decided by the figure"):
        plan_networks(CONTENT, STYLE, ["vgg11"], style_layers="relu1_1")


def test_columns_leave_few_places_empty():
    assert [even_columns(n) for n in (1, 2, 3, 4, 10, 12, 14)] == [1, 2, 3, 2, 5, 4, 7]
    for count in range(1, 30):
        columns = even_columns(count)
        assert -count % columns <= 2
        assert count / columns**2 >= 1 / 5, "a strip where a sheet was wanted"
