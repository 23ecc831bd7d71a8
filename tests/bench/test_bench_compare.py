"""The report: its keys, which scripts rely on, and that both sides computed the same."""

from __future__ import annotations

import json
import math

import pytest

from nst_manual.bench.compare import compare
from nst_manual.bench.settings import DEFAULT_VARIANT, Settings
from nst_manual.config import run_config
from nst_manual.errors import UsageError

OPTIONS = {
    "network": "vgg11",
    "weights": "random",
    "style_layers": "relu1_1,relu2_1",
    "content_layers": "relu2_1",
    "threads": 1,
}


def settings(**values):
    config = run_config(OPTIONS | values.pop("options", {}))
    return Settings(**({"config": config, "size": (37, 51), "repeat": 2} | values))


def finite(report):
    """The report as JSON hands it on, which knows no NaN."""
    return json.loads(json.dumps(report, allow_nan=False))


def test_ours_alone_has_no_word_of_torch():
    report = finite(compare(settings()))
    assert report["network"] == "vgg11"
    assert report["size"] == [37, 51]
    assert {"seconds", "peak_mb", "idle_mb", "all_seconds", "loss"} <= set(report["ours"])
    assert len(report["ours"]["all_seconds"]) == 2
    assert not {"torch", "ratio", "variants"} & set(report)
    assert {"threads", "dtype", "repeat", "algorithm", "cpu", "weights"} <= set(report)
    assert set(report["versions"]) == {"python", "numpy"}


def test_the_report_beside_torch_has_the_promised_keys_and_the_same_loss():
    pytest.importorskip("torch")
    report = finite(compare(settings(variants=["inplace"])))
    for side in ("ours", "torch"):
        assert {"seconds", "peak_mb", "idle_mb"} <= set(report[side])
    assert report["ratio"] == pytest.approx(report["torch"]["seconds"] / report["ours"]["seconds"])
    assert set(report["variants"]) == {DEFAULT_VARIANT, "inplace"}
    assert report["best"] in report["variants"]
    for found in report["variants"].values():
        assert found["loss_difference"] < 1e-5
        assert len(found["all_seconds"]) == 2
    assert report["variants"]["nchw"]["seconds"] == report["torch"]["seconds"]
    assert "torch" in report["versions"]


def test_whole_runs_begin_with_the_same_loss_and_both_go_down():
    pytest.importorskip("torch")
    options = {"preset": "neural-style-pt"}  # it starts from noise
    # a layout in which the gradient does not lie in a row, as the optimiser wants it
    variants = ["nchw", "channels-last"]
    report = finite(compare(settings(options=options, variants=variants, iterations=6, repeat=1)))
    assert report["end_to_end"]
    assert set(report["variants"]) == set(variants)
    assert report["loss_difference"] < 1e-5
    for side in ("ours", "torch"):
        assert report[side]["loss"] < report[side]["first_loss"]
        assert report[side]["iterations"] == 6
        assert report[side]["evaluations"] >= 6
        assert math.isclose(
            report[side]["seconds_per_evaluation"], report[side]["seconds"] / report[side]["evaluations"]
        )
    each = "seconds_per_evaluation"
    assert report["ratio_per_evaluation"] == pytest.approx(report["torch"][each] / report["ours"][each])


def test_of_all_variants_one_that_fails_is_left_out_with_a_remark():
    pytest.importorskip("torch")
    values = {"options": {"dtype": "float64"}, "variants": ["bfloat16"], "repeat": 1}
    report = finite(compare(settings(**values, optional=True)))
    assert "expected dtype float32" in report["variants"]["bfloat16"]["error"]
    assert report["best"] == DEFAULT_VARIANT
    assert report["loss_difference"] < 1e-12


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"repeat": 0}, "--repeat"),
        ({"iterations": 0}, "--iterations"),
        ({"variants": ["nhcw"]}, "did you mean 'nchw'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, said):
    with pytest.raises(UsageError, match=said):
        settings(**values)


def test_the_variants_are_those_that_there_are():
    from nst_manual.bench.settings import VARIANTS
    from nst_manual.check import torch_objective

    assert tuple(torch_objective.VARIANTS) == VARIANTS
