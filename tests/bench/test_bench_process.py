"""Workers: processes that are asked, that say what went wrong, and that end when nobody asks any more."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from nst_manual.bench import process
from nst_manual.bench.process import Worker
from nst_manual.errors import ResourceError, UsageError

SMALL = {
    "network": "vgg11",
    "weights": "random",
    "style_layers": "relu1_1,relu2_1",
    "content_layers": "relu2_1",
    "threads": 1,
}


def job(**options):
    return {"kind": "ours", "variant": None, "size": [37, 51], "options": SMALL | options, "warm_up": True}


def test_a_worker_answers_with_seconds_loss_and_memory():
    with Worker("ours", job()) as worker:
        assert worker.about["size"] == [37, 51]
        assert "random" in worker.about["note"]
        assert set(worker.about["algorithm"]) == {"conv1_1", "conv2_1"}
        first, second = worker.ask({"do": "evaluate"}), worker.ask({"do": "evaluate"})
        assert first["seconds"] > 0
        assert first["loss"] == second["loss"] > 0
        assert worker.peak_mb is None or worker.peak_mb > 10
    assert worker.process.returncode == 0


def test_a_run_says_what_it_did_and_where_it_ended():
    with Worker("ours", job() | {"warm_up": False}) as worker:
        found = worker.ask({"do": "run", "iterations": 3})
    assert found["iterations"] == 3
    assert found["evaluations"] >= 3
    assert 0 < found["objective_seconds"] < found["seconds"]
    assert found["optimizer_share"] == pytest.approx(1 - found["objective_seconds"] / found["seconds"])
    assert found["loss"] < found["first_loss"]


def test_an_error_in_the_worker_is_raised_here_as_what_it_was():
    with pytest.raises(UsageError, match="conv9_9") as error:
        Worker("ours", job(content_layers="conv9_9"))
    assert error.value.exit_code == 2


def dying(monkeypatch, code):
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", code))
    with pytest.raises(ResourceError) as error:
        Worker("torch nchw", job())
    return str(error.value)


def test_a_worker_that_dies_leaves_its_last_words(monkeypatch):
    message = dying(monkeypatch, "import sys; print('some more\\nout of luck', file=sys.stderr); sys.exit(3)")
    assert message == "bench, process torch nchw: has ended with exit code 3: out of luck"


def test_a_worker_that_is_killed_is_reported_by_the_signal(monkeypatch):
    message = dying(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert message == "bench, process torch nchw: has ended by signal 9"


LOUD = """
from nst_manual.bench import subjects, worker

class Loud(subjects.Idle):
    def about(self):
        print("hello", flush=True)
        return {}

subjects.SUBJECTS["idle"] = Loud
worker.main()
"""


def test_what_libraries_print_does_not_stand_among_the_answers():
    message = json.dumps(job() | {"kind": "idle", "warm_up": False})
    started = subprocess.Popen(
        [sys.executable, "-c", LOUD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.stdin.write(message + "\n")
    started.stdin.flush()
    assert set(json.loads(started.stdout.readline())) == {"peak_mb"}
    _, errors = started.communicate(timeout=60)
    assert "hello" in errors


def test_a_worker_ends_with_its_parent_in_the_middle_of_a_run():
    with Worker("ours", job()) as worker:
        worker.process.stdin.write(json.dumps({"do": "run", "iterations": 1_000_000}) + "\n")
        worker.process.stdin.flush()
        time.sleep(0.3)
        assert worker.process.poll() is None
        worker.process.stdin.close()
        assert worker.process.wait(timeout=60) == 0
