"""What a GPU has to pass, on the stand-in for CuPy: each check by itself, and that the checks can fail."""

from __future__ import annotations

import os

import numpy as np
import pytest

from nst_manual import backend
from nst_manual.check.device import available, checks, judge
from nst_manual.check.device.case import Check, difference
from nst_manual.check.device.convolutions import Case, convolution_error
from nst_manual.kernels.cuda import conv_columns, conv_shifted, conv_winograd

CHECKS = list(checks(quick=True))
GROUPS = sorted({check.group for check in CHECKS})


# One in five of a group takes its time of every run of the tests; ALL_CHECKS=1 runs the others as well.
STEP = 1 if os.environ.get("ALL_CHECKS") else 5


@pytest.mark.parametrize("group", GROUPS)
def test_the_stand_in_passes(standin, group):
    chosen = [check for check in CHECKS if check.group == group][::STEP]
    failed = [str(outcome) for check in chosen if not (outcome := judge(check)).passed]
    assert chosen and not failed, "\n".join(failed)


@pytest.mark.parametrize("name", ["cuda-winograd", "cuda-shifted", "cuda-columns"])
def test_small_pieces_are_several_products(standin, name):
    products = []
    for piece in (None, 2**11):
        standin.products.clear()
        convolution_error(name, Case((2, 23, 14, 5), out=7, piece_bytes=piece), "float32")
        products.append(len(standin.products))
    assert products[1] > products[0]


@pytest.mark.parametrize("name", ["cuda-winograd", "cuda-shifted", "cuda-columns-tf32"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bounds_are_near_what_rounding_does(standin, name, dtype):
    """Counted, not tried: that they come out within a factor of 50 says that the count is about right."""
    pairs = [
        check.run()
        for check in CHECKS
        if check.name.startswith(f"{name}, 3x3") and check.name.endswith(dtype)
    ]
    assert 0.02 < max(error / bound for error, bound in pairs) < 0.5


def test_names_are_told_apart():
    titles = [check.title for check in checks()]
    assert len(set(titles)) == len(titles)
    assert {check.title for check in CHECKS} - set(titles) == {
        check.title for check in CHECKS if "few losses" in check.name
    }


def failing(group, *words):
    """Return which of the checks with all of these words fail, and how many there are."""
    chosen = [check for check in CHECKS if check.group == group and all(w in check.title for w in words)]
    return sum(not judge(check).passed for check in chosen), len(chosen)


@pytest.mark.parametrize("name", ["cuda-shifted", "cuda-columns", "cuda-winograd"])
def test_products_that_round_to_tf32_by_mistake_are_found(standin, monkeypatch, name):
    module = {"shifted": conv_shifted, "columns": conv_columns, "winograd": conv_winograd}[name[5:]]
    rounded = backend.product
    monkeypatch.setattr(
        module,
        "product",
        lambda a, b, out, add=False, tf32=False: rounded(a, b, out, add=add, tf32=True),
    )
    found, there = failing("convolutions", f"{name}, 3x3", "float32")
    assert found == there > 5


def test_a_number_beside_the_place_of_a_maximum_is_found(standin, monkeypatch):
    text = backend.resources.files("nst_manual.kernels.cuda").joinpath("common.cu").read_text()
    assert "winner = below ? 2 + fourth : second" in text
    wrong = text.replace("winner = below ? 2 + fourth : second", "winner = below ? 2 + second : fourth")

    class Folder:
        def joinpath(self, name):
            real = real_files("nst_manual.kernels.cuda").joinpath(name)
            return self if name == "common.cu" else real

        def read_text(self, encoding):
            return wrong

    real_files = backend.resources.files
    monkeypatch.setattr(backend.resources, "files", lambda package: Folder())
    found, there = failing("fused", "cuda-shifted, 3x3, max pooling, float64")
    assert found == there > 0


def test_what_is_raised_is_an_outcome_that_says_it():
    def broken():
        raise ValueError("two\nlines")

    outcome = judge(Check("memory", "broken", broken))
    assert not outcome.passed
    assert outcome.record()["raised"] == "ValueError: two lines"
    assert "FAILED" in str(outcome)


def test_nan_and_another_shape_never_pass():
    assert not judge(Check("a", "b", lambda: (difference(np.full(3, np.nan), np.ones(3)), 1e9))).passed
    assert not judge(Check("a", "b", lambda: (difference(np.ones((3, 1)), np.ones(3)), 1e9))).passed
    assert judge(Check("a", "b", lambda: (0.0, 0.0))).passed


def test_a_gpu_is_there_or_why_not(standin):
    assert available() == ""
    backend._try_gpu.cache_clear()  # as in a new process
    standin.settings.devices = 0
    assert "GPU" in available()
