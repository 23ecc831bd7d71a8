"""`figure layers`: the content of a layer alone, the style of the layers up to it."""

from __future__ import annotations

import numpy as np
import pytest
from small_figure import CONTENT, SMALL, STYLE, captions, images

import nst_manual as nst
from nst_manual.errors import UsageError
from nst_manual.figures.layers import layers_figure, plan_layers
from nst_manual.figures.psnr import psnr


def test_rows_are_layers_and_every_picture_is_that_of_a_run():
    figure = layers_figure(CONTENT, STYLE, "relu1_1,relu2_1", **SMALL)
    expected = ["photograph", "painting", "relu1_1, content", "relu1_1, style", "relu2_1, content"]
    assert [caption.rpartition(", ")[0] or caption for caption in captions(figure)[2::2]] == expected[2::2]
    assert captions(figure)[:2] + captions(figure)[3::2] == [
        *expected[:2],
        "relu1_1, style",
        "up to relu2_1, style",
    ]
    assert figure.columns == 2
    noise = {"init": "noise", "noise_std": 30, "scales": 1}
    content = nst.stylize(
        CONTENT, STYLE, content_layers="relu2_1", content_weight=1, style_weight=0, **noise, **SMALL
    )
    style = nst.stylize(CONTENT, STYLE, content_weight=0, style_layers="relu1_1,relu2_1", **noise, **SMALL)
    np.testing.assert_array_equal(images(figure)[4], np.asarray(content.image))
    np.testing.assert_array_equal(images(figure)[5], np.asarray(style.image))


def test_captions_of_content_end_with_the_ratio_to_the_photograph():
    figure = layers_figure(CONTENT, STYLE, "relu1_1,pool3", **SMALL | {"iterations": 30})
    np.testing.assert_array_equal(images(figure)[0], CONTENT)
    found = [float(captions(figure)[k].split(", ")[2].removesuffix(" dB")) for k in (2, 4)]
    for value, k in zip(found, (2, 4), strict=True):
        assert value == pytest.approx(psnr(images(figure)[k], CONTENT), abs=0.051)
    assert found[0] > found[1] + 5, "a lower layer has more of the picture"


def test_of_a_network_with_other_layers_those_of_the_same_depth_are_taken():
    plan = plan_layers(CONTENT, STYLE, network="squeezenet")
    assert [job.caption for job in plan.jobs[::2]] == [
        f"{name}, content" for name in ("relu1", "fire2", "fire4", "fire6", "fire9")
    ]
    assert plan.jobs[3].config.weighted_layers("style").keys() == {"relu1", "fire2"}
    assert not plan.jobs[3].config.weighted_layers("content")
    assert plan.jobs[2].config.weighted_layers("content") == {"fire2": 1.0}
    assert not plan.jobs[2].config.weighted_layers("style")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": "relu1_1:2"}, "a weight for relu1_1"),
        ({"layers": ""}, "expected layer names"),
        ({"layers": "relu1_1,relu9_1"}, "'relu9_1' is unknown"),
        ({"style_layers": "relu1_1"}, "is decided by the figure"),
        ({"sise": 3}, "did you mean 'size'"),
        ({"style": [STYLE, STYLE]}, "one painting"),
        ({"style": []}, "at least one painting"),
    ],
)
def test_what_makes_no_sense_is_told(options, said):
    style = options.pop("style", STYLE)
    with pytest.raises(UsageError, match=said):
        plan_layers(CONTENT, style, **options)
