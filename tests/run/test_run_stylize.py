"""`stylize`: from pictures to a picture, in Python."""

from __future__ import annotations

import numpy as np
import pytest
from small_run import SMALL, pictures

import nst_manual as nst
from nst_manual.errors import DivergedError, UsageError
from nst_manual.images import to_uint8
from nst_manual.kernels.conv import ALGORITHMS


def test_the_loss_falls_and_the_result_says_what_became_of_it():
    content, style = pictures()
    result = nst.stylize(content, style, **SMALL)
    assert result.iterations == 4
    assert result.image.size == (24, 18)
    assert result.loss < result.history[0]["loss"]
    assert result.loss == pytest.approx(sum(result.losses.values()))
    assert set(result.losses) == {"content/relu2_1", "style/relu1_1", "style/relu2_1"}
    np.testing.assert_array_equal(np.asarray(result.image), to_uint8(result.pixels))


def test_the_loss_of_the_saved_picture_is_that_of_its_rounded_pixels():
    content, style = pictures()
    result = nst.stylize(content, style, **SMALL)
    options = {name: value for name, value in SMALL.items() if name != "iterations"}
    objective = nst.Objective(content, [style], **options)
    saved, _ = objective(np.asarray(result.image, np.float32)[None])
    assert result.saved_loss == saved
    assert result.saved_loss != result.loss


def test_history_has_what_the_log_promises_for_every_evaluation():
    result = nst.stylize(*pictures(), **SMALL)
    assert [record["evaluation"] for record in result.history] == list(range(1, len(result.history) + 1))
    keys = {"evaluation", "iteration", "loss", "losses", "gradient_norm", "seconds", "size"}
    first, *others = result.history
    assert set(first) == keys | {"algorithms"}  # they stay the same: once is enough
    assert all(set(record) == keys for record in others)
    assert list(first["algorithms"]) == ["conv1_1", "conv2_1"]
    assert set(first["algorithms"].values()) <= set(ALGORITHMS)
    for record in result.history:
        assert record["loss"] == pytest.approx(sum(record["losses"].values()))
        assert record["gradient_norm"] > 0
        assert record["seconds"] > 0
        assert record["size"] == [18, 24]
    iterations = [record["iteration"] for record in result.history]
    assert iterations == sorted(iterations)
    assert iterations[0] == 1
    assert iterations[-1] == 4


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "gradient-descent"])
def test_every_optimiser_lowers_the_loss(optimizer):
    rate = {"adam": 1.0, "gradient-descent": 1e-3}.get(optimizer)
    result = nst.stylize(*pictures(), **SMALL, optimizer=optimizer, learning_rate=rate)
    assert result.loss < result.history[0]["loss"]


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not():
    first, again, other = (
        nst.stylize(*pictures(), **SMALL, init="noise", seed=seed, noise_std=20).pixels for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


def test_no_iterations_give_the_start():
    content, style = pictures()
    result = nst.stylize(content, style, **SMALL | {"iterations": 0})
    np.testing.assert_array_equal(result.pixels, content.astype(np.float32))
    assert result.history == []


def test_a_start_image_is_scaled_to_the_content(tmp_path):
    from PIL import Image

    path = tmp_path / "start.png"
    Image.new("RGB", (7, 5), (200, 100, 50)).save(path)
    result = nst.stylize(*pictures(), **SMALL | {"iterations": 0}, init=path)
    assert result.pixels.shape == (18, 24, 3)
    np.testing.assert_allclose(result.pixels, np.broadcast_to([200, 100, 50], (18, 24, 3)), atol=1e-3)


def test_a_rate_that_is_too_large_ends_with_an_error_that_names_iteration_and_loss():
    options = SMALL | {"optimizer": "gradient-descent", "learning_rate": 1e30, "iterations": 20}
    with (
        pytest.raises(DivergedError, match=r"diverged at iteration 2, picture: has pixel values of"),
        np.errstate(all="ignore"),
    ):
        nst.stylize(*pictures(), **options)


def test_an_unknown_option_is_refused_with_a_suggestion():
    with pytest.raises(UsageError, match="did you mean 'iterations'"):
        nst.stylize(*pictures(), iteration=3)


def test_a_list_of_styles_is_blended():
    content, style = pictures()
    other = 255 - style
    blended = nst.stylize(content, [style, other], **SMALL, style_blend=(1, 0))
    alone = nst.stylize(content, [style], **SMALL)
    assert blended.loss == pytest.approx(alone.loss, rel=1e-3)


def test_options_that_write_files_are_the_command_lines_alone():
    with pytest.raises(UsageError, match="'log' is unknown"):
        nst.stylize(*pictures(), **SMALL, log="log.jsonl")
