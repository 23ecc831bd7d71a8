"""What the tests of faults share: a folder with pictures, the program, and the rules after each fault.

Each test is marked with the row of the table in docs/faults.md that it belongs to, `@pytest.mark.fault(4)`,
and the table is made from what the tests saw: `python tools/make_fault_table.py`.
"""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from fault_program import Program
from PIL import Image
from whole_files import SEEN


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder: a photograph, a painting, an older picture; and an empty cache elsewhere."""
    rng = np.random.default_rng(0)
    for name in ("photo.png", "painting.png", "old.png"):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    cache = tmp_path.with_name(tmp_path.name + "-cache")
    cache.mkdir()
    monkeypatch.setenv("NST_MANUAL_CACHE", str(cache))
    monkeypatch.setenv("TMPDIR", str(cache))  # where pictures go for which the disk had no room
    monkeypatch.setattr("tempfile.tempdir", str(cache))
    return tmp_path


@pytest.fixture
def program(folder):
    """The program, run in `folder`; what comes of it is written down for the table."""
    return Program(folder)


@pytest.fixture(autouse=True)
def record(request):
    """Write down the test's rows, and what its program did, where the table is being made."""
    SEEN.clear()
    yield
    if path := os.environ.get("NST_MANUAL_FAULT_RECORD"):
        program = request.node.funcargs.get("program")
        about = {"test": request.node.nodeid, "seen": [*(program.seen if program else []), *SEEN]}
        with open(path, "a", encoding="utf-8") as file:
            for mark in request.node.iter_markers("fault"):
                file.write(json.dumps({"row": mark.args[0]} | about) + "\n")
