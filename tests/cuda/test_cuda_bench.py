"""`bench` on a GPU: ours on the stand-in for CuPy, PyTorch on a device that computes nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from in_process import InProcess

from nst_manual.bench import compare as comparison
from nst_manual.bench import subjects
from nst_manual.bench.settings import GPU_EVALUATIONS, Settings
from nst_manual.cli import main
from nst_manual.config import run_config

FEW = {
    "network": "vgg11",
    "weights": "random",
    "style_layers": "relu1_1",
    "content_layers": "relu2_1",
    "threads": 1,
    "device": "cuda",
}
SMALL = ["--network", "vgg11", "--weights", "random", "--content-layers", "relu2_1"]
SMALL += ["--style-layers", "relu1_1", "--size", "19x24", "--threads", "1", "--repeat", "1"]


@pytest.fixture(autouse=True)
def in_process(standin, monkeypatch):
    monkeypatch.setattr(comparison, "Worker", InProcess)


def settings(**options):
    return Settings(run_config(FEW | options), (19, 24), repeat=2)


def test_the_report_says_where_and_how(standin):
    report = json.loads(json.dumps(comparison.compare(settings(tf32=True)), allow_nan=False))
    assert (report["device"], report["tf32"]) == ("cuda", True)
    assert "stand-in" in report["device_name"]
    assert set(report["algorithm"].values()) <= {"cuda-columns-tf32", "cuda-shifted-tf32"}
    assert report["ours"]["idle_mb"] == 0
    assert 0.1 < report["ours"]["peak_mb"] <= standin.peak_bytes / 2**20


def test_a_turn_is_many_evaluations_that_each_fetch_the_losses_alone(standin):
    job = settings().job("ours")
    ours = subjects.Ours(job)
    ours.evaluate()
    standin.counts.reset()
    found = ours.evaluate()
    assert standin.counts.to_host == GPU_EVALUATIONS
    assert standin.counts.to_device == 0
    assert standin.counts.synchronisations == GPU_EVALUATIONS + 2  # one before each reading of the clock
    here = subjects.Ours(settings(device="cpu").job("ours"))
    assert found["loss"] == pytest.approx(here.loss(), rel=1e-5)


def test_a_whole_run_counts_its_evaluations(standin):
    found = subjects.Ours(settings().job("ours")).run(3)
    assert found["evaluations"] >= found["iterations"] == 3
    assert 0 < found["optimizer_share"] < 1
    assert found["loss"] < found["first_loss"]


def test_the_command_and_its_table(standin, capsys):
    assert main(["bench", *SMALL, "--device", "cuda"]) == 0
    out = capsys.readouterr().out
    for said in ("stand-in", "float32", "for arrays", f"{GPU_EVALUATIONS} evaluations"):
        assert said in " ".join(out.split())
    assert "with TF32" not in out


def test_without_a_gpu_it_is_one_line_before_anything_starts(standin, capsys, monkeypatch):
    standin.settings.devices = 0
    monkeypatch.setattr(comparison, "Worker", None)
    assert main(["bench", *SMALL, "--device", "cuda"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "--device cuda" in err


def test_auto_is_the_cpu_where_there_is_no_gpu(standin, capsys):
    standin.settings.devices = 0
    assert main(["bench", *SMALL, "--device", "auto", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["device"], found["tf32"]) == ("cpu", False)


def test_tf32_on_the_cpu_is_refused(capsys):
    assert main(["bench", *SMALL, "--tf32"]) == 2
    assert "--tf32" in capsys.readouterr().err


@pytest.mark.parametrize("variant", ["nchw", "channels-last", "inplace"])
def test_all_of_pytorch_s_tensors_live_on_its_device(variant, monkeypatch):
    """A device without numbers refuses to meet tensors of another."""
    torch = pytest.importorskip("torch")
    from nst_manual.check import torch_network
    from nst_manual.check.torch_objective import TorchObjective

    monkeypatch.setattr(torch_network, "torch_device", lambda name, tf32: torch.device("meta"))
    content = np.random.default_rng(0).integers(0, 256, (19, 24, 3), dtype=np.uint8)
    objective = TorchObjective(content, [content], variant=variant, config=run_config(FEW | {"size": 24}))
    x = objective.tensor(objective.content[None])
    loss, dx = objective.evaluate(x)
    assert loss.device.type == dx.device.type == "meta"
    assert dx.shape == (1, 3, 19, 24)


def test_pytorch_without_a_gpu_says_so():
    torch = pytest.importorskip("torch")
    from nst_manual.check.torch_network import torch_device
    from nst_manual.errors import UsageError

    assert torch_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        assert torch_device("auto").type == "cpu"
        with pytest.raises(UsageError, match="finds no GPU"):
            torch_device("cuda")


@pytest.mark.parametrize("tf32", [False, True])
def test_pytorch_s_switches_say_what_ours_do(tf32, monkeypatch):
    torch = pytest.importorskip("torch")
    from nst_manual.check import torch_network

    before = torch.backends.cudnn.benchmark
    torch_network.set_switches(torch, tf32)
    try:
        assert torch.backends.cuda.matmul.allow_tf32 is tf32
        assert torch.backends.cudnn.allow_tf32 is tf32
        assert torch.backends.cudnn.benchmark is True
    finally:
        torch_network.set_switches(torch, False)
        torch.backends.cudnn.benchmark = before
