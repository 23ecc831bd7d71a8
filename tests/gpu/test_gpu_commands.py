"""Commands on a GPU: a run, a comparison with PyTorch, memory that is counted and runs out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nst_manual import backend
from nst_manual.cli import main

pytestmark = pytest.mark.gpu

FEW = ["--network", "vgg11", "--weights", "random", "--content-layers", "relu2_1"]
FEW += ["--style-layers", "relu1_1,relu2_1"]


def test_a_run_makes_the_picture_of_the_cpu(tmp_path):
    from PIL import Image

    pictures = []
    for device in ("cpu", "cuda"):
        out = tmp_path / f"{device}.png"
        options = ["--size", "48", "--iterations", "3", "--dtype", "float64", "--device", device]
        assert main(["run", *FEW, *options, "--quiet", "-o", str(out)]) == 0
        pictures.append(np.asarray(Image.open(out)).astype(int))
    # rounded to 8 bits: a value between two numbers may fall to either
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_the_memory_taken_is_counted():
    before = backend.gpu_bytes_taken()
    array = backend.to_device(np.ones(before // 8 + 2**21))
    assert backend.gpu_bytes_taken() >= before + 2**24 or array.nbytes <= before
    free, total = backend.gpu_memory()
    assert 0 < free < total


def test_memory_that_runs_out_is_exit_6_with_a_size_that_may_fit(tmp_path, capfd):
    pool = backend._cupy().get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.total_bytes() + 2**24)
    try:
        out = tmp_path / "out.png"
        options = ["--size", "512", "--iterations", "2", "--device", "cuda", "--quiet"]
        assert main(["run", *FEW, *options, "-o", str(out)]) == 6
    finally:
        pool.set_limit(size=0)
    message = capfd.readouterr().err
    assert message.count("\n") == 1
    assert "--size" in message


@pytest.mark.parametrize("tf32", [False, True])
def test_bench_beside_torch_has_the_promised_keys(tf32, capfd):
    if not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    arguments = ["--size", "64", "--repeat", "2", "--device", "cuda", "--with", "torch", "--json"]
    assert main(["bench", *FEW, *arguments, *["--tf32"] * tf32]) == 0
    found = json.loads(capfd.readouterr().out)
    assert {"network", "size", "ours", "torch", "ratio", "device", "device_name", "tf32"} <= set(found)
    assert (found["device"], found["tf32"]) == ("cuda", tf32)
    for side in ("ours", "torch"):
        assert found[side]["seconds"] > 0
        assert found[side]["peak_mb"] > 0
    assert found["loss_difference"] < (1e-2 if tf32 else 1e-4)
