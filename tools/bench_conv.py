"""Each convolution of a network by each algorithm: milliseconds, and the rate as a share of `sgemm`'s.

    python tools/bench_conv.py [--network vgg19] [--size 512] [--threads N] [--repeat 5] [--json]

All take turns, so that a change of the machine's clock meets them alike; the median counts. A rate is that of
the direct sum, 2 kh kw C O operations a pixel, whatever the algorithm computes: above 1 it has saved some.
PyTorch's are measured too where it is installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from nst_manual.bench.compare import PAUSE
from nst_manual.config import objective_config
from nst_manual.errors import NstError
from nst_manual.kernels.conv import algorithms_on
from nst_manual.nets import get_network
from nst_manual.nets.geometry import Layer, layers
from nst_manual.nets.rows import Conv
from nst_manual.options import image_size
from nst_manual.threads import available_cpus, parallel, thread_limit

ALGORITHMS = algorithms_on("cpu")

# "direct" is there to be read: above so many multiply-adds nobody waits for it
DIRECT_LIMIT = 2e9
PEAK_SIDE = 2048


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="vgg19")
    parser.add_argument("--size", default="512", help="N or HxW, pixels")
    parser.add_argument("--threads", type=int, default=available_cpus())
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--algorithm", action="append", choices=ALGORITHMS, help="these alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    try:
        size = image_size(options.size)
        convolutions = distinct(options.network, size)
    except NstError as error:
        sys.exit(f"error: {error}")
    with thread_limit(options.threads):
        peak = sgemm_peak(options.threads)
        torch = find_torch(options.threads)
        measured = []
        for names, layer in convolutions:
            functions = candidates(layer, options.algorithm or list(ALGORITHMS), torch)
            for who, seconds in in_turn(functions, options.repeat).items():
                measured.append((names, layer, who, seconds))
        peak = max(peak, sgemm_peak(options.threads))  # again: another program may have run beside the first
    rows = [row(*one, peak) for one in measured]
    report = {"network": options.network, "size": size, "threads": options.threads, "peak_gflops": peak / 1e9}
    if options.json:
        print(json.dumps(report | {"rows": rows}))
    else:
        print_table(report, rows)


def row(names: list[str], layer: Layer, who: str, seconds: list[float], peak: float) -> dict[str, Any]:
    """Return what is reported of a layer and an algorithm."""
    found = {"layers": names, "input": layer.input_shape, "weight": layer.weight_shape, "algorithm": who}
    for kind, time_of in zip(("forward", "gradient"), seconds, strict=True):
        rate = 2 * layer.multiply_adds / time_of
        found |= {f"{kind}_ms": time_of * 1e3, f"{kind}_gflops": rate / 1e9, f"{kind}_share": rate / peak}
    return found


def distinct(network: str, size: tuple[int, int]) -> list[tuple[list[str], Layer]]:
    """Return (names, layer) of each convolution up to the default losses' last layer; equal ones once."""
    config = objective_config({})
    wanted = {*config.weighted_layers("content"), *config.weighted_layers("style")}
    found = layers(get_network(network).without_top(), size)
    last = max(index for index, layer in enumerate(found) if layer.name in wanted)
    groups: dict[tuple, tuple[list[str], Layer]] = {}
    for layer in found[: last + 1]:
        if isinstance(layer.row, Conv):
            key = layer.input_shape, layer.weight_shape, *geometry(layer.row)
            groups.setdefault(key, ([], layer))[0].append(layer.name)
    return list(groups.values())


def geometry(row: Conv) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
    """Return stride, padding, dilation and groups, as kernels take them."""
    return (row.stride,) * 2, (row.padding,) * 2, (row.dilation,) * 2, row.groups


def applies(module: ModuleType, layer: Layer) -> bool:
    """Whether an algorithm can compute a layer, and will this year."""
    if module is ALGORITHMS.get("direct") and layer.multiply_adds > DIRECT_LIMIT:
        return False
    return module.supports(layer.weight_shape[:2], *geometry(layer.row))


