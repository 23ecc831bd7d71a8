"""A signal stops a run at the next evaluation, with the picture of the last iteration saved."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from small_run import pictures

from nst_manual.errors import Interrupted
from nst_manual.run.signals import stop_request


def test_a_request_raises_once_it_was_received_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_request() as request:
        request.check()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as error:
            request.check()
    assert error.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_saves_its_picture_and_says_so_by_its_exit_code(tmp_path, number, code):
    for name, picture in zip(("photo.png", "painting.png"), pictures(), strict=True):
        Image.fromarray(picture).save(tmp_path / name)
    command = [sys.executable, "-m", "nst_manual", "run", "photo.png", "painting.png", "-o", "out.png"]
    command += ["--network", "vgg11", "--weights", "random", "--size", "24", "--iterations", "1000000"]
    command += ["--style-layers", "relu1_1", "--content-layers", "relu1_1", "--log", "log.jsonl"]
    command += ["--optimizer", "adam"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    log = tmp_path / "log.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") > 5):  # some iterations are done
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.strip().splitlines()[-1] == f"error: stopped: by {number.name}"
    with Image.open(tmp_path / "out.png") as image:
        picture = np.asarray(image)
    assert picture.shape == (18, 24, 3)
    assert (picture != pictures()[0]).any(), "the start was saved, not the picture of the last iteration"
