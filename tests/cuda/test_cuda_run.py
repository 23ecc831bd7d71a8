"""Whole runs from the command line with --device cuda, on the stand-in: pictures, memory, messages."""

from __future__ import annotations

import gc
import json

import numpy as np
import pytest
from PIL import Image
from smooth_pictures import smooth_picture

from nst_manual.cli import main
from nst_manual.config import run_config
from nst_manual.run.estimate_gpu import LIBRARIES, estimate_gpu
from nst_manual.run.job import prepare, run_job

SMALL = ["--network", "vgg11", "--weights", "random", "--size", "40", "--iterations", "4"]


@pytest.fixture
def folder(tmp_path):
    for name, seed in (("photo.png", 0), ("painting.png", 1)):
        Image.fromarray(smooth_picture(seed, 30, 40)).save(tmp_path / name)
    return tmp_path


def run(folder, *options, out="out.png"):
    """Run the command in this process; return its exit code."""
    arguments = ["run", str(folder / "photo.png"), str(folder / "painting.png"), "-o", str(folder / out)]
    return main([*arguments, *SMALL, *options])


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "lbfgs-scipy"])
def test_the_picture_of_the_cpu(standin, folder, optimizer, capsys):
    options = ["--dtype", "float64", "--optimizer", optimizer]
    assert run(folder, *options, out="cpu.png") == 0
    capsys.readouterr()
    assert run(folder, *options, "--device", "cuda", out="gpu.png") == 0
    assert "GPU stand-in" in capsys.readouterr().err
    assert (pixels(folder / "cpu.png") == pixels(folder / "gpu.png")).all()


@pytest.mark.parametrize(("optimizer", "bounds"), [("lbfgs", (0.0, 255.0)), ("lbfgs", ()), ("adam", ())])
def test_an_iteration_moves_nothing_but_a_few_numbers(standin, optimizer, bounds):
    """Of runs of 2 and of 8 iterations: what 6 iterations add is one transfer an evaluation."""
    content, style = smooth_picture(0, 30, 40), smooth_picture(1, 30, 40)
    seen = []
    for iterations in (2, 8):
        options = {"network": "vgg11", "weights": "random", "size": 40, "dtype": "float64", "seed": 1}
        config = run_config(
            options | {"device": "cuda", "iterations": iterations, "optimizer": optimizer, "bounds": bounds}
        )
        objective, start = prepare(content, [style], config)
        standin.counts.reset()
        outcome = run_job(objective, start, config)
        assert outcome.stopped is None and isinstance(outcome.pixels, np.ndarray)
        counts = standin.counts
        seen.append((len(outcome.history), counts.to_host, counts.bytes_to_host, counts.to_device))
    (few, *before), (many, *after) = seen
    transfers, size, to_device = (b - a for a, b in zip(before, after, strict=True))
    assert transfers == many - few >= 6
    assert size <= 200 * transfers
    assert to_device == 0


def test_what_ends_up_in_the_manifest(standin, folder, capsys):
    assert run(folder, "--device", "cuda") == 0
    with Image.open(folder / "out.png") as image:
        manifest = json.loads(image.text["nst_manual"])
    assert manifest["given"]["device"] == "cuda" and "stand-in" in manifest["device"]
    assert main(["rerun", str(folder / "out.png"), "-o", str(folder / "again.png")]) == 0
    assert (pixels(folder / "out.png") == pixels(folder / "again.png")).all()
    capsys.readouterr()
    assert main(["rerun", str(folder / "out.png"), "--device", "cpu", "-o", str(folder / "cpu.png")]) == 0
    said = capsys.readouterr().err
    assert "every value is the same" in said or "device was GPU stand-in, CuPy 14.2.0, is CPU" in said


def test_stopped_and_resumed_it_is_the_same_picture(standin, folder):
    options = ["--device", "cuda", "--no-manifest"]
    assert run(folder, *options, "--iterations", "6", out="whole.png") == 0
    kept = folder / "kept.h5"
    assert run(folder, *options, "--iterations", "3", "--checkpoint", str(kept)) == 0
    arguments = ["resume", str(kept), "--iterations", "6", "-o", str(folder / "rest.png")]
    assert main(arguments) == 0
    assert (folder / "rest.png").read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.parametrize(("network", "size"), [("vgg16", 80), ("alexnet", 96)])
def test_the_estimate_is_what_a_run_allocates(standin, network, size):
    content, style = smooth_picture(0, size, size), smooth_picture(1, size, size)
    config = run_config(
        {"network": network, "weights": "random", "size": size, "device": "cuda", "iterations": 3}
    )
    estimate = estimate_gpu(config, content.shape[:2], [style.shape[:2]])
    gc.collect()  # what earlier tests have left in cycles
    standin.reset()
    objective, start = prepare(content, [style], config)
    run_job(objective, start, config)
    counted = estimate.bytes - LIBRARIES - estimate.parts["gaps between blocks"]
    assert 0.9 <= counted / standin.peak_bytes <= 1.2


def test_a_run_that_does_not_fit_is_refused_with_a_size_that_does(standin, folder, capsys):
    free = 300 * 2**20
    standin.settings.mem_info = free, 2 * free
    code = run(folder, "--device", "cuda", "--network", "vgg16", "--size", "2000")
    message = capsys.readouterr().err
    assert code == 6 and "of the GPU's 600 MB are free" in message and "\n" not in message.strip()
    size = message.split("--size ")[2].split()[0].rstrip(",;)")
    assert not (folder / "out.png").exists()
    config = run_config({"network": "vgg16", "weights": "random", "size": int(size), "device": "cuda"})
    assert estimate_gpu(config, (30, 40), [(30, 40)]).bytes <= free


@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_gpu_that_runs_out_ends_the_run_with_what_would_fit(standin, folder, capsys, share):
    """The driver says that there is more than can be had, so that the run is not refused before."""
    options = ["--device", "cuda", "--size", "80", "--force", "--iterations", "1"]
    gc.collect()
    standin.reset()
    assert run(folder, *options) == 0
    peak = standin.peak_bytes
    gc.collect()
    standin.settings.mem_info = 2**34, 2**34
    standin.memory_limit = int(share * peak)
    capsys.readouterr()
    code = run(folder, *options)
    message = capsys.readouterr().err.splitlines()[-1]
    assert code == 6 and message.startswith("error: ") and "memory ran out" in message
    assert ("picture before is saved" if share > 0.9 else "while targets were captured") in message
    size = int(message.split("--size ")[1].split()[0])
    assert size < 80
    standin.memory_limit = None
    assert run(folder, *options, "--size", str(size)) == 0