def candidates(
    layer: Layer, names: list[str], torch: ModuleType | None
) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Return who -> (forward, input gradient), functions without arguments; ours write to buffers."""
    rng = np.random.default_rng(0)
    draw = rng.standard_normal
    x, w = draw((1, *layer.input_shape), np.float32), draw(layer.weight_shape, np.float32)
    dy, b = draw((1, *layer.output_shape), np.float32), draw(layer.weight_shape[-1], np.float32)
    y, dx = np.empty_like(dy), np.empty_like(x)
    where = geometry(layer.row)
    found = {
        name: (
            lambda algorithm=ALGORITHMS[name]: algorithm.forward(x, w, b, *where, out=y),
            lambda algorithm=ALGORITHMS[name]: algorithm.input_gradient(dy, w, x.shape, *where, out=dx),
        )
        for name in names
        if applies(ALGORITHMS[name], layer)
    }
    if torch is not None:
        tx, tdy = (torch.from_numpy(a).permute(0, 3, 1, 2).contiguous() for a in (x, dy))
        tw, tb = torch.from_numpy(w).permute(3, 2, 0, 1).contiguous(), torch.from_numpy(b)
        found["torch"] = (
            lambda: torch.nn.functional.conv2d(tx, tw, tb, *where),
            lambda: torch.nn.grad.conv2d_input(tx.shape, tw, tdy, *where),
        )
    return found


def in_turn(functions: dict[str, tuple[Callable[[], Any], ...]], repeat: int) -> dict[str, list[float]]:
    """Return who -> median seconds of each function; one round before the first that counts."""
    seconds: dict[str, tuple[list[float], ...]] = {who: tuple([] for _ in f) for who, f in functions.items()}
    for turn in range(repeat + 1):
        for who, pair in functions.items():
            for function, times in zip(pair, seconds[who], strict=True):
                began = time.perf_counter()
                function()
                if turn:
                    times.append(time.perf_counter() - began)
            if who == "torch":
                time.sleep(PAUSE)  # its threads spin for a while
    return {who: [statistics.median(times) for times in both] for who, both in seconds.items()}


def sgemm_peak(threads: int, repeat: int = 5) -> float:
    """Return the most operations a second of a large matrix product in float32, in bands for the threads."""
    a, b = (np.ones((PEAK_SIDE, PEAK_SIDE), np.float32) for _ in range(2))
    c = np.empty_like(a)
    step = PEAK_SIDE // (4 * threads)
    bands = [(slice(begin, begin + step),) for begin in range(0, PEAK_SIDE, step)]
    least = float("inf")
    for _ in range(repeat):
        began = time.perf_counter()
        parallel(lambda rows: np.matmul(a[rows], b, out=c[rows]), bands)
        least = min(least, time.perf_counter() - began)
    return 2 * PEAK_SIDE**3 / least


def find_torch(threads: int) -> ModuleType | None:
    """Return PyTorch with so many threads, or None."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return torch


def print_table(report: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Print for people."""
    height, width = report["size"]
    print(f"{report['network']} at {height} x {width}, {report['threads']} threads; ", end="")
    print(f"shares of {report['peak_gflops']:.1f} GFLOP/s (sgemm {PEAK_SIDE}^3)")
    print(f"{'layer':28}{'input (H, W, C)':>18}{'O':>6}  {'algorithm':10}", end="")
    print(f"{'forward':>15}{'GFLOP/s':>10}{'share':>8}{'gradient':>15}{'GFLOP/s':>10}{'share':>8}")
    for one in rows:
        names, shape = ", ".join(one["layers"]), " x ".join(map(str, one["input"]))
        print(f"{names:28}{shape:>18}{one['weight'][-1]:>6}  {one['algorithm']:10}", end="")
        for kind in ("forward", "gradient"):
            ms, gflops, share = (one[f"{kind}_{what}"] for what in ("ms", "gflops", "share"))
            print(f"{ms:>12.2f} ms{gflops:>10.1f}{share:>8.0%}", end="")
        print()


if __name__ == "__main__":
    main()
