"""Rows 32 and 33: streams that are closed, terminals of all kinds, clocks, folders, locales, two at once."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pty
import shlex
import shutil
import struct
import subprocess
import sys
import time
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest
from fault_program import SMALL
from fault_world import with_start, without_privilege
from PIL import Image

PAINT = ["run", "photo.png", "painting.png", *SMALL, "-o", "out.png"]
PACKAGE = Path(__file__).parents[2] / "nst_manual"


def whole(path: str) -> tuple[int, int]:
    """Return the size of a picture; fails where it is not whole."""
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def in_shell(program, rest: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the program in a shell line; return the program's exit code and all that came out of the line."""
    command = shlex.join([sys.executable, "-m", "nst_manual", *arguments])
    done = subprocess.run(
        ["bash", "-c", f"{command} {rest}; exit ${{PIPESTATUS[0]}}"],
        env=program.environment(environment),
        capture_output=True,
        timeout=120,
    )
    said = (done.stdout + done.stderr).decode(errors="backslashreplace")
    assert "Traceback" not in said, said
    assert "BrokenPipe" not in said, said
    program.seen.append(f"{done.returncode}")
    return done.returncode, said


@pytest.mark.fault(32)
@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-", "2>&1 >/dev/full"])
def test_closed_streams_cost_no_picture(program, streams):
    in_shell(program, streams, *PAINT)
    assert whole("out.png") == (48, 40)
    assert not [name for name in program.snapshot() if name.endswith(".tmp")]


@pytest.mark.fault(32)
@pytest.mark.parametrize("rest", ["2>&1 | head -1", "| true"])
def test_a_reader_that_has_had_enough_ends_no_run(program, rest):
    """What is written to the closed pipe is lost, the picture is not."""
    code, _ = in_shell(program, rest, *PAINT, "--iterations", "8")
    assert code == 0
    assert whole("out.png") == (48, 40)


@pytest.mark.fault(32)
def test_a_warning_that_nobody_reads_ends_no_run(program):
    Image.new("RGBA", (48, 40), (9, 99, 199, 50)).save("photo.png")
    code, _ = in_shell(program, "2>&1 | true", *PAINT, "--quiet")
    assert code == 0
    assert whole("out.png") == (48, 40)


@pytest.mark.fault(32)
@pytest.mark.parametrize("arguments", [["describe", "vgg19"], ["--help"]])
def test_a_reader_that_has_had_enough_of_a_table(program, arguments):
    code, said = in_shell(program, "| head -1", *arguments)
    assert code == 0
    assert len(said.splitlines()) == 1


@pytest.mark.fault(32)
def test_without_a_terminal_there_are_plain_lines(program):
    finished = program.paints(*PAINT, environment={"FORCE_COLOR": None, "TERM": "xterm-256color"})
    assert "\x1b" not in finished.err + finished.out
    assert "iteration 2/2" in finished.err


