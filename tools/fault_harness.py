"""Disturb runs in every way there is, and hold that nothing is lost: the long form of two tests.

    python tools/fault_harness.py nth-call                       # every file call fails in turn
    python tools/fault_harness.py nth-call --scenarios run,jpeg --step 10
    python tools/fault_harness.py kill --trials 200 --seed 0     # kill -9 at random moments
    python tools/fault_harness.py kill --json

It ends with 1 where a rule did not hold, and prints which, after which call or kill. The rules stand in
tests/faults/nth_trials.py and tests/faults/kill_trials.py.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faults")]
os.environ["PYTHONPATH"] = str(ROOT)  # for the programs that are killed


def nth_call(asked: argparse.Namespace) -> dict[str, Any]:
    """Let calls fail, and return what came of it."""
    from nth_call import FAULTS
    from nth_trials import SCENARIOS, Disturbed
    from whole_files import quick_runs

    rows, problems = [], []
    for scenario in asked.scenarios.split(",") if asked.scenarios else SCENARIOS:
        with quick_runs(), tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            disturbed = Disturbed(scenario, Path(folder))
            for fault in FAULTS:
                codes: collections.Counter[int] = collections.Counter()
                for trial in disturbed.trials(fault, asked.step):
                    codes[trial.code] += 1
                    if trial.problems:
                        problems.append(str(trial))
                        print(trial, file=sys.stderr, flush=True)
                row = {"scenario": scenario, "fault": str(fault), "calls": sum(codes.values())}
                row["codes"] = {str(code): codes[code] for code in sorted(codes)}
                rows.append(row)
                codes_of = ", ".join(f"{code}: {count}" for code, count in row["codes"].items())
                print(f"{scenario:8} {fault!s:24} {row['calls']:5} calls, exit codes {codes_of}", flush=True)
    return {"trials": sum(row["calls"] for row in rows), "rows": rows, "problems": problems}


def kill(asked: argparse.Namespace) -> dict[str, Any]:
    """Kill runs, and return what came of it."""
    from kill_trials import KillTrials

    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        trials = KillTrials(Path(folder), asked.seed)
        found = trials.found
        while found.trials < asked.trials:
            trials.trials(min(found.trials + 20, asked.trials))
            print(found, flush=True)
    return dataclasses.asdict(found)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    every = commands.add_parser("nth-call", help="let the Nth file call fail, for every N")
    every.add_argument("--scenarios", help="of run, resume, jpeg, rerun [default: all]")
    every.add_argument("--step", type=int, default=1, help="every so many calls")
    every.set_defaults(do=nth_call)
    killing = commands.add_parser("kill", help="kill -9 at random moments")
    killing.add_argument("--trials", type=int, default=200, help="kills")
    killing.add_argument("--seed", type=int, default=0, help="of the moments")
    killing.set_defaults(do=kill)
    for command in (every, killing):
        command.add_argument("--folder", help="where to work [default: the system's for temporary files]")
        command.add_argument("--json", action="store_true", help="print one JSON object, and nothing else")
    asked = parser.parse_args()
    out, began = sys.stdout, time.monotonic()
    if asked.json:
        sys.stdout = sys.stderr
    found = asked.do(asked) | {"seconds": round(time.monotonic() - began)}
    if asked.json:
        print(json.dumps(found), file=out)
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
