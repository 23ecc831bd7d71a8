"""Feed the readers of strangers' files with damaged ones, and hold the rule: a file is read, or an `NstError`
is raised; nothing else is raised, nothing is written or started, memory and time stay within limits.

    python tools/fuzz.py all --seconds 600
    python tools/fuzz.py pth-pickle --seconds 60
    python tools/fuzz.py pth-pickle --replay fuzz-findings/pth-pickle-crash-...

The seconds are of all targets together. Inputs are made by atheris (`pip install atheris`), from the valid
ones in `tools/fuzz_targets.py`, each target in a process of its own, a fork of one that has imported all with
atheris's counters in it. What breaks the rule is kept in `fuzz-findings`, and the exit code is 1; make a test
of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from fuzz_targets import TARGETS, Target

MEMORY = 1024  # MB of a process, some 250 of them Python with the libraries
SECONDS = 20  # of one input
LONG = 120  # seconds in all from which on counters in Pillow, which take a minute to put there, are worth it
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# what Python tells of before it happens: no reader has reason to do any of it
FORBIDDEN = (
    "os.exec", "os.fork", "os.link", "os.mkdir", "os.posix_spawn", "os.remove", "os.rename", "os.rmdir",
    "os.symlink", "os.system", "os.truncate", "pickle.find_class", "socket.connect", "socket.getaddrinfo",
    "subprocess.Popen",
)  # fmt: skip


class ForbiddenError(BaseException):
    """A reader was about to write or start something; no `except Exception` hides it."""


class Guard:
    """Within, what a reader must not do raises `ForbiddenError`."""

    def __init__(self) -> None:
        self.armed = False
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple) -> None:
        """Judge an event; see `sys.addaudithook`."""
        if not self.armed:
            return
        if event in FORBIDDEN or (event == "open" and arguments[2] & WRITING):
            self.armed = False  # for what reports it
            raise ForbiddenError(f"{event} {arguments!r}"[:300])

    def __enter__(self) -> None:
        self.armed = True

    def __exit__(self, *what: object) -> None:
        self.armed = False


def holder(target: Target, path: Path) -> Callable[[bytes], None]:
    """Return a function that raises where an input breaks the rule; it writes each to `path`."""
    import h5py  # noqa: F401 - importing it starts a process, which is none of the reader's doing

    from nst_manual.errors import NstError

    os.environ["NST_MANUAL_MAX_PIXELS"] = "1000000"
    guard = Guard()

    def hold(data: bytes) -> None:
        path.write_bytes(target.whole(data))
        with warnings.catch_warnings(), guard:
            warnings.simplefilter("ignore")
            try:
                target.read(path)
            except NstError as error:
                str(error)
        if os.listdir(path.parent) != [path.name]:
            raise ForbiddenError(f"there is something beside {path}")

    return hold


def imported(names: list[str], seconds: int) -> None:
    """Import what the targets need, with counters in it: their examples are read once."""
    import atheris

    include = ["nst_manual", "tomllib", "zipfile"]
    if seconds >= LONG:
        include.append("PIL")
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as made,
        atheris.instrument_imports(include=include),
    ):
        for name in names:
            hold = holder(TARGETS[name], Path(made) / "input")
            for data in TARGETS[name].examples():
                hold(data)


def fuzz(name: str, folder: Path, seconds: int) -> None:
    """Fuzz in this process, which ends with it."""
    import atheris

    (folder / "work").mkdir()
    hold = holder(TARGETS[name], folder / "work" / "input")
    for number, data in enumerate(TARGETS[name].examples()):
        (folder / "corpus" / str(number)).write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={SECONDS}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={folder}/findings/{name}-",
        "-print_final_stats=1",
        "-verbosity=0" if seconds < 60 else "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder / "corpus")], hold)
    atheris.Fuzz()


def forked(name: str, folder: Path, seconds: int) -> tuple[int, str]:
    """Fuzz in a fork of this process; return its exit code, and what it has said."""
    said = folder / "said"
    with open(said, "wb") as file:
        child = os.fork()
        if not child:
            try:
                for stream in (1, 2):
                    os.dup2(file.fileno(), stream)
                fuzz(name, folder, seconds)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(70)  # the end of fuzzing ends the process before
        status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8", errors="replace")


def run(name: str, seconds: int, findings: Path) -> list[Path]:
    """Fuzz in a process of its own; return the findings, kept in that folder."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as made:
        folder = Path(made)
        for part in ("corpus", "findings"):
            (folder / part).mkdir()
        code, said = forked(name, folder, seconds)
        kept = []
        for path in sorted((folder / "findings").iterdir()):
            findings.mkdir(exist_ok=True)
            kept.append(findings / path.name)
            kept[-1].write_bytes(path.read_bytes())
        executed = [line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line]
        print(
            f"{name}: {executed[0] if executed else 'no'} inputs in {seconds} s, {len(kept)} findings",
            flush=True,
        )
        if code or kept:
            print(*said.splitlines()[-40:], sep="\n", flush=True)
        if code and not kept:
            raise SystemExit(f"{name}: the process ended with {code}")
        return kept


def main() -> int:
    """Fuzz, or replay a finding."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("target", choices=[*TARGETS, "all"])
    arguments.add_argument("--seconds", type=int, default=300, help="of all targets together")
    arguments.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    arguments.add_argument("--replay", type=Path, metavar="FILE", help="read one input, and say what came")
    given = arguments.parse_args()
    if given.replay:
        with tempfile.TemporaryDirectory() as folder:
            holder(TARGETS[given.target], Path(folder) / "input")(given.replay.read_bytes())
        return 0
    names = list(TARGETS) if given.target == "all" else [given.target]
    imported(names, given.seconds)
    found = [
        path for name in names for path in run(name, max(1, given.seconds // len(names)), given.findings)
    ]
    for path in found:
        print(f"finding: {path}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