def on_terminal(
    program, width: int, *options: str, until: bytes = b"", **environment: str
) -> tuple[int, str]:
    """Run on a terminal of its own; return the exit code and what it showed.

    With `until` the terminal is gone once it has shown that.
    """
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 10, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "nst_manual", *PAINT, *options],
        env=program.environment({"COLUMNS": None, "LINES": None, **environment}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other side is gone
        while not until or until not in shown:
            shown += os.read(ours, 4096)
    os.close(ours)
    code = process.wait(120)
    program.seen.append(f"{code}")
    return code, shown.decode(errors="backslashreplace")


@pytest.mark.fault(32)
def test_a_narrow_terminal(program):
    code, shown = on_terminal(program, 20, TERM="xterm-256color")
    assert code == 0, shown
    assert "Traceback" not in shown
    assert "\x1b[" in shown, "no live bar"
    assert whole("out.png") == (48, 40)


@pytest.mark.fault(32)
def test_a_terminal_that_is_gone_ends_no_run(program):
    """Its window was closed, or the line to it cut; no signal comes to a program that was disowned."""
    options = ["--iterations", "20", "--log", "log.jsonl"]
    on_terminal(program, 80, *options, until=b"losses ", TERM="xterm-256color")
    assert whole("out.png") == (48, 40)
    assert len(Path("log.jsonl").read_text().splitlines()) >= 20


@pytest.mark.fault(32)
def test_a_dumb_terminal_has_plain_lines(program):
    code, shown = on_terminal(program, 80, TERM="dumb")
    assert code == 0, shown
    assert "\x1b" not in shown
    assert "iteration 2/2" in shown


BACKWARDS = """
import time
_now, _calls = time.time(), 0
def _back():
    global _calls
    _calls += 1
    return _now - 3600 * _calls
time.time = _back
"""


@pytest.mark.fault(32)
def test_a_clock_that_steps_back(folder, program):
    """An hour at each look; no time that is told may be negative."""
    environment = with_start(folder.with_name(folder.name + "-start"), BACKWARDS)
    finished = program.paints(*PAINT, "--log", "log.jsonl", environment=environment)
    assert " -" not in finished.err.replace(" -> ", " ")
    for line in Path("log.jsonl").read_text().splitlines():
        assert json.loads(line)["seconds"] >= 0


UNSET = ("HOME", "XDG_CACHE_HOME", "NST_MANUAL_CACHE", "USER", "LOGNAME", "TERM")


@pytest.mark.fault(33)
@pytest.mark.parametrize("command", [PAINT, ["weights", "list"]])
def test_without_a_home(program, command):
    finished = program(*command, environment=dict.fromkeys(UNSET))
    assert finished.code == 0, finished.err
    assert "Traceback" not in finished.err


@pytest.mark.fault(33)
@pytest.mark.parametrize("cache", ["read-only", "file"])
def test_a_cache_that_cannot_be_used(folder, program, cache):
    place = folder.with_name(f"{folder.name}-{cache}")
    if cache == "file":
        place.write_text("no folder")
    elif cache == "read-only":
        place.mkdir(mode=0o555)
    environment = {"NST_MANUAL_CACHE": str(place), "XDG_CACHE_HOME": str(place), "HOME": str(place)}
    program.paints(*PAINT, environment=environment, before=without_privilege)


@pytest.mark.fault(33)
@pytest.mark.parametrize("switch", ["-O", "-OO"])
def test_without_asserts_and_docstrings_faults_are_found(program, switch):
    program.paints(*PAINT, options=[switch])
    error = program.refuses(
        2, "run", "photo.png", "painting.png", "--size", "0", "-o", "old.png", options=[switch]
    )
    assert error.startswith("error: --size: expected a whole number")


@pytest.mark.fault(33)
def test_without_docstrings_there_is_help(program):
    for arguments, words in ((["--help"], "describe"), (["run", "--help"], "--style-weight")):
        finished = program(*arguments, options=["-OO"], environment={"COLUMNS": "160"})
        assert finished.code == 0, finished.err
        assert words in finished.out


def asserts_of(path: Path) -> list[str]:
    """Return where a file asserts something."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{path.relative_to(PACKAGE)}: {ast.unparse(node.test)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]


@pytest.mark.fault(33)
def test_nothing_is_validated_by_assert():
    """An assert is for what cannot be otherwise, and `-O` leaves it out. One that is wanted stands here."""
    found = [line for path in sorted(PACKAGE.rglob("*.py")) for line in asserts_of(path)]
    assert found == []


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    "locale",
    [
        {"LANG": "C", "LC_ALL": None},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": None},
    ],
)
def test_a_locale_without_letters(program, locale):
    name = "pinceau é 🖌.png"
    shutil.copy("photo.png", name)
    arguments = ["run", name, name, *SMALL, "-o", "é 🖌.jpg", "--log", "🖌.jsonl", "--debug"]
    program.paints(*arguments, environment=locale)
    assert whole("é 🖌.jpg") == (48, 40)
    assert Path("🖌.jsonl").stat().st_size > 0
    program.refuses(3, "run", "🖌.png", name, "-o", "old.png", environment=locale)


@pytest.mark.fault(33)
def test_two_runs_to_one_output_at_the_same_time(program):
    """Whoever is last has it; it is whole at every moment, and nothing is left beside it."""
    before = program.snapshot()
    command = [sys.executable, "-m", "nst_manual", *PAINT, "--save-every", "1", "--quiet"]
    runs = [subprocess.Popen([*command, "--iterations", count]) for count in ("6", "8")]
    while any(run.poll() is None for run in runs):
        if os.path.exists("out.png"):
            assert whole("out.png") == (48, 40)
        time.sleep(0.01)
    assert [run.returncode for run in runs] == [0, 0]
    made = {name for name in program.snapshot() if name not in before}
    assert made == {"out.png", *(f"out-{number:04}.png" for number in range(1, 9))}
    for name in made:
        assert whole(name) == (48, 40)
