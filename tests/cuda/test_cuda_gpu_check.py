"""`tools/gpu_check.py`: each part on the stand-in for CuPy, its table, and what it does without a GPU."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from in_process import InProcess

from nst_manual import backend
from nst_manual.bench import compare as comparison
from nst_manual.bench import gpu_layers, gpu_objective, gpu_profile, gpu_rates
from nst_manual.check.device import Check

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "gpu_check.py"


@pytest.fixture
def tool(standin, monkeypatch):
    """Return the tool as a module, its checks few."""
    spec = importlib.util.spec_from_file_location("gpu_check", TOOL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_check", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(comparison, "Worker", InProcess)
    return module


def small(tool, **values):
    given = {"sizes": (24,), "network": "squeezenet", "last": "fire2/squeeze1x1", "matrix": 32, "copy": 2**16}
    given |= {"repeat": 2, "images": 1, "iterations": 2, "torch": False, "quick": True}
    return tool.Plan(**given | {"pieces": (2**12, 2**16)} | values)


def with_checks(monkeypatch, *checks):
    monkeypatch.setattr("nst_manual.check.device.checks", lambda quick: iter(checks))


GOOD = Check("products", "good", lambda: (0.0, 1.0))
BAD = Check("products", "bad", lambda: (2.0, 1.0))


def test_every_part_measures(tool, tmp_path, monkeypatch, standin):
    with_checks(monkeypatch, GOOD)
    few = {"content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1"}
    plan = small(tool, network="vgg11", last="conv2_1", sizes=(34,), options=few)
    report = tool.collect(plan, tmp_path / "gpu.json")
    assert report["failed"] == {}
    assert tool.passed(report)
    assert json.loads((tmp_path / "gpu.json").read_text())["checks"]["passed"] == 1
    text = "\n".join(tool.table(report))
    for said in ("stand-in", "checks: 1 of 1", "a large product", "34, float32: ours", "34, TF32: ours"):
        assert said in text
    for said in (
        "rate of the multiplications made",
        "error of the gradient",
        "conv2_1",
        "cuda-winograd, mill",
    ):
        assert said in text
    assert "an iteration of adam" in text
    for optimizer in ("lbfgs", "adam"):
        found = report["iterations 34"][optimizer]
        assert found["fetches_an_evaluation"] == 1
        assert found["fetches"] * found["iterations"] == pytest.approx(found["evaluations"])


def test_a_check_that_fails_is_exit_1_and_stands_in_the_table(tool, tmp_path, monkeypatch, capsys):
    with_checks(monkeypatch, GOOD, BAD)
    monkeypatch.setattr(tool, "parts", lambda plan: {"checks": lambda: tool.run_checks(plan)})
    assert tool.main(["--output", str(tmp_path / "gpu.json"), "--quick", "--skip-torch"]) == 1
    out = capsys.readouterr().out
    assert "FAILED products: bad" in out
    assert "1 of 2 passed" in out


def test_a_part_that_fails_is_told_and_the_others_go_on(tool, tmp_path, monkeypatch, capsys):
    def broken():
        raise ValueError("no such thing")

    with_checks(monkeypatch, GOOD)
    monkeypatch.setattr(
        tool, "parts", lambda plan: {"matrix": broken, "checks": lambda: tool.run_checks(plan)}
    )
    assert tool.main(["--output", str(tmp_path / "gpu.json"), "--skip-torch", "--sizes", "24"]) == 1
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["failed"] == {"matrix": "ValueError: no such thing"}
    assert report["checks"]["passed"] == 1
    assert "FAILED matrix" in capsys.readouterr().out


def test_the_table_beside_pytorch(tool):
    found = {"seconds": 2e-3, "peak_mb": 100.0, "ratio": 2.0}
    bench = {
        "ours": {"seconds": 1e-3, "peak_mb": 40.0},
        "variants": {"nchw": found, "inplace": {"error": "no"}},
    }
    errors = {"float32": {"ours": {"against torch": 1e-6}, "torch": {"against torch": 1e-6}, "ratio": 1.0}}
    report = {"plan": {"sizes": (24,)}, "failed": {}, "benchmark 24, float32": bench, "errors 24": errors}
    text = "\n".join(tool.table(report))
    for said in (
        "ratio 2.00 (goal 1 or more)",
        "0.40 of its",
        "left out, no",
        "ratio 1.00 (goal 1.5 or less)",
    ):
        assert said in text


def test_the_profile_sees_every_product_and_launch_and_puts_all_back(standin):
    layer = next(gpu_layers.distinct("vgg11", "conv2_1", (24, 24)))
    before = backend.product, backend.gpu_functions, backend.elementwise, backend.reduction
    standin.products.clear()
    with gpu_profile.profile() as found:
        gpu_layers_forward(layer)
        backend.elementwise("T x", "T y", "y = x + 1", "plus_one")(backend.to_device(np.ones(3)))
    assert found.multiplications == sum(int(np.prod(product[:4])) for product in standin.products) > 0
    launches = found.launches()
    assert launches[gpu_profile.GATHER] == launches[gpu_profile.FINISH] == launches[gpu_profile.OWN] == 1
    assert launches[gpu_profile.PRODUCT] == len(standin.products)
    seconds = found.seconds(total=10.0)
    assert sum(seconds.values()) == pytest.approx(10.0)
    assert before == (backend.product, backend.gpu_functions, backend.elementwise, backend.reduction)


def gpu_layers_forward(layer):
    """Run a layer once by shifted products."""
    from nst_manual.kernels.conv import get_algorithm

    rng = np.random.default_rng(0)
    problem = gpu_layers.problem_of(layer)
    x, w = (backend.to_device(rng.standard_normal(shape)) for shape in (problem.x_shape, problem.w_shape))
    b = backend.to_device(rng.standard_normal(problem.w_shape[3]))
    get_algorithm("cuda-shifted").forward(x, w, b, *problem.geometry)


def test_winograd_makes_36_products_of_tiles_and_the_direct_sums_more(standin):
    (row,) = [
        row for row in gpu_layers.layer_times("vgg11", "conv2_1", (24, 24), 1) if row["layer"] == "conv2_1"
    ]
    made = {name: found["multiplications"] for name, found in row["algorithms"].items()}
    tiles, channels = 3 * 3, 64 * 128  # of 12 x 12 pixels
    assert made["cuda-winograd"] == 36 * tiles * channels
    assert made["cuda-columns"] == 9 * 12 * 12 * channels == row["direct_multiplications"]
    assert made["cuda-shifted"] == 9 * 12 * 14 * channels  # with the border of each row
    assert row["chosen_tf32"] == "cuda-shifted-tf32"


def test_errors_of_the_gradient_are_float32_s_and_tf32_s(standin):
    from nst_manual.config import run_config

    options = {"network": "vgg11", "weights": "random", "device": "cuda", "size": 24}
    options |= {"style_layers": "relu1_1", "content_layers": "relu2_1"}
    found = gpu_objective.gradient_errors(run_config(options), (24, 24), torch=False, images=1)
    assert 1e-8 < found["float32"]["ours"]["against ours"] < 1e-2
    assert found["tf32"]["ours"]["against ours"] > found["float32"]["ours"]["against ours"]


@pytest.fixture
def torch_here(monkeypatch):
    """Let PyTorch compute on the processor where it is asked for a GPU."""
    torch = pytest.importorskip("torch")
    from nst_manual.check import torch_network

    monkeypatch.setattr(torch_network, "torch_device", lambda name, tf32=False: torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 3 * 2**20)


def test_errors_beside_pytorch_s_against_either_s_float64(standin, torch_here):
    from nst_manual.config import run_config

    options = {"network": "vgg11", "weights": "random", "device": "cuda", "size": 24}
    options |= {"style_layers": "relu1_1", "content_layers": "relu2_1"}
    found = gpu_objective.gradient_errors(run_config(options), (24, 24), torch=True, images=2)
    assert found["float64"]["ours against torch"] < 1e-12
    part = found["float32"]
    assert part["ratio"] == part["ours"]["against torch"] / part["torch"]["against torch"] > 0
    assert part["torch"]["against ours"] == pytest.approx(part["torch"]["against torch"], rel=1e-5)


def test_the_benchmark_beside_pytorch(tool, torch_here):
    few = {"content_layers": "relu2_1", "style_layers": "relu1_1", "threads": 1}
    plan = small(tool, network="vgg11", repeat=1, torch=True, options=few)
    report = tool.benchmark(plan, 24, tf32=False)
    assert set(report["variants"]) == set(tool.VARIANTS)
    assert report["torch"]["peak_mb"] == 3
    assert report["torch"]["idle_mb"] == 0
    assert report["loss_difference"] < 1e-5


def test_pytorch_that_is_not_there_is_told_and_left_out(tool, tmp_path, monkeypatch, capsys):
    plans = []
    monkeypatch.setattr(tool, "torch_missing", lambda: "it is ill")
    monkeypatch.setattr(tool, "parts", lambda plan: plans.append(plan) or {})
    with_checks(monkeypatch, GOOD)
    tool.main(["--output", str(tmp_path / "gpu.json")])
    assert "PyTorch is left out: it is ill" in capsys.readouterr().out
    assert not plans[0].torch


def test_sizes_that_are_none_are_refused(tool, capsys):
    with pytest.raises(SystemExit) as ended:
        tool.main(["--sizes", "large"])
    assert ended.value.code == 2
    assert "expected whole numbers" in capsys.readouterr().err


def test_rates_are_of_what_was_asked_for(standin):
    standin.products.clear()
    rates = gpu_rates.matrix_rates(16, repeat=1)
    assert set(rates) == {"float32", "tf32", "float64"}
    assert {product[1:4] for product in standin.products} == {(16, 16, 16), (8, 8, 8)}
    assert {product[4] for product in standin.products} == {68, 77, 70}
    assert gpu_rates.copy_bandwidth(2**12, repeat=1) > 0


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
sys.argv = ["gpu_check.py"]
"""
NOT_NEEDED = {"pytest", "typer", "rich", "threadpoolctl", "platformdirs", "hypothesis", "click"}


