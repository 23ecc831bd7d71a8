"""Make docs/faults.md: every fault, the tests that make it, and what the program did in them.

    python tools/make_fault_table.py [--harness REPORT.json ...]

Runs tests/faults (some minutes), which write down the exit code and the message of each command. The reports
are those of `python tools/fault_harness.py ... --json`, whose numbers stand below the table.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_SEEN = 4  # commands of a row that are quoted

FAULTS = {
    1: "the photograph's path: missing, a folder, a device, a pipe that nobody writes to, unreadable",
    2: "an empty file; a web page or a text named .png",
    3: "a PNG under the name .jpg",
    4: "a picture that is cut, has a flipped bit, or a damaged header",
    5: "a file of 1 kB that claims 60000 x 60000 pixels",
    6: "a small file of 78 megapixels, one bit each",
    7: "pictures of 1 x 1, 1 x 5000, 15 x 15 pixels",
    8: "grey, palettes with transparency, CMYK, one bit",
    9: "16 bits a channel",
    10: "transparency",
    11: "EXIF orientation",
    12: "animations",
    13: "ICC profiles: Adobe RGB, CMYK",
    14: "formats that are not read: SVG, HEIC, FITS, EPS and others",
    15: "names with spaces, line breaks, emoji, bytes that are no UTF-8, a leading dash, 300 characters",
    16: "painting and photograph the same file; the output one of the inputs",
    17: "numbers out of range, not finite, or no numbers",
    18: "a size that no memory holds",
    19: "all style weights 0; total variation alone",
    20: "unknown layers, networks, presets",
    21: "weights missing, empty, a web page, cut",
    22: "a flipped byte in a tensor",
    23: "malicious weights: pickles, object arrays, bombs, absurd shapes, paths that lead outside",
    24: "another network's weights; a layer missing, misshapen, with NaN",
    25: "downloads: refused, cut, wrong sum, slow, killed",
    26: "output folders missing, not writable, no folder; unknown extensions",
    27: "a full disk",
    28: "kill -9 at any moment",
    29: "SIGINT once and twice, SIGTERM, SIGHUP; while pictures and weights are read",
    30: "going on from a checkpoint: the same bytes; changed options; damaged checkpoints",
    31: "runs that diverge; line searches that fail; NaN",
    32: "closed streams, no terminal, a dumb one, a clock that steps back",
    33: "1 GB of address space; two runs to one output; no HOME; a cache that cannot be written; -O; LANG=C",
}


def main() -> None:
    """Run the tests and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--harness", action="append", default=[], metavar="REPORT.json", type=Path)
    parser.add_argument("--record", type=Path, help="what an earlier run of the tests has written down")
    arguments = parser.parse_args()
    records = read(arguments.record) if arguments.record else record()
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in arguments.harness]
    path = ROOT / "docs" / "faults.md"
    path.write_text(page(records, reports), encoding="utf-8")
    print(path)


def record() -> list[dict]:
    """Run the tests; return what each has seen."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seen.jsonl"
        # the page itself is what one of them looks at
        command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "tests/faults"]
        command += ["--deselect", "tests/faults/test_faults_table.py"]
        environment = {**os.environ, "NST_MANUAL_FAULT_RECORD": str(path)}
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return read(path)


def read(path: Path) -> list[dict]:
    """Return the records of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def page(records: list[dict], reports: list[dict]) -> str:
    """Return the page."""
    lines = [
        "# Faults",
        "",
        "What may go wrong, the tests that make it go wrong, and what the program did in them: exit codes",
        "and messages as they were seen. After each of them every output that existed before was the old one",
        "or the new one whole, and no temporary file was left. `python tools/make_fault_table.py` makes this",
        "page.",
        "",
        "Exit codes: 0 done, 2 usage, 3 input image, 4 weights, 5 output, 6 resources, 7 diverged, 130 and",
        "143 stopped by a signal.",
        "",
        "| # | fault | tests | seen |",
        "|---|---|---|---|",
    ]
    for row, fault in FAULTS.items():
        found = [record for record in records if record["row"] == row]
        tests = dict.fromkeys(re.sub(r"\[.*", "", record["test"]).split("::")[-1] for record in found)
        files = dict.fromkeys(record["test"].split("::")[0] for record in found)
        where = " ".join([*(f"`{name}`" for name in files), "<br>", *(f"`{name}`" for name in tests)])
        lines.append(f"| {row} | {fault} | {where} | {seen(found)} |")
    for report in reports:
        lines += ["", *(of_calls(report) if "rows" in report else of_kills(report))]
    return "\n".join(lines) + "\n"


def of_calls(report: dict) -> list[str]:
    """Return what came of letting each file call fail."""
    lines = [
        "## The Nth file call fails, for every N",
        "",
        f"`python tools/fault_harness.py nth-call`: {report['trials']} calls were made to fail, or the",
        "process was killed in their place: in a run with checkpoints, pictures on the way, a sheet and a",
        "log over an older picture; in its resumption; in a run with a JPEG and its manifest; in a rerun.",
        f"After each the rules held, and the run went on to the same picture: {lost(report)}.",
        "",
        "| | fault | calls | ended with |",
        "|---|---|---|---|",
    ]
    for row in report["rows"]:
        codes = ", ".join(f"{count} times {code}" for code, count in row["codes"].items())
        lines.append(f"| {row['scenario']} | {row['fault']} | {row['calls']} | {codes} |")
    return lines


def of_kills(report: dict) -> list[str]:
    """Return what came of killing runs."""
    return [
        "## kill -9 at random moments",
        "",
        f"`python tools/fault_harness.py kill --trials {report['trials']}`: {report['trials']} kills of runs",
        f"that came to {report['pictures']} pictures, {report['in_a_save']} of them within a save,",
        f"{report['in_starting']} before the first evaluation; saving took",
        f"{report['share_of_saving']:.0%} of an undisturbed run. Each went on, and to the same bits:",
        f"{lost(report)}.",
    ]


def lost(report: dict) -> str:
    """Return what was lost, in words."""
    return "; ".join(report["problems"]) or "nothing was lost"


def seen(found: list[dict]) -> str:
    """Return what some of the commands of a row came to, those that differ most in their codes first."""
    said = list(dict.fromkeys(text for record in found for text in record["seen"]))
    first = {text.split()[0]: text for text in reversed(said)}
    chosen = list(dict.fromkeys([*first.values(), *said]))[:MOST_SEEN]
    return "<br>".join(f"`{clean(text)}`" for text in chosen) or "as it should be"


def clean(text: str) -> str:
    """Return a message without what is of one machine or would break the table."""
    text = re.sub(r"(/[\w.@+-]+)+/(?=[\w.-])", ".../", text).replace("|", "/").replace("`", "'")
    return text if len(text) <= 240 else text[:237] + "..."


if __name__ == "__main__":
    main()
