"""Row 29: a signal stops a run with its picture saved; a second one stops it now, with every file whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from fault_program import Finished
from whole_files import NETWORK, checkpoint_fault, picture_fault, pixels_of, temporaries

from nst_manual.images import read_metadata
from nst_manual.run.checkpoint import read_checkpoint

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
LONG = [*NETWORK, "--size", "40", "--scales", "1", "--iterations", "100000", "--optimizer", "adam", "--quiet"]
KEEPS = ["--checkpoint", "run.h5", "--checkpoint-every", "3600"]

# A program that does something at a given point of ours: `patch(module, name, function of the real one)`.
PATCHED = """
import importlib, os, signal, sys, time
def patch(module, name, make):
    module = importlib.import_module(module)
    setattr(module, name, make(getattr(module, name)))
def me(number):
    os.kill(os.getpid(), number)
{body}
from nst_manual.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def started(program, folder):
    """Start the program; the function that it gives waits for the end, and holds what always holds."""
    processes = []

    def start(*arguments, body=""):
        command = ["-c", PATCHED.format(body=body)] if body else ["-m", "nst_manual"]
        process = subprocess.Popen(
            [sys.executable, *command, "run", "photo.png", "painting.png", "-o", "old.png", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)

        def end(seconds=60):
            out, err = (text.decode() for text in process.communicate(timeout=seconds))
            finished = Finished(process.returncode, out, err, 0.0)
            program.note(finished)
            assert not temporaries(os.listdir(folder))
            return finished

        return process, end

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(process, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.fault(29)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_once_the_picture_and_the_checkpoint_are_saved(started, program, folder, number):
    process, end = started(*LONG, *KEEPS, "--log", "log.jsonl")
    wait_for(process, lambda: lines(folder / "log.jsonl") > 5)
    process.send_signal(number)
    finished = end()
    assert finished.code == 128 + number
    assert finished.error == f"error: stopped: by {number.name} (`nst-manual resume run.h5` goes on)"
    assert picture_fault(folder / "old.png") == ""
    assert f"stopped: by {number.name}" in read_metadata(folder / "old.png")["nst_manual"]
    # of the last iteration, though the hour between two checkpoints is not over
    done = read_checkpoint(folder / "run.h5").snapshot.iterations
    assert done > 3


@pytest.mark.fault(29)
def test_what_was_stopped_goes_on_to_the_same_picture(program, folder):
    """Stopped in the middle of an iteration; without a checkpoint the picture alone is saved."""
    options = [*NETWORK, "--size", "40", "--iterations", "6", "--no-manifest", "--quiet"]
    program.paints("run", "photo.png", "painting.png", "-o", "whole.png", *options)
    body = """
seen = []
def make(real):
    def call(self, x):
        seen.append(x)
        if len(seen) == 4:
            me(signal.SIGTERM)
        return real(self, x)
    return call
from nst_manual.objective import Objective
Objective.__call__ = make(Objective.__call__)
"""
    for keeps in ([], ["--checkpoint", "run.h5"]):
        found = subprocess.run(
            [
                sys.executable,
                "-c",
                PATCHED.format(body=body),
                "run",
                "photo.png",
                "painting.png",
                "-o",
                "out.png",
            ]
            + [*options, *keeps],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert found.returncode == 143, found.stderr
        assert pixels_of(folder / "out.png").shape == pixels_of(folder / "whole.png").shape
        assert (folder / "out.png").read_bytes() != (folder / "whole.png").read_bytes()
        assert (folder / "run.h5").exists() == bool(keeps)
    program.paints("resume", "run.h5")
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.fault(29)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize(
    "place", ["nn.build load_weights", "objective.whole read_content", "objective.network get_network"]
)
def test_during_loading_nothing_is_written(started, program, place, number):
    """While weights are read, and pictures before."""
    module, name = f"nst_manual.{place}".split()
    body = f"""
def make(real):
    def call(*arguments, **options):
        me({int(number)})
        time.sleep(30)
        return real(*arguments, **options)
    return call
patch({module!r}, {name!r}, make)
"""
    before = program.snapshot()
    _, end = started(*LONG, *KEEPS, "--log", "log.jsonl", "--progress-sheet", "sheet.png", body=body)
    finished = end(25)
    assert finished.code == 128 + number
    assert finished.error == f"error: stopped: by {number.name} (nothing had been made yet)"
    assert program.snapshot() == before


@pytest.mark.fault(29)
def test_as_early_as_it_can_be(started, program, folder):
    """While Python itself and the libraries are read: nothing is there yet that could catch it."""
    before = program.snapshot()
    for delay in (0.0, 0.1, 0.2, 0.4):
        process, end = started(*LONG)
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        finished = end()
        assert finished.code in (143, -signal.SIGTERM)
        assert finished.code != 143 or finished.error
        if program.snapshot() == before:
            continue
        assert picture_fault(folder / "old.png") == ""  # it had begun already
        before = program.snapshot()


@pytest.mark.fault(29)
def test_between_two_scales(started, program, folder):
    """The picture of the coarse one is enlarged, the checkpoint begins the fine one."""
    body = """
def make(real):
    def call(*arguments):
        if arguments[2].size == 90:
            me(signal.SIGTERM)
        return real(*arguments)
    return call
patch("nst_manual.run.scales", "prepare", make)
"""
    scales = ["--size", "90", "--scales", "2", "--scale-factor", "1.4", "--iterations", "2", "--quiet"]
    process, end = started(*NETWORK, *scales, *KEEPS, "--no-manifest", body=body)
    finished = end()
    assert finished.code == 143, finished.err
    assert pixels_of(folder / "old.png").shape == (75, 90, 3)
    found = read_checkpoint(folder / "run.h5")
    assert (found.scale, found.snapshot.iterations, found.before["iterations"]) == (1, 0, 2)
    program.paints("resume", "run.h5")
    resumed = (folder / "old.png").read_bytes()
    program.paints("run", "photo.png", "painting.png", "-o", "whole.png", *NETWORK, *scales, "--no-manifest")
    assert resumed == (folder / "whole.png").read_bytes()


@pytest.mark.fault(29)
@pytest.mark.parametrize("keeps", [[], KEEPS], ids=["alone", "with a checkpoint"])
def test_during_the_final_save_it_is_completed(started, program, folder, keeps):
    options = [*NETWORK, "--size", "40", "--iterations", "2", "--no-manifest", "--quiet"]
    body = """
def make(real):
    def call(source, target):
        if os.fspath(target) == "old.png":
            me(signal.SIGINT)
        return real(source, target)
    return call
patch("os", "replace", make)
"""
    _, end = started(*options, *keeps, body=body)
    finished = end()
    assert finished.code == 130
    assert finished.error == "error: stopped: by SIGINT (the picture was complete)"
    program.paints("run", "photo.png", "painting.png", "-o", "whole.png", *options)
    assert (folder / "old.png").read_bytes() == (folder / "whole.png").read_bytes()
    if keeps:
        assert checkpoint_fault(folder / "run.h5") == ""
        assert not (folder / "run.previous.h5").exists()


@pytest.mark.fault(29)
@pytest.mark.parametrize("call", ["fchmod", "fsync", "replace"])
@pytest.mark.parametrize("numbers", [(2, 2), (15, 2), (2, 15)], ids=str)
def test_twice_it_stops_now_and_every_file_is_whole(started, program, folder, call, numbers):
    """The second one comes while the picture is being saved: the old one stays."""
    options = [*NETWORK, "--size", "40", "--iterations", "3", "--quiet", *KEEPS]
    body = f"""
seen = []
def make(real):
    def call(*arguments):
        seen.append(arguments)
        # those of the checkpoint at the beginning are over: of the file, and fsync of its folder too
        if len(seen) == {3 if call == "fsync" else 2}:
            me({numbers[0]})
            me({numbers[1]})
            time.sleep(30)
        return real(*arguments)
    return call
patch("os", {call!r}, make)
"""
    old = (folder / "old.png").read_bytes()
    _, end = started(*options, body=body)
    finished = end(25)
    assert finished.code == 128 + numbers[1], finished.err
    assert "Traceback" not in finished.err
    assert (folder / "old.png").read_bytes() == old
    for name in ("run.h5", "run.previous.h5"):
        assert not (folder / name).exists() or checkpoint_fault(folder / name) == ""
    if (folder / "run.h5").exists():
        program.paints("resume", "run.h5")
        assert picture_fault(folder / "old.png") == ""


@pytest.mark.fault(29)
def test_twice_from_outside(started, folder):
    """As an impatient hand does it."""
    process, end = started(*LONG, *KEEPS, "--log", "log.jsonl", "--save-every", "1")
    wait_for(process, lambda: lines(folder / "log.jsonl") > 5)
    for _ in range(20):
        process.send_signal(signal.SIGINT)
    finished = end()
    assert finished.code == 130
    assert "Traceback" not in finished.err
    for path in folder.iterdir():
        if path.suffix in (".png", ".h5"):
            fault = checkpoint_fault(path) if path.suffix == ".h5" else picture_fault(path)
            assert fault == ""


@pytest.mark.fault(29)
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_nohup_is_respected(started, folder):
    body = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    process, end = started(*LONG, "--log", "log.jsonl", body=body)
    wait_for(process, lambda: lines(folder / "log.jsonl") > 3)
    process.send_signal(signal.SIGHUP)
    seen = lines(folder / "log.jsonl")
    wait_for(process, lambda: lines(folder / "log.jsonl") > seen + 5)
    process.send_signal(signal.SIGTERM)
    assert end().code == 143
