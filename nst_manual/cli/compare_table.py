"""The tables of `compare`."""

from __future__ import annotations

from typing import Any

TITLES = {"ours": "nst_manual", "torch": "PyTorch", "jax": "JAX"}


def print_report(report: dict[str, Any]) -> None:
    """Print a report of `nst_manual.check.compare.compare`."""
    from nst_manual.cli.console import stdout

    console = stdout()
    for found in report["frameworks"]:
        _print_framework(console, found)
    if "votes" in report:
        _print_votes(console, report)


def _print_framework(console: Any, found: dict[str, Any]) -> None:
    """Print the rows of one framework, its objective, and what both take."""
    from rich import box
    from rich.table import Table

    title = TITLES[found["framework"]]
    height, width = found["size"]
    console.print(
        f"{found['network']} at {height} x {width} pixels (height x width), {found['dtype']}: "
        f"nst_manual beside {title} {found['versions'][found['framework']]}",
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("row", "ours by"):
        table.add_column(heading, no_wrap=True, vertical="bottom")
    for heading in ("chain\noutput", "chain\ngradient", "alone\noutput", "alone\ngradient", "\nbound"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("\nchanged", justify="right", no_wrap=True)
    for row in [found["preprocess"], *found["layers"]]:
        table.add_row(
            row["name"],
            row["algorithm"],
            *(_number(row[key]) for key in ("output_error", "gradient_error")),
            *(_number(row[key]) for key in ("local_error", "local_gradient_error", "bound")),
            _remark(row),
            style="bold red" if row["diverges"] else None,
        )
    console.print(table)
    for line in _lines(found, title):
        console.print(line, soft_wrap=console.width >= 160, markup=False)
    console.print()


def _remark(row: dict[str, Any]) -> str:
    """Return what stands behind a row; with it, the table fits into 80 columns."""
    if row["diverges"]:
        return "DIVERGES"
    changed = row["choices_changed"]
    return str(changed) if changed else ""


def _lines(found: dict[str, Any], title: str) -> list[str]:
    """Return the lines below the table."""
    changed = sum(row["choices_changed"] or 0 for row in found["layers"])
    lines = [
        f"Errors are ||a - b|| / ||b||, b being {title}'s. Chain: each network fed by itself, the errors "
        f"of all rows on the way included. Alone: our row fed what {title}'s was fed; this is judged.",
    ]
    if changed:
        lines.append(
            f"Changed: {changed:,} times in all, a value passed a ReLU or won in a max-pool in one network "
            "and not in the other. There the gradient of the chain takes another path, also where the "
            "values differ by rounding alone."
        )
    first = found["first_divergence"]
    lines.append(f"First divergence: {first}." if first else "First divergence: none, every row is the same.")
    bounds = found["objective_bounds"]
    verdict = "They are two functions!" if found["objective_diverges"] else "The same function."
    lines.append(
        f"Preset {found['preset']}: loss error {_number(found['loss_error'])} (bound {bounds['loss']:.0e}), "
        f"image gradient error {_number(found['image_gradient_error'])} "
        f"(bound {bounds['image_gradient']:.0e}). {verdict}"
    )
    if found["objective_diverges"]:
        terms = (f"{name} {_number(error)}" for name, error in found["losses"].items())
        lines.append(f"Errors of the losses: {', '.join(terms)}.")
    if "ours" in found:
        costs = (_cost(TITLES[side], found[side]) for side in ("ours", found["framework"]))
        lines.append(f"One pass forward and back: {'; '.join(costs)}.")
    lines.append(f"{found['weights']}; pooling {found['pooling']}.")
    return lines


def _cost(title: str, cost: dict[str, float | None]) -> str:
    """Return seconds and memory in words."""
    peak, imported = cost["peak_mb"], cost["imported_mb"]
    memory = "memory unknown" if peak is None else f"peak {peak:.0f} MiB"
    if peak is not None and imported is not None:
        memory += f", {peak - imported:.0f} above its libraries"
    return f"{title} {cost['seconds']:.3g} s, {memory}"


def _print_votes(console: Any, report: dict[str, Any]) -> None:
    """Print the rows on which not all agree, or that there are none."""
    from rich import box
    from rich.table import Table

    apart = [vote for vote in report["votes"] if not vote["agree"]]
    if not apart:
        console.print("Vote: all three agree on every row.")
        return
    console.print("Vote on the rows where not all agree, all fed the same input and upstream gradient:")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("row", no_wrap=True)
    table.add_column("stands alone", no_wrap=True)
    for pair in apart[0]["output"]:
        table.add_column(f"{pair.replace('-', ' ')}\noutput", justify="right")
        table.add_column("\ngradient", justify="right")
    for vote in apart:
        cells = [_number(vote[kind][pair]) for pair in vote["output"] for kind in ("output", "gradient")]
        alone = TITLES[vote["alone"]] if vote["alone"] else "cannot be said"
        table.add_row(vote["name"], alone, *cells)
    console.print(table)


def _number(error: float | None) -> str:
    return "inf" if error is None else "0" if error == 0 else f"{error:.1e}"
