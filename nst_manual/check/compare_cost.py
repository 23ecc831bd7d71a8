"""Seconds and memory of one pass forward and back, each framework in a process of its own.

`measure` starts `python -m nst_manual.check.compare_cost`, which builds all rows of the network, passes an
image forward and a random upstream gradient back to the pixels, and prints one JSON object. Each network
runs as it would in earnest: ours fused (unless `plain`), PyTorch's by autograd with frozen weights, JAX's
compiled.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nst_manual.config import RunConfig, run_config
from nst_manual.errors import ResourceError
from nst_manual.machine import peak_memory
from nst_manual.threads import available_cpus

WARM_UPS, TURNS = 2, 5  # the first pass allocates, or compiles
Pass = Callable[[], Any]


def measure(side: str, config: RunConfig, size: tuple[int, int]) -> dict[str, float | None]:
    """Return what one pass of a network takes.

    Parameters
    ----------
    side : str
        "ours", "torch" or "jax".
    config : RunConfig
    size : (int, int)
        Height and width in pixels.

    Returns
    -------
    dict
        "seconds", the median of five passes forward and back; "peak_mb", the peak resident memory of the
        process in MiB, a compiler's included, and "imported_mb", what it was before anything was built; None
        where the system does not tell.

    Raises
    ------
    ResourceError
        The process has failed.
    """
    job = {"side": side, "size": size, "options": dataclasses.asdict(config)}
    here = str(Path(__file__).resolve().parents[2])  # the same package as here, installed or not
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, "-m", "nst_manual.check.compare_cost"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        # without filtering, the last line of a traceback is the error, not a remark on filtering
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu", "JAX_TRACEBACK_FILTERING": "off"},
    )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines()
        cause = f"has ended with exit code {ended.returncode}" + (f": {lines[-1].strip()}" if lines else "")
        raise ResourceError(f"compare, process that measures {side}", cause)
    return json.loads(ended.stdout.splitlines()[-1])


def main() -> None:
    """Measure what standard input asks for."""
    job = json.loads(sys.stdin.read())
    config, size = run_config(job["options"]), tuple(job["size"])
    threads = config.threads or available_cpus()
    make = {"ours": _ours, "torch": _torch, "jax": _jax}[job["side"]]
    rng = np.random.default_rng(config.seed)
    image = rng.uniform(0, 255, (1, *size, 3)).astype(config.dtype)
    one_pass, imported = make(config, threads, image, rng)
    seconds = []
    for _ in range(WARM_UPS + TURNS):
        began = time.perf_counter()
        one_pass()
        seconds.append(time.perf_counter() - began)
    answer = {"seconds": statistics.median(seconds[WARM_UPS:]), "peak_mb": peak_memory()}
    print(json.dumps(answer | {"imported_mb": imported}))


def _ours(config: RunConfig, threads: int, image: np.ndarray, rng: Any) -> tuple[Pass, float | None]:
    """Return one pass of our network, and the memory of the imports."""
    from nst_manual.check.layers import build_ours
    from nst_manual.nn import fuse
    from nst_manual.threads import thread_limit

    imported = peak_memory()
    network, _ = build_ours(config)
    if not config.plain:
        network = fuse(network)
    with thread_limit(threads):
        dy = rng.standard_normal(network.update_output(image).shape).astype(config.dtype)

    def one_pass() -> None:
        with thread_limit(threads):
            network.update_output(image)
            network.update_grad_input(image, dy)

    return one_pass, imported


def _torch(config: RunConfig, threads: int, image: np.ndarray, rng: Any) -> tuple[Pass, float | None]:
    """Return one pass of PyTorch's network, and the memory of the imports."""
    from nst_manual.check.layers import network_of
    from nst_manual.check.torch_network import TorchNetwork, import_torch

    torch = import_torch()
    imported = peak_memory()
    torch.set_num_threads(threads)
    last = network_of(config).rows[-1].name
    network = TorchNetwork(config, "nchw", [last])
    x = network.tensor(image).requires_grad_()

    def forward() -> Any:
        return network.features(network.preprocess(x))[last]

    dy = torch.tensor(rng.standard_normal(forward().shape), dtype=network.dtype)
    return lambda: torch.autograd.grad(forward(), x, dy), imported


def _jax(config: RunConfig, threads: int, image: np.ndarray, rng: Any) -> tuple[Pass, float | None]:
    """Return one compiled pass of JAX's network, and the memory of the imports.

    JAX has no option for threads: it starts as many as the process may use processors.
    """
    with contextlib.suppress(AttributeError, OSError):  # Linux only
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

    from nst_manual.check.jax_network import JaxNetwork, import_jax, precision
    from nst_manual.check.layers import network_of

    jax = import_jax()
    imported = peak_memory()
    last = network_of(config).rows[-1].name
    network = JaxNetwork(config, [last])

    def forward(x: Any, parameters: Any) -> Any:
        return network.features(parameters, network.preprocess(x))[last]

    def both(x: Any, parameters: Any, dy: Any) -> Any:
        y, vjp = jax.vjp(lambda x: forward(x, parameters), x)
        return y, vjp(dy)[0]

    compiled = jax.jit(both)
    with precision(config.dtype):
        shape = jax.eval_shape(forward, image, network.parameters).shape
    dy = rng.standard_normal(shape).astype(config.dtype)

    def one_pass() -> None:
        with precision(config.dtype):
            jax.block_until_ready(compiled(image, network.parameters, dy))

    return one_pass, imported


if __name__ == "__main__":
    main()
