"""Make the table in README's section "Speed", measured on this machine.

    python tools/make_speed_table.py [--write] [--size HxW ...] [--largest PIXELS] [--network vgg19]

Each size is what `bench --with torch --torch-variant channels-last` measures, the last row what
`bench --with torch --end-to-end --size 512x384` does. With --largest the square of that side is measured too,
ours alone, for the growth of the time a pixel. Needs PyTorch, a machine that does nothing else, and a quarter
of an hour.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nst_manual.bench.compare import compare
from nst_manual.bench.settings import DEFAULT_VARIANT, Settings
from nst_manual.config import run_config
from nst_manual.options import image_size

README = Path(__file__).parents[1] / "README.md"
MARKERS = "<!-- speed table -->\n", "<!-- end of speed table -->\n"
SIZES = ["256", "383x511", "512", "1024"]
VARIANT = "channels-last"
RUN_SIZE, RUN_ITERATIONS = (512, 384), 30


def main() -> None:
    """Measure, print, and write where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    parser.add_argument("--size", action="append", help=f"instead of {', '.join(SIZES)}")
    parser.add_argument("--largest", help="also a square of that side, ours alone")
    parser.add_argument("--network", default="vgg19")
    given = parser.parse_args()
    measured = [measure(given.network, image_size(size)) for size in given.size or SIZES]
    run = measure(given.network, RUN_SIZE, RUN_ITERATIONS)
    growth = ""
    if given.largest:
        large = measure(given.network, image_size(given.largest), alone=True)
        growth = growth_line(large, min(measured, key=lambda report: pixels(report)))
    table = text(measured, run, growth)
    print(table)
    if given.write:
        write(table)


def measure(
    network: str, size: tuple[int, int], iterations: int | None = None, alone: bool = False
) -> dict[str, Any]:
    """Return the report of one comparison."""
    print("measuring", *size, flush=True)
    config = run_config({"network": network, "weights": "random", "size": max(size)})
    variants = () if alone else (DEFAULT_VARIANT, VARIANT)
    repeat = 1 if iterations else 5
    return compare(Settings(config, size, variants, repeat=repeat, iterations=iterations))


def pixels(report: dict[str, Any]) -> int:
    """Return how many pixels the image had."""
    return report["size"][0] * report["size"][1]


def text(measured: list[dict[str, Any]], run: dict[str, Any], growth: str) -> str:
    """Return the table and what stands below it."""
    first = measured[0]
    lines = [
        "| height x width | nst_manual | PyTorch | ratio | PyTorch, channels last | ratio "
        "| memory, ours | PyTorch's |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        *(row(report, "") for report in measured),
        row(run, f", a run of {RUN_ITERATIONS} iterations"),
        "",
        f"{first['network'].upper().replace('VGG', 'VGG-')}, default losses, {first['threads']} threads of "
        f"{first['cpu']}; NumPy {first['versions']['numpy']}, PyTorch {first['versions']['torch']}. Seconds "
        "of one evaluation of loss and gradient, the median of 5 in turn, and MiB at the peak above a process"
        " that has only imported its libraries. " + growth,
    ]
    return "\n".join(lines).rstrip() + "\n"


def row(report: dict[str, Any], what: str) -> str:
    """Return one row of the table."""
    height, width = report["size"]
    ours, theirs, variant = report["ours"], report["torch"], report["variants"][VARIANT]
    cells = [
        f"{height} x {width}{what}",
        f"{ours['seconds']:.3g}",
        f"{theirs['seconds']:.3g}",
        f"{report['ratio']:.2f}",
        f"{variant['seconds']:.3g}",
        f"{variant['ratio']:.2f}",
        f"{ours['peak_mb'] - ours['idle_mb']:.0f}",
        f"{theirs['peak_mb'] - theirs['idle_mb']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def growth_line(large: dict[str, Any], small: dict[str, Any]) -> str:
    """Return what a pixel of a large image costs, in those of a small one."""
    each = [report["ours"]["seconds"] / pixels(report) for report in (large, small)]
    height, width = large["size"]
    return (
        f"At {height} x {width} an evaluation takes {large['ours']['seconds']:.3g} s, and a pixel "
        f"{each[0] / each[1]:.2f} times as long as at {small['size'][0]} x {small['size'][1]}."
    )


def write(table: str) -> None:
    """Put the table between the marks in the README."""
    readme = README.read_text(encoding="utf-8")
    before, rest = readme.split(MARKERS[0])
    after = rest.split(MARKERS[1])[1]
    README.write_text(before + MARKERS[0] + "\n" + table + "\n" + MARKERS[1] + after, encoding="utf-8")


if __name__ == "__main__":
    main()
