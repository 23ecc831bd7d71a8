"""`gradcheck`: every backward pass against what forward computes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nst_manual.check.report import Report
    from nst_manual.check.suite import Caught


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gradcheck")(gradcheck)


def gradcheck(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET]...",
            help="kernels, modules, losses, networks, or how a name begins: conv, StyleLoss.",
            show_default="all",
        ),
    ] = None,
    mutate: Annotated[
        bool, typer.Option("--mutate", help="Also plant mistakes, and see whether they are found.")
    ] = False,
    seeds: Annotated[int, typer.Option(metavar="NUMBER", help="Repeat with so many random inputs.")] = 1,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every check.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check kernels, modules, losses and whole networks: is backward the gradient of forward?

    Each is compared with a complex step or central differences, stood on zeros and ties, called twice, with
    other layouts and batches. What is wrong is told with its place and the likely mistake. Ends with status 1
    where something is.
    """
    from nst_manual.check import suite

    tell = _quiet if as_json else _told
    found = suite.chosen(wanted or [])
    checks, caught = [], []
    for seed in suite.seeds(seeds):
        for target, report in suite.check_targets(found, seed):
            checks += report.checks
            tell(target.name, report, verbose, seed)
    if mutate:
        for seed in suite.seeds(seeds):
            for mutation in suite.check_mutations(seed):
                caught.append(mutation)
                if not as_json:
                    _tell_mutation(mutation, seed)
    passed = all(check.passed for check in checks) and all(mutation.caught for mutation in caught)
    if as_json:
        mutations = [vars(mutation) for mutation in caught]
        words = {"passed": passed, "checks": [check.as_dict() for check in checks], "mutations": mutations}
        words["left_out"] = list(suite.LEFT_OUT)
        print(json.dumps(words))
    else:
        for name, why in suite.LEFT_OUT.items():
            print(f"left out: {name}: {why}")
        _tell_sum(checks, caught)
    raise typer.Exit(0 if passed else 1)


def _quiet(*told: Any) -> None:
    pass


def _told(name: str, report: Report, verbose: bool, seed: int) -> None:
    """Print a line for what has passed, and the report for what has not."""
    if report.passed and not verbose:
        if seed == 0:
            first = report.checks[0]
            method = first.method.split(",")[0]
            print(
                f"ok     {name:36}{len(report.checks):3} checks   {method:19}{first.error:8.0e}", flush=True
            )
        return
    print(f"{'ok' if report.passed else 'WRONG':6} {name}" + (f", seed {seed}" if seed else ""))
    print("  " + str(report).replace("\n", "\n  "), flush=True)


def _tell_mutation(mutation: Caught, seed: int) -> None:
    if mutation.caught and seed:
        return
    if mutation.caught:
        print(f"caught {mutation.name}", flush=True)
        print(f"         {mutation.cause or 'by: ' + mutation.methods[0]}", flush=True)
    else:
        print(f"MISSED {mutation.name}, seed {seed}", flush=True)


def _tell_sum(checks: list[Any], caught: list[Caught]) -> None:
    wrong = sum(not check.passed for check in checks)
    print(f"\n{len(checks)} checks, {wrong or 'none'} failed")
    if caught:
        print(f"{sum(mutation.caught for mutation in caught)} of {len(caught)} planted mistakes caught")
