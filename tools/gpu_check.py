"""All that is to be known of a GPU, in one command: is it right, how fast, how much memory, where time goes.

    python tools/gpu_check.py [--output gpu.json] [--quick] [--skip-torch] [--sizes 512,1024]

Works from a plain copy of the tree, and needs NumPy, SciPy, CuPy, Pillow and h5py; PyTorch to compare with.
The benchmark is VGG-19 with random weights and the losses of the default preset, up to conv5_1: loss and
gradient, each subject in a process of its own. Everything goes to one JSON file, most of it to a table.

Exit code 0; 1 where a check or a part failed, which is in the file too; 2 without a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nst_manual.errors import NstError

VARIANTS = ("nchw", "channels-last", "inplace")


@dataclass(frozen=True)
class Plan:
    """What to measure, and how thoroughly."""

    sizes: tuple[int, ...] = (512, 1024)
    network: str = "vgg19"
    last: str = "conv5_1"
    matrix: int = 8192
    copy: int = 2**30
    repeat: int = 5
    images: int = 3
    iterations: int = 20
    torch: bool = True
    quick: bool = False
    pieces: tuple[int, ...] = tuple(2**power for power in (25, 26, 27, 28))
    options: dict[str, Any] = field(default_factory=dict)  # of the objective, beside these

    def config(self, size: int, tf32: bool = False, device: str = "cuda") -> Any:
        """Return the configuration of a benchmark."""
        from nst_manual.config import run_config

        options = {"network": self.network, "weights": "random", "device": device, "tf32": tf32}
        return run_config(options | {"size": size, "scales": 1} | self.options)


def main(arguments: list[str] | None = None) -> int:
    """Check and measure, write the file, print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="gpu.json", help="the file [gpu.json]")
    parser.add_argument("--quick", action="store_true", help="a minute: smaller, and fewer checks")
    parser.add_argument("--skip-torch", action="store_true", help="nothing of PyTorch")
    parser.add_argument("--sizes", help="sides of the pictures, with commas [512,1024]")
    options = parser.parse_args(arguments)
    plan = Plan(torch=not options.skip_torch)
    if options.quick:
        plan = Plan(
            (256,), matrix=4096, copy=2**28, repeat=3, images=1, iterations=5, torch=plan.torch, quick=True
        )
    if options.sizes:
        try:
            sizes = tuple(int(size) for size in options.sizes.split(","))
        except ValueError:
            parser.error(f"--sizes: expected whole numbers with commas, got {options.sizes!r}")
        plan = Plan(**vars(plan) | {"sizes": sizes})

    from nst_manual.check.device import available

    if why := available():
        print(f"error: no GPU to check: {why}", file=sys.stderr)
        return 2
    if plan.torch and (why := torch_missing()):
        print(f"PyTorch is left out: {why}")
        plan = Plan(**vars(plan) | {"torch": False})
    report = collect(plan, Path(options.output))
    print_table(report)
    print(f"Everything is in {options.output}.")
    return 0 if passed(report) else 1


def torch_missing() -> str:
    """Return why PyTorch cannot be compared with, or ""."""
    try:
        import torch
    except ImportError:
        return "it is not installed"
    return "" if torch.cuda.is_available() else "it finds no GPU"


def collect(plan: Plan, output: Path) -> dict[str, Any]:
    """Return the report; it is written after every part, so that what has been measured is not lost."""
    report: dict[str, Any] = {"plan": vars(plan), "failed": {}, "seconds": {}}
    for name, part in parts(plan).items():
        print(f"{name} ...", flush=True)
        began = time.perf_counter()
        try:
            report[name] = part()
        except Exception as error:  # the other parts are to be measured too
            report["failed"][name] = f"{type(error).__name__}: {' '.join(str(error).split())[:1000]}"
            print(f"  failed: {report['failed'][name]}")
        report["seconds"][name] = time.perf_counter() - began
        with contextlib.suppress(Exception):  # a GPU that a part has left in ruins
            free_memory()
        output.write_text(json.dumps(report, indent=1, default=str), encoding="utf-8")
    return report


