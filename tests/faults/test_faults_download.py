"""Row 25: downloads that are refused, cut, wrong, slow, killed; never a half file under the final name.

The program runs in a process of its own, against a real server, with a file that is SqueezeNet; a
`sitecustomize.py` before the program says where that server is.
"""

from __future__ import annotations

import hashlib
import http.server
import math
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import whole_networks as whole

pytestmark = [pytest.mark.fault(25), pytest.mark.skipif(os.name == "nt", reason="needs POSIX")]

NAME = "squeezenet1_1-b8a52dc0.pth"
GET = ("weights", "get", "squeezenet")
HOOK = """
import os
from dataclasses import replace
from nst_manual.store import download, known

known.KNOWN["squeezenet"] = replace(
    known.KNOWN["squeezenet"], url=os.environ["TEST_URL"], checksum=os.environ["TEST_SUM"]
)
download.PAUSES = (0.05, 0.05)
download.TIMEOUT = float(os.environ.get("TEST_TIMEOUT", "30"))
"""


class Server(http.server.ThreadingHTTPServer):
    """Serves `data`; of each answer only a share, nothing behind `end`, and slowly, if told."""

    def __init__(self, data):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.share, self.end, self.pause, self.asked = data, 1.0, None, 0.0, []


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with ranges, as servers of large files do."""

    def log_message(self, *arguments):
        """Stay silent."""

    def do_GET(self):
        """Send what is asked for, or as much of it as the server is set to."""
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        body = self.server.data[start:]
        self.send_response(206 if asked else 200)
        if asked:
            end = len(self.server.data)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = self.server.data[start : self.server.end]
        body = body[: math.ceil(len(body) * self.server.share)]
        try:
            for at in range(0, len(body), 100_000):
                time.sleep(self.server.pause)
                self.wfile.write(body[at : at + 100_000])
        except OSError:
            pass  # the program was stopped
        self.close_connection = True


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return whole.write_pth(tmp_path_factory.mktemp("data") / "x.pth", whole.bundled()).read_bytes()


@pytest.fixture
def server(data):
    with Server(data) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def world(tmp_path_factory, data, server):
    """The environment in which the program finds our server."""
    hook = tmp_path_factory.mktemp("hook")
    (hook / "sitecustomize.py").write_text(HOOK)
    return {
        "PYTHONPATH": os.pathsep.join([str(hook), str(whole.ROOT)]),
        "TEST_URL": f"http://127.0.0.1:{server.server_port}/{NAME}",
        "TEST_SUM": "sha256:" + hashlib.sha256(data).hexdigest(),
        "no_proxy": "*",
    }


@pytest.fixture
def cache(folder):
    return Path(os.environ["NST_MANUAL_CACHE"]) / "weights"


def files(cache):
    return sorted(os.listdir(cache))


def test_fetched_and_used(program, server, world, cache, data):
    done = program(*GET, environment=world)
    assert done.code == 0 and done.out.strip() == str(cache / NAME)
    assert files(cache) == [NAME] and (cache / NAME).read_bytes() == data
    painted = program.paints(*whole.RUN, environment=world)
    assert NAME in painted.err
    assert program(*GET, environment=world).code == 0 and len(server.asked) == 1


def test_refused(program, server, world, cache):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        address = f"http://127.0.0.1:{closed.server_port}/{NAME}"
    line = program.refuses(4, *GET, environment=world | {"TEST_URL": address})
    assert f"{address}: cannot be reached, Connection refused (check the connection and try again)" in line
    assert files(cache) == []
    line = program.refuses(4, *GET, environment=world | {"TEST_URL": "http://host.invalid/x.pth"})
    assert "http://host.invalid/x.pth: cannot be reached" in line and files(cache) == []


def test_cut_at_half(program, server, world, cache, data):
    server.share = 0.5
    assert program(*GET, environment=world).code == 0  # by halves, each time from where it was cut
    assert (cache / NAME).read_bytes() == data and files(cache) == [NAME]
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in server.asked[1:]]
    assert starts[0] == -(-len(data) // 2) and starts == sorted(set(starts))


def test_cut_for_good_and_gone_on_with(program, server, world, cache, data):
    server.end = len(data) // 2
    line = program.refuses(4, *GET, environment=world)
    there = (cache / f"{NAME}.part").read_bytes()
    assert f"broke off after {len(there):,} bytes" in line and "the same command goes on from there" in line
    assert files(cache) == [f"{NAME}.part"] and data.startswith(there) and len(there) == len(data) // 2
    # what is half there is nothing that a run would take
    assert NAME not in program.paints(*whole.RUN, environment=world).err
    server.end = None
    server.asked.clear()
    assert program(*GET, environment=world).code == 0
    assert server.asked == [f"bytes={len(there)}-"]
    assert files(cache) == [NAME] and (cache / NAME).read_bytes() == data


def test_wrong_sum(program, server, world, cache, data):
    server.data = data[:1000] + bytes([data[1000] ^ 1]) + data[1001:]
    line = program.refuses(4, *GET, environment=world)
    assert "checksum mismatch, found sha256:" in line and world["TEST_SUM"] in line and files(cache) == []
    server.data = b"<!DOCTYPE html><html><body>Sign in</body></html>"
    assert "the server sent a web page" in program.refuses(4, *GET, environment=world)
    assert files(cache) == []
    # a file that is damaged where it lies is fetched again
    cache.joinpath(NAME).write_bytes(data[:-1])
    server.data = data
    assert "checksum mismatch" in program.refuses(4, *whole.RUN, environment=world)
    assert program(*GET, environment=world).code == 0 and (cache / NAME).read_bytes() == data


def test_slow_and_silent(program, server, world, cache, data):
    server.pause = 0.05  # slow is no fault
    assert program(*GET, environment=world | {"TEST_TIMEOUT": "1"}).code == 0
    (cache / NAME).unlink()
    server.pause = 1  # a silence longer than the limit is
    line = program.refuses(4, *GET, environment=world | {"TEST_TIMEOUT": "0.2"})
    assert "broke off after 0 bytes, timed out (try again later)" in line
    assert files(cache) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped(program, server, world, cache, data, number):
    server.pause = 0.05
    part = cache / f"{NAME}.part"
    command = [sys.executable, "-m", "nst_manual", *GET]
    process = subprocess.Popen(
        command, cwd=program.folder, env=program.environment(world), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size > len(data) // 3):
        time.sleep(0.01)
    process.send_signal(number)
    error = process.communicate(timeout=30)[1]
    assert "Traceback" not in error
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        line = f"error: stopped: by {number.name} (the same command goes on from there)"
        assert error.splitlines()[-1] == line
    assert files(cache) == [part.name]
    there = part.read_bytes()
    assert data.startswith(there) and len(there) < len(data)
    server.pause = 0
    server.asked.clear()
    assert program(*GET, environment=world).code == 0
    assert server.asked == [f"bytes={len(there)}-"]
    assert files(cache) == [NAME] and (cache / NAME).read_bytes() == data


def test_disk_full(program, server, world, cache, data):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    line = program.refuses(4, *GET, environment=world, before=small)
    assert f"{NAME}.part: cannot be written" in line
    assert files(cache) == [f"{NAME}.part"]
    assert program(*GET, environment=world).code == 0 and (cache / NAME).read_bytes() == data


def test_two_at_once(program, server, world, cache, data):
    server.pause = 0.05
    command = [sys.executable, "-m", "nst_manual", *GET]
    first = subprocess.Popen(
        command, cwd=program.folder, env=program.environment(world), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not server.asked:
        time.sleep(0.01)
    assert "is being downloaded by another process" in program.refuses(4, *GET, environment=world)
    assert first.wait(60) == 0
    assert files(cache) == [NAME] and (cache / NAME).read_bytes() == data