def started(code, folder):
    """Return a process of Python that has run that code, from a folder that is not the checkout."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=120, check=False
    )


def test_without_a_gpu_it_is_one_line_and_exit_2(tmp_path):
    code = (
        WITHOUT.format(names=NOT_NEEDED | {"cupy"})
        + f"import runpy; runpy.run_path({str(TOOL)!r}, run_name='__main__')"
    )
    ended = started(code, tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == "error: no GPU to check: CuPy is not installed\n"
    assert ended.stdout == ""


WHOLE = f"""
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "cuda")!r}]
from standin import Standin
sys.modules.update(Standin().modules)
import in_process
from nst_manual.bench import compare
compare.Worker = in_process.InProcess
sys.path.insert(0, {str(TOOL.parent)!r})
import gpu_check
from pathlib import Path
from nst_manual.check.device import judge
from nst_manual.check.device import modules, networks
plan = gpu_check.Plan((24,), "squeezenet", "conv1", 16, 2**12, 1, 1, 1, {{torch}}, True, (2**12,))
gpu_check.run_checks = lambda plan: dict(passed=1, all=1, checks=[])
report = gpu_check.collect(plan, Path("gpu.json"))
assert not report["failed"], report["failed"]
chosen = [c for part in (modules, networks) for c in part.checks() if "run of" in c.name or "Style" in c.name]
chosen = chosen[-1:]
assert chosen and all(judge(check).passed for check in chosen)
print(*gpu_check.table(report), sep="\\n")
from nst_manual.config import run_config
from nst_manual.run.manifest import surroundings
from nst_manual.store.find import find_weights
find_weights("vgg11"), surroundings(run_config(dict(network="vgg11")))
"""


def test_it_needs_only_what_a_gpu_machine_has(tmp_path, standin):
    ended = started(WITHOUT.format(names=NOT_NEEDED) + WHOLE.format(torch=False), tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "24, float32: ours" in ended.stdout