def parts(plan: Plan) -> dict[str, Callable[[], Any]]:
    """Return name -> what measures it, in order."""
    from nst_manual.bench import gpu_layers, gpu_objective, gpu_rates

    found: dict[str, Callable[[], Any]] = {
        "machine": gpu_rates.machine,
        "checks": lambda: run_checks(plan),
        "matrix": lambda: gpu_rates.matrix_rates(plan.matrix, plan.repeat),
        "bandwidth": lambda: gpu_rates.copy_bandwidth(plan.copy, plan.repeat),
    }
    for size in plan.sizes:
        for tf32 in (False, True):
            words = f"{size}, {'TF32' if tf32 else 'float32'}"
            found[f"benchmark {words}"] = lambda s=size, t=tf32: benchmark(plan, s, t)
            found[f"profile {words}"] = lambda s=size, t=tf32: gpu_objective.evaluation_profile(
                plan.config(s, t), (s, s), plan.repeat
            )
        found[f"errors {size}"] = lambda s=size: gpu_objective.gradient_errors(
            plan.config(s), (s, s), plan.torch, plan.images
        )
        found[f"layers {size}"] = lambda s=size: gpu_layers.layer_times(plan.network, plan.last, (s, s))
        found[f"pieces {size}"] = lambda s=size: gpu_layers.piece_times(
            plan.network, plan.last, (s, s), pieces=plan.pieces
        )
        found[f"iterations {size}"] = lambda s=size: gpu_objective.iterations(
            plan.config(s), (s, s), plan.iterations
        )
    return found


def run_checks(plan: Plan) -> dict[str, Any]:
    """Return the outcomes of all checks, those that failed printed."""
    from nst_manual.check.device import checks, judge

    outcomes = []
    for check in checks(plan.quick):
        outcome = judge(check)
        outcomes.append(outcome)
        if not outcome.passed:
            print(f"  {outcome}", flush=True)
    return {
        "passed": sum(outcome.passed for outcome in outcomes),
        "all": len(outcomes),
        "checks": [outcome.record() for outcome in outcomes],
    }


def benchmark(plan: Plan, size: int, tf32: bool) -> dict[str, Any]:
    """Return the report of `bench`: seconds and memory, each subject in a process of its own, in turn."""
    from nst_manual.bench.compare import compare
    from nst_manual.bench.settings import Settings

    free_memory()  # what this process keeps, the others do not get
    variants = VARIANTS if plan.torch else ()
    return compare(Settings(plan.config(size, tf32), (size, size), variants, True, plan.repeat))


def free_memory() -> None:
    """Give back what this process keeps of the GPU's memory."""
    import gc

    from nst_manual.bench.gpu_rates import gpu_module

    gc.collect()
    gpu_module().get_default_memory_pool().free_all_blocks()
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        sys.modules["torch"].cuda.empty_cache()


def passed(report: dict[str, Any]) -> bool:
    """Whether every check and every part did what it should."""
    checks = report.get("checks", {"passed": 0, "all": 1})
    return not report["failed"] and checks["passed"] == checks["all"]


def print_table(report: dict[str, Any]) -> None:
    """Print the most of a report, the goals beside."""
    for line in table(report):
        print(line)


