"""Downloads from a server that cuts, lies and refuses: the file is whole under its name, or not there."""

import hashlib
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nst_manual import cli, store
from nst_manual.errors import UsageError, WeightsError
from nst_manual.store import download, known

DATA = np.random.default_rng(0).bytes(700_001)
MD5 = "md5:" + hashlib.md5(DATA, usedforsecurity=False).hexdigest()
NAME = "weights.h5"


class Server(http.server.ThreadingHTTPServer):
    """Serves `data` under any address; what it does wrong is set from outside."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.ranges, self.status = DATA, True, None
        self.cuts = []  # of each answer, the share of it that is sent; all of it when there are no more
        self.announce = True
        self.pause = 0.0  # seconds between blocks
        self.location = None
        self.asked = []  # the Range headers received

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/files/{NAME}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.status:
            self.send_response(server.status)
            if server.location:
                self.send_header("Location", server.location)
            self.end_headers()
            return
        data, start = server.data, 0
        if asked and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if server.announce:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        body = body[: int(len(body) * (server.cuts.pop(0) if server.cuts else 1))]
        try:
            for i in range(0, len(body), 20_000):
                self.wfile.write(body[i : i + 20_000])
                time.sleep(server.pause)
        except OSError:
            pass  # the client was killed
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAUSES", (0, 0, 0))
    return tmp_path / NAME


def part(path):
    return path.with_name(path.name + ".part")


def test_whole(server, path):
    seen = []
    assert download.download(server.url, path, MD5, lambda *pair: seen.append(pair)) == path
    assert path.read_bytes() == DATA and not part(path).exists()
    assert seen[0] == (0, len(DATA)) and seen[-1] == (len(DATA), len(DATA)) and seen == sorted(seen)
    sha256 = "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert download.download(server.url, path, sha256).read_bytes() == DATA


@pytest.mark.parametrize("algorithm, digits", [("sha1", 40), ("sha256", 64), ("sha256", 8), ("sha256", 13)])
def test_other_sums(server, path, algorithm, digits):
    checksum = f"{algorithm}:{hashlib.new(algorithm, DATA, usedforsecurity=False).hexdigest()[:digits]}"
    assert download.download(server.url, path, checksum).read_bytes() == DATA and len(server.asked) == 1
    # There with that sum, as when another process was faster: nothing is asked.
    download.download(server.url, path, checksum)
    assert len(server.asked) == 1 and os.listdir(path.parent) == [NAME]
    server.data = DATA[:-1] + b"?"
    path.unlink()
    expected = checksum if digits >= 40 else rf"{checksum}\.\.\."
    with pytest.raises(WeightsError, match=f"mismatch, found {algorithm}:[0-9a-f]*, expected {expected} "):
        download.download(server.url, path, checksum)
    assert not os.listdir(path.parent)


@pytest.mark.parametrize("checksum", ["sha256:", "sha256:1234567", "md5:12345678", "crc32:12345678", ""])
def test_what_is_no_checksum_is_not_agreed_with(server, path, checksum):
    with pytest.raises(ValueError, match="is not a checksum"):
        download.download(server.url, path, checksum)
    assert not server.asked and not os.listdir(path.parent)


def test_unknown_length(server, path):
    server.announce = False
    seen = []
    download.download(server.url, path, MD5, lambda *pair: seen.append(pair))
    assert path.read_bytes() == DATA and seen[-1] == (len(DATA), None)


def test_cut_and_resumed_in_one_call(server, path):
    server.cuts = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    download.download(server.url, path, MD5)
    assert path.read_bytes() == DATA
    asked = [int(one.removeprefix("bytes=").removesuffix("-")) for one in server.asked[1:]]
    assert (
        server.asked[0] is None
        and len(asked) == 6
        and asked == sorted(set(asked))
        and asked[0] == len(DATA) // 2
    )


def test_given_up_then_resumed_by_the_next_call(server, path):
    server.cuts = [0.5] + [0] * 10
    with pytest.raises(
        WeightsError, match="broke off after 350,000 bytes.*the same command goes on"
    ) as caught:
        download.download(server.url, path, MD5)
    assert caught.value.exit_code == 4 and not path.exists() and part(path).read_bytes() == DATA[:350_000]
    server.cuts, server.asked = [], []
    download.download(server.url, path, MD5)
    assert path.read_bytes() == DATA and server.asked == ["bytes=350000-"] and not part(path).exists()


def test_server_without_ranges_starts_anew(server, path):
    server.ranges = False
    server.cuts = [0.5, 0.7]
    download.download(server.url, path, MD5)
    assert path.read_bytes() == DATA and len(server.asked) == 3
    server.cuts = [0.5] * 10
    path.unlink()
    with pytest.raises(WeightsError, match="broke off after"):
        download.download(server.url, path, MD5)
    assert not path.exists()


def test_part_that_is_complete_is_taken(server, path):
    part(path).write_bytes(DATA)
    download.download(server.url, path, MD5)
    assert path.read_bytes() == DATA and server.asked == [f"bytes={len(DATA)}-"]


def test_part_that_is_too_long_starts_anew(server, path):
    part(path).write_bytes(DATA + b"more")
    download.download(server.url, path, MD5)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("data, extra", [(DATA[:-1] + b"?", ""), (b"<!DOCTYPE html><html>", "web page")])
def test_wrong_sum(server, path, data, extra):
    path.write_bytes(b"what was there before")
    server.data = data
    wrong = hashlib.md5(data, usedforsecurity=False).hexdigest()
    with pytest.raises(WeightsError, match=f"checksum mismatch, found md5:{wrong}, expected {MD5}.*{extra}"):
        download.download(server.url, path, MD5)
    assert os.listdir(path.parent) == [NAME] and path.read_bytes() == b"what was there before"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_server_refuses(server, path, status):
    server.status = status
    with pytest.raises(WeightsError, match=f"{re.escape(server.url)}: the server answered {status}"):
        download.download(server.url, path, MD5)
    assert len(server.asked) == 1 and not os.listdir(path.parent)


def test_server_in_trouble_is_asked_again(server, path):
    server.status = 503
    with pytest.raises(WeightsError, match="503"):
        download.download(server.url, path, MD5)
    assert len(server.asked) == 4 and not os.listdir(path.parent)


def test_connection_refused(path):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    with pytest.raises(WeightsError, match=f"127.0.0.1:{port}/x: cannot be reached, Connection refused"):
        download.download(f"http://127.0.0.1:{port}/x", path, MD5)
    assert not os.listdir(path.parent)


def test_silent_server(server, path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    server.pause = 0.5
    with pytest.raises(WeightsError, match="broke off after .*timed out"):
        monkeypatch.setattr(download, "PAUSES", ())
        download.download(server.url, path, MD5)
    assert not path.exists() and part(path).stat().st_size >= 20_000


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "weights.h5"])
def test_other_schemes(server, path, url):
    with pytest.raises(WeightsError, match="not an http or https address"):
        download.download(url, path, MD5)
    server.status, server.location = 302, url if ":" in url else "file:///x"
    with pytest.raises(WeightsError):
        download.download(server.url, path, MD5)
    assert not os.listdir(path.parent)


def test_folder_that_cannot_be_written(server, tmp_path):
    with pytest.raises(WeightsError, match="cannot be written"):
        download.download(server.url, tmp_path / "none" / NAME, MD5)


@pytest.mark.skipif(download.fcntl is None, reason="needs fcntl")
def test_two_at_once(server, path):
    server.pause = 0.02
    errors, started = [], threading.Event()

    def first():
        try:
            download.download(server.url, path, MD5, lambda *_: started.set())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    started.wait(10)
    with pytest.raises(WeightsError, match="is being downloaded by another process"):
        download.download(server.url, path, MD5)
    thread.join()
    assert not errors and path.read_bytes() == DATA and os.listdir(path.parent) == [NAME]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_killed_then_resumed(server, path):
    server.pause = 0.05
    code = (
        "import sys; from pathlib import Path; from nst_manual.store.download import download\n"
        "download(sys.argv[1], Path(sys.argv[2]), sys.argv[3])"
    )
    root = Path(store.__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code, server.url, str(path), MD5], cwd=root)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (part(path).exists() and part(path).stat().st_size > 100_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert os.listdir(path.parent) == [part(path).name]
    there = part(path).stat().st_size
    assert 100_000 < there < len(DATA) and part(path).read_bytes() == DATA[:there]
    server.pause, server.asked = 0, []
    download.download(server.url, path, MD5)
    assert path.read_bytes() == DATA and server.asked == [f"bytes={there}-"]
    assert os.listdir(path.parent) == [NAME]


def test_get_weights(server, cache, monkeypatch):
    entry = replace(known.KNOWN["vgg19"], url=server.url, checksum=MD5)
    monkeypatch.setitem(known.KNOWN, "vgg19", entry)
    path = store.get_weights("vgg19")
    assert path == cache / NAME and path.read_bytes() == DATA
    assert store.find_weights("vgg19") == path and store.default_network()[0] == "vgg19"
    assert [row["status"] for row in store.list_weights() if row["name"] == "vgg19"] == ["installed"]
    # There and whole: nothing is asked. There and damaged: fetched again.
    assert store.get_weights("vgg19") == path and len(server.asked) == 1
    path.write_bytes(DATA[:-1])
    assert store.get_weights("vgg19").read_bytes() == DATA
    with pytest.raises(UsageError, match="'vgg91' is unknown, did you mean 'vgg19'"):
        store.get_weights("vgg91")


@pytest.mark.parametrize("algorithm, digits", [("sha1", 40), ("sha256", 8)])
def test_get_weights_by_other_sums(server, cache, monkeypatch, algorithm, digits):
    checksum = f"{algorithm}:{hashlib.new(algorithm, DATA, usedforsecurity=False).hexdigest()[:digits]}"
    entry = replace(known.KNOWN["alexnet"], url=server.url, checksum=checksum)
    monkeypatch.setitem(known.KNOWN, "alexnet", entry)
    path = store.get_weights("alexnet")
    assert path == cache / NAME and path.read_bytes() == DATA and store.find_weights("alexnet") == path
    assert store.get_weights("alexnet") == path and len(server.asked) == 1
    path.write_bytes(DATA[:-1])
    assert store.get_weights("alexnet").read_bytes() == DATA and len(server.asked) == 2


def test_the_command_gets_a_file_in_spite_of_a_cut_connection(server, cache, monkeypatch, capfd):
    entry = replace(known.KNOWN["vgg19"], url=server.url, checksum=MD5)
    monkeypatch.setitem(known.KNOWN, "vgg19", entry)
    server.cuts = [0.5]
    assert cli.main(["weights", "get", "vgg19"]) == 0
    out, err = capfd.readouterr()
    assert out.strip() == str(cache / NAME)
    assert (cache / NAME).read_bytes() == DATA
    assert server.asked[1] is not None, "it asked for the rest, not for all again"
    assert "vgg19" in err


def test_get_weights_where_the_cache_is_no_folder(cache):
    cache.parent.write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be written.*NST_MANUAL_CACHE"):
        store.get_weights("vgg19")
