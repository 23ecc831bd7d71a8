"""Measure the peak memory of runs beside its estimate (`nst_manual.run.estimate`), and print a table.

    python tools/measure_memory.py
    python tools/measure_memory.py --networks vgg16,alexnet --sizes 256,512 --options "--optimizer adam"

Each run is a process of its own that paints the sample photograph in the manner of a sample, and says at its
end how much it had at most (VmHWM). Networks without a file at hand take random weights.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from nst_manual.config import CommandConfig, command_config
from nst_manual.run.estimate import estimate
from nst_manual.run.memory import source_size
from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path
from nst_manual.store import find_weights

CHILD = """
import sys
from nst_manual.cli import main
from nst_manual.machine import peak_memory
code = main(sys.argv[1:])
print("peak", peak_memory())
sys.exit(code)
"""


def options_of(words: list[str]) -> CommandConfig:
    """Return the configuration of `--name value` pairs and switches."""
    values: dict[str, object] = {}
    while words:
        name = words.pop(0).removeprefix("--").replace("-", "_")
        values[name] = words.pop(0) if words and not words[0].startswith("--") else True
    return command_config(values)


def measure(content: str, style: str, words: list[str]) -> float:
    """Return the peak in MiB of a run with those options."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.png")
        arguments = ["run", content, style, "-o", str(output), "--quiet", *words]
        ended = subprocess.run(
            [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=False
        )
    if ended.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{ended.stderr}")
    return float(ended.stdout.split("peak")[-1])


def square(path: str, folder: str) -> str:
    """Return the path of the middle square of a picture."""
    from PIL import Image

    with Image.open(path) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        target = str(Path(folder, "square.png"))
        image.crop((left, top, left + side, top + side)).save(target)
    return target


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="vgg16,vgg19,alexnet")
    parser.add_argument("--sizes", default="128,256,512,1024,1536")
    parser.add_argument("--presets", default="gatys")
    parser.add_argument("--iterations", default="2")
    parser.add_argument("--square", action="store_true", help="a square photograph")
    parser.add_argument("--options", default="", help="further options of `run`")
    asked = parser.parse_args()
    content, style = str(sample_path(CONTENT)), str(sample_path(DEFAULT_STYLE))
    ratios = []
    print("network       size preset            measured  estimate  ratio  stage")
    with tempfile.TemporaryDirectory() as folder:
        if asked.square:
            content = square(content, folder)
        sizes = source_size(content, "content"), [source_size(style, "style")]
        for network in asked.networks.split(","):
            for preset in asked.presets.split(","):
                for size in asked.sizes.split(","):
                    words = ["--network", network, "--size", size, "--preset", preset]
                    words += ["--iterations", asked.iterations, *shlex.split(asked.options)]
                    if "--weights" not in words and find_weights(network) is None:
                        words += ["--weights", "random"]
                    found = estimate(options_of(words[:]), *sizes)
                    peak, expected = measure(content, style, words), found.bytes / 2**20
                    ratios.append(expected / peak)
                    print(
                        f"{network:12s} {size:>5s} {preset:16s} {peak:6.0f} MB {expected:6.0f} MB "
                        f"{expected / peak:6.2f}  {found.stage}",
                        flush=True,
                    )
    print(f"ratios from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
