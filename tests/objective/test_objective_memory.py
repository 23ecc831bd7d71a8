"""The estimate of a run's memory beside the peak of a process that does it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from nst_manual.config import command_config, run_config
from nst_manual.errors import ResourceError, UsageError
from nst_manual.objective.memory import objective_memory
from nst_manual.presets import STYLE_REPRESENTATIONS
from nst_manual.run.estimate import estimate, largest_size
from nst_manual.run.memory import check_memory, source_size, source_sizes
from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path

PAIR = str(sample_path(CONTENT)), str(sample_path(DEFAULT_STYLE))
MEBIBYTE = 2**20
CHILD = """
import sys
from nst_manual.cli import main
from nst_manual.machine import peak_memory
code = main(sys.argv[1:])
print("peak", peak_memory())
sys.exit(code)
"""


def values_of(text: str) -> dict:
    """Return {"network": "vgg16", ...} of "--network vgg16 ..."; a word without a value is a switch."""
    pairs = (part.split() for part in text.split("--")[1:])
    return {name.replace("-", "_"): (rest[0] if rest else True) for name, *rest in pairs}


@pytest.mark.skipif(sys.platform != "linux", reason="the constants are those of Linux")
@pytest.mark.parametrize(
    ("options", "share"),
    [
        ("--network vgg16 --size 128", 0.2),
        ("--network vgg16 --size 384", 0.2),
        ("--network vgg16 --size 384 --scales 1 --preset paper --optimizer adam", 0.2),
        ("--network alexnet --weights random --size 384", 0.2),
        ("--network squeezenet --size 384 --scales 1", 0.35),
        ("--network vgg16 --size 128 --dtype float64", 0.35),
    ],
)
def test_the_estimate_is_near_the_peak_of_a_run(tmp_path, options, share):
    words = shlex.split(options)
    arguments = ["run", *PAIR, "-o", str(tmp_path / "out.png"), "--quiet", "--iterations", "1", *words]
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=True
    )
    peak = float(ended.stdout.split("peak")[-1])
    config = command_config(values_of(options) | {"iterations": 1})
    expected = estimate(config, *source_sizes(PAIR[0], [PAIR[1]])).bytes / MEBIBYTE
    assert expected == pytest.approx(peak, rel=share)


def bytes_of(content=(400, 600), paintings=((400, 600),), **options) -> int:
    return estimate(run_config({"network": "vgg16", "threads": 2} | options), content, paintings).bytes


@pytest.mark.parametrize("network", ["vgg19", "alexnet", "squeezenet", "googlenet"])
def test_a_larger_picture_needs_more(network):
    found = [bytes_of(network=network, size=size) for size in (64, 128, 256, 512, 1024, 2048, 4096)]
    assert found == sorted(found)
    assert found[-1] > 8 * found[-4]  # with the area, in the end


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"optimizer": "adam"}, {"optimizer": "lbfgs"}),
        ({"history": 3}, {"history": 30}),
        ({"iterations": 2}, {"iterations": 50}),
        ({"optimizer": "lbfgs"}, {"optimizer": "lbfgs-scipy"}),
        ({}, {"dtype": "float64"}),
        ({}, {"plain": True}),
        ({"threads": 1}, {"threads": 8}),
        ({"style_size": 256}, {"style_size": 1536}),
        ({"network": "squeezenet"}, {"network": "vgg16"}),
        ({}, {"content": (8000, 12000)}),
        ({}, {"paintings": ((400, 600),) * 12}),
    ],
)
def test_what_needs_more(less, more):
    common = {"size": 768, "scales": 1}
    assert bytes_of(**common | less) < bytes_of(**common | more)


def test_a_large_photograph_counts_while_it_is_read():
    found = estimate(run_config({"network": "squeezenet", "size": 64}), (8000, 12000), [(40, 60)])
    assert found.stage == "reading"
    assert found.bytes > 8000 * 12000 * 20


def test_parts_are_positive_and_their_sum_is_the_whole():
    found = estimate(run_config({"network": "vgg16", "size": 512}), (400, 600), [(400, 600)])
    assert found.bytes == sum(found.parts.values())
    assert min(found.parts.values()) > 0
    assert found.parts["weights"] == pytest.approx(9_996_032 * 4, rel=0.05)  # VGG-16's up to conv5_1


@pytest.mark.parametrize("representation", STYLE_REPRESENTATIONS)
def test_every_representation_has_an_estimate(representation):
    assert bytes_of(style_representation=representation) > 0


def test_the_estimate_makes_nothing_as_large_as_a_picture():
    import tracemalloc

    config = run_config({"network": "vgg16", "size": 8192})
    tracemalloc.start()
    try:
        estimate(config, (4000, 6000), [(4000, 6000)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MEBIBYTE


def test_the_estimate_asks_the_network_itself():
    """Another algorithm of the convolutions has no transformed kernels in the network's memory."""
    sizes = (256, 384), [(256, 384)], 2
    usual = objective_memory(run_config({"network": "vgg16"}), *sizes)
    other = objective_memory(run_config({"network": "vgg16", "algorithm": "matmul"}), *sizes)
    assert other.running < usual.running
    assert other.threads < usual.threads


@pytest.mark.parametrize("limit", [300 * MEBIBYTE, 2**30, 4 * 2**30, 24 * 2**30])
@pytest.mark.parametrize("options", [{}, {"network": "squeezenet", "scales": 1}, {"size_rule": "area"}])
def test_the_largest_size_fits_and_a_larger_one_does_not(limit, options):
    config = run_config({"network": "vgg16", "threads": 2} | options)
    pictures = (400, 600), [(400, 600)]
    size = largest_size(config, *pictures, limit)
    assert size >= 64
    for side, fits in ((size, True), (round(size * 1.05), False)):
        changed = replace(config, size=side)
        assert (estimate(changed, *pictures).bytes <= limit) == fits, (side, fits)


def test_where_nothing_fits_there_is_no_largest_size():
    assert largest_size(run_config({"network": "vgg16"}), (400, 600), [(400, 600)], 50 * MEBIBYTE) == 0


def test_what_is_too_small_for_the_network_is_no_estimate():
    with pytest.raises(UsageError):
        estimate(run_config({"network": "vgg16", "content_layers": "no_such"}), (40, 60), [(40, 60)])


def test_a_run_that_does_not_fit_is_refused_with_what_would():
    picture = np.zeros((400, 600, 3), np.uint8)
    config = run_config({"network": "vgg16", "size": 4000, "memory": "2GB"})
    with pytest.raises(ResourceError, match=r"--size 4000: needs about \d+\.\d GB .* allows 2.0 GB") as error:
        check_memory(picture, [picture], config)
    size = int(error.value.hint.split()[1])
    check_memory(picture, picture, replace(config, size=size))


def test_alternatives_that_do_not_help_are_not_told():
    picture = np.zeros((400, 600, 3), np.uint8)
    config = run_config({"network": "squeezenet", "optimizer": "adam", "size": 4000, "memory": "1GB"})
    with pytest.raises(ResourceError) as error:
        check_memory(picture, picture, config)
    assert "adam" not in error.value.hint
    assert "squeezenet" not in error.value.hint


def test_the_size_of_a_file_is_that_of_the_upright_picture(tmp_path):
    from PIL import Image

    image = Image.new("RGB", (30, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert source_size(str(tmp_path / "turned.jpg"), "content") == (30, 20)
    assert source_size(image, "content") == (30, 20)
    assert source_size(Image.new("RGB", (30, 20)), "content") == (20, 30)
    assert source_size(np.zeros((20, 30), np.uint8), "content") == (20, 30)
    assert source_size(17, "content") is None
