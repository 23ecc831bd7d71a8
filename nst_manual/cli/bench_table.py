"""The table of `bench`."""

from __future__ import annotations

from typing import Any

from nst_manual.bench.settings import GPU_EVALUATIONS

# of a relative difference of the losses: above, these are two different functions
SAME_LOSS = 1e-3
# slowest turn / fastest turn of a subject, above which something else has run
UNSTEADY = 1.5


def print_report(report: dict[str, Any]) -> None:
    """Print a report of `nst_manual.bench.compare.compare`."""
    from rich.table import Table

    from nst_manual.cli.console import stdout

    what = "a whole run" if report["end_to_end"] else "one evaluation of loss and gradient"
    place = f"{report['threads']} thread" + "s" * (report["threads"] > 1)
    if report["device"] == "cuda":
        place = report["device_name"]
    precision = report["dtype"] + " with TF32" * report["tf32"]
    height, width = report["size"]
    table = Table()
    headings = ["seconds", "least", "ratio", "peak memory", "above idle", "ratio", "loss"]
    if report["end_to_end"]:
        headings += ["evaluations", "seconds each", "ratio", "optimiser's share"]
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right")
    ours = report["ours"]
    table.add_row("nst_manual", *_cells(ours, ours, ours["idle_mb"], report["end_to_end"]))
    failures = []
    for name, found in report.get("variants", {}).items():
        if "error" in found:
            failures.append(f"torch {name} was left out: {found['error']}")
            continue
        best = ", the fastest" if name == report["best"] and len(report["variants"]) > 1 else ""
        cells = _cells(found, ours, report["torch"]["idle_mb"], report["end_to_end"])
        table.add_row(f"torch {name}{best}", *cells)
    console = stdout()
    title = f"{report['network']} at {height} x {width} pixels (height x width), {place}, {precision}"
    console.print(f"{title}: {what}", soft_wrap=True)
    console.print(table)
    for line in [*_remarks(report), *failures]:
        console.print(line, soft_wrap=True, markup=False)


def _cells(found: dict[str, Any], ours: dict[str, Any], idle: float | None, end_to_end: bool) -> list[str]:
    """Return a row of the table."""
    is_ours = found is ours
    above, our_above = _above(found["peak_mb"], idle), _above(ours["peak_mb"], ours["idle_mb"])
    ratio = above / our_above if above and our_above and not is_ours else None
    cells = [
        f"{found['seconds']:.4g}",
        f"{found['least_seconds']:.4g}",
        "" if is_ours else f"{found['ratio']:.2f}",
        _mebibytes(found["peak_mb"]),
        _mebibytes(above),
        "" if ratio is None else f"{ratio:.2f}",
        f"{found['loss']:.8g}",
    ]
    if end_to_end:
        cells += [
            str(found["evaluations"]),
            f"{found['seconds_per_evaluation']:.4g}",
            "" if is_ours else f"{found['ratio_per_evaluation']:.2f}",
            f"{found['optimizer_share']:.1%}",
        ]
    return cells


def _remarks(report: dict[str, Any]) -> list[str]:
    """Return the lines below the table."""
    algorithms = ", ".join(sorted(set(report["algorithm"].values()))) or "none"
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    idle = "idle is a process that has only imported its libraries."
    if report["device"] == "cuda":
        idle = "the GPU's that a process has taken for arrays, without those of CUDA and its libraries."
    lines = [
        f"{report['weights']}; preset {report['preset']}; convolutions by {algorithms}",
        f"{report['cpu']}; {versions}",
        f"Seconds are the median of {report['repeat']}, taken in turn; memory is in MiB, {idle}",
    ]
    if report["device"] == "cuda" and not report["end_to_end"]:
        lines.append(
            f"A turn is the average of {GPU_EVALUATIONS} evaluations in a row, each of which fetches its loss"
        )
    if "torch" in report:
        lines.append("Ratios are PyTorch's number divided by ours.")
    subjects = [
        report["ours"],
        *(found for found in report.get("variants", {}).values() if "seconds" in found),
    ]
    if any(max(found["all_seconds"]) > UNSTEADY * found["least_seconds"] for found in subjects):
        lines.append(
            "The seconds of one subject differ much: is another program busy? That costs each differently."
        )
    if report.get("loss_difference", 0) > SAME_LOSS:
        lines.append(f"The losses differ by {report['loss_difference']:.2g}: they are two functions!")
    return lines


def _above(peak: float | None, idle: float | None) -> float | None:
    return None if peak is None or idle is None else peak - idle


def _mebibytes(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.0f}"