def table(report: dict[str, Any]) -> list[str]:
    """Return the lines of the table."""
    lines = ["", "  ".join(f"{name} {value}" for name, value in report.get("machine", {}).items())]
    if checks := report.get("checks"):
        lines.append(f"checks: {checks['passed']} of {checks['all']} passed")
        lines += [
            f"  FAILED {check['group']}: {check['name']}: {check['raised'] or check['error']}"
            for check in checks["checks"]
            if not check["passed"]
        ]
    if matrix := report.get("matrix"):
        rates = ", ".join(f"{kind} {2 * rate / 1e12:.1f}" for kind, rate in matrix.items())
        lines.append(f"a large product, tera-operations a second: {rates}")
    if bandwidth := report.get("bandwidth"):
        lines.append(f"a copy, gigabytes a second read and written: {bandwidth / 1e9:.0f}")
    for size in report["plan"]["sizes"]:
        for kind in ("float32", "TF32"):
            lines += speed_lines(report, f"{size}, {kind}")
        lines += error_lines(report.get(f"errors {size}", {}), size)
        lines += layer_lines(report.get(f"layers {size}", []), size)
        for name, found in report.get(f"pieces {size}", {}).items():
            each = ", ".join(f"{piece} MiB {1000 * seconds:.2f}" for piece, seconds in found.items())
            lines.append(f"{size}, {name}, milliseconds by size of a piece: {each}")
        for name, found in report.get(f"iterations {size}", {}).items():
            lines.append(
                f"{size}, an iteration of {name}: {1000 * found['seconds']:.2f} ms, of which evaluations "
                f"{1000 * found['seconds_of_evaluations']:.2f}; fetches {found['fetches']:.2f} "
                f"(goal: one an evaluation, here {found['fetches_an_evaluation']:.2f})"
            )
    lines += [f"FAILED {name}: {why}" for name, why in report["failed"].items()]
    return lines


def speed_lines(report: dict[str, Any], words: str) -> list[str]:
    """Return the lines of a benchmark and a profile."""
    lines, matrix = [], report.get("matrix", {})
    if bench := report.get(f"benchmark {words}"):
        ours = bench["ours"]
        lines.append(f"{words}: ours {1000 * ours['seconds']:.2f} ms, {ours['peak_mb']:.0f} MiB")
        for name, found in bench.get("variants", {}).items():
            if "error" in found:
                lines.append(f"  torch {name}: left out, {found['error']}")
                continue
            memory = ours["peak_mb"] / found["peak_mb"] if found["peak_mb"] else float("nan")
            lines.append(
                f"  torch {name}: {1000 * found['seconds']:.2f} ms, {found['peak_mb']:.0f} MiB; "
                f"as fast as PyTorch: ratio {found['ratio']:.2f} (goal 1 or more); "
                f"memory: {memory:.2f} of its (goal 0.50 or less)"
            )
    if profile := report.get(f"profile {words}"):
        share = profile["rate"] / matrix[kind] if (kind := words.split(", ")[1].lower()) in matrix else None
        told = "unknown" if share is None else f"{share:.0%}"
        lines.append(f"  rate of the multiplications made: {told} of a large product's (goal at 1024: 60%)")
        groups = sorted(profile["groups"].items(), key=lambda item: -item[1])
        each = ", ".join(f"{name} {1000 * seconds:.2f}" for name, seconds in groups)
        lines.append(f"  milliseconds of {1000 * profile['seconds']:.2f}: {each}")
    return lines


def error_lines(errors: dict[str, Any], size: int) -> list[str]:
    """Return the lines of the errors of the gradient."""
    lines = []
    for kind in ("float32", "tf32"):
        if kind in errors:
            found = errors[kind]
            each = "; ".join(
                f"{name} {', '.join(f'{value:.2e} {which}' for which, value in got.items())}"
                for name, got in found.items()
                if name != "ratio"
            )
            ratio = f"; ratio {found['ratio']:.2f} (goal 1.5 or less)" if "ratio" in found else ""
            lines.append(f"{size}, {kind}, error of the gradient against float64: {each}{ratio}")
    return lines


def layer_lines(rows: list[dict[str, Any]], size: int) -> list[str]:
    """Return the lines of the layers: milliseconds forward / backward of each algorithm."""
    lines = [f"{size}, layers, milliseconds forward / backward:"] if rows else []
    for row in rows:
        each = "  ".join(
            f"{name.removeprefix('cuda-')} {1000 * found['forward']:.3f} / {1000 * found['backward']:.3f}"
            for name, found in row["algorithms"].items()
        )
        gain = f"; Winograd gains {row['winograd_gain']:.2f}" if "winograd_gain" in row else ""
        lines.append(
            f"  {row['layer']:8s} {each}; fastest {row['fastest_float32']} (chosen {row['chosen_float32']}), "
            f"TF32 {row['fastest_tf32']} (chosen {row['chosen_tf32']}){gain}"
        )
    return lines


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NstError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
