"""Download a file so that it is whole under its name or not there at all; go on where a download broke off.

The bytes go to `NAME.part`. When all are there and have the right checksum, they reach the disk (fsync) and
the part is renamed. A part that is left, by a killed process or a server that breaks off, is continued by the
next download.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from nst_manual.atomic import sync_folder
from nst_manual.errors import WeightsError
from nst_manual.store.checksum import agrees, algorithm_of, digests, has_checksum, in_words

try:
    import fcntl
except ImportError:  # Windows: two downloads at once are then told apart by the checksum alone
    fcntl = None

Progress = Callable[[int, "int | None"], None]

TIMEOUT = 30.0  # seconds without a byte
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before each further attempt that brings nothing new
BLOCK = 1 << 16  # bytes
LIMIT = 4 << 30  # bytes; no weight file known is a quarter of it


class _BrokenOffError(Exception):
    """The connection ended before the file did: worth another attempt."""


class _UnreachableError(Exception):
    """No connection: worth another attempt when there was one before."""


def download(url: str, path: Path, checksum: str, progress: Progress | None = None) -> Path:
    """Fetch `url` to `path`.

    Parameters
    ----------
    url : str
        http or https.
    path : pathlib.Path
        In a folder that exists.
    checksum : str
        "md5:...", "sha1:..." or "sha256:..."; of SHA-256 its first digits, at least 8, will do.
    progress : callable, optional
        Called with the bytes that are there, and the bytes there will be, or None if the server does not say.

    Raises
    ------
    WeightsError
        With the address, how far it came, and what to do.
    ValueError
        `checksum` is none.
    """
    if not re.match("https?://", url, re.IGNORECASE):
        raise WeightsError(url, "is not an http or https address")
    algorithm_of(checksum)  # raises before anything is fetched
    part = path.with_name(f"{path.name}.part")
    try:
        with _locked(part) as file:
            if path.is_file() and has_checksum(path, checksum):
                # Another process finished while this one was opening the part, which is therefore new and
                # empty.
                part.unlink(missing_ok=True)
                return path
            try:
                _fetch_all(url, file, progress or (lambda done, total: None))
            finally:
                file.flush()
                if not os.fstat(file.fileno()).st_size:
                    _remove(part, file)
            os.fsync(file.fileno())
            _verify(url, file, part, checksum)
            if fcntl is None:
                file.close()  # Windows renames no open file; elsewhere it stays locked until it has its name
            os.replace(part, path)
            sync_folder(path.parent)
    except OSError as error:
        raise WeightsError(str(part), f"cannot be written, {error.strerror or error}") from error
    return path


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """Open the part for reading and writing, at its end, so that no other process does the same."""
    while True:
        with open(part, "a+b") as file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise WeightsError(str(part), "is being downloaded by another process") from error
                except OSError:
                    pass  # a disk without locks: as on Windows
                # Between opening and locking, another process may have renamed or deleted it.
                try:
                    if not os.path.samestat(os.fstat(file.fileno()), os.stat(part)):
                        continue
                except FileNotFoundError:
                    continue
            yield file
            return


def _fetch_all(url: str, file: BinaryIO, progress: Progress) -> None:
    """Bring the rest into `file`, in as many attempts as bring something new, and a few that do not."""
    farthest, idle = os.fstat(file.fileno()).st_size, 0
    while True:
        try:
            _fetch(url, file, progress)
            return
        except _UnreachableError as error:
            if not idle:  # nothing has come yet: waiting would only make the user wait for the message
                raise WeightsError(
                    url, f"cannot be reached, {error}", "check the connection and try again"
                ) from error
            cause = error
        except _BrokenOffError as error:
            cause = error
        there = os.fstat(file.fileno()).st_size
        if there > farthest:
            farthest, idle = there, 0
        if idle == len(PAUSES):
            hint = "the same command goes on from there" if there else "try again later"
            raise WeightsError(url, f"broke off after {there:,} bytes, {cause}", hint) from cause
        time.sleep(PAUSES[idle])
        idle += 1


def _fetch(url: str, file: BinaryIO, progress: Progress) -> None:
    """Make one attempt: ask for what is missing and append it."""
    done = os.fstat(file.fileno()).st_size
    with _open(url, done) as response:
        if response.status == 416:
            size = re.match(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
            if size and int(size[1]) == done:
                return  # all of it was there
            file.truncate(0)
            raise _BrokenOffError("what was there is no part of the file")
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        if done and response.status == 206:
            span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if not span or int(span[1]) != done:
                file.truncate(0)
                raise _BrokenOffError("the server sent another range than it was asked for")
            total = None if total is None else done + total
        elif done:
            file.truncate(0)  # the server knows no ranges and sends all of it
            done = 0
        progress(done, total)
        while block := _read(response, file):
            file.write(block)
            done += len(block)
            if done > LIMIT:
                file.truncate(0)
                raise WeightsError(url, f"sends more than {LIMIT:,} bytes, more than any weight file has")
            progress(done, total)
    file.flush()
    if total is not None and done < total:
        raise _BrokenOffError(f"{total:,} were announced")


def _read(response: http.client.HTTPResponse, file: BinaryIO) -> bytes:
    try:
        return response.read1(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        file.flush()
        raise _BrokenOffError(str(error) or type(error).__name__) from error


@contextlib.contextmanager
def _open(url: str, done: int) -> Iterator[http.client.HTTPResponse | urllib.error.HTTPError]:
    """Open the address from byte `done` on; the status is 200, 206, or 416 if there is nothing behind it."""
    headers = {"User-Agent": "nst-manual", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response = _opener().open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        response = error
    except urllib.error.URLError as error:
        raise _UnreachableError(getattr(error.reason, "strerror", None) or str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from error
    with response:
        answer = f"the server answered {response.status} {response.reason}"
        if response.status >= 500:
            raise _BrokenOffError(answer)
        if response.status not in (200, 206) and not (response.status == 416 and done):
            raise WeightsError(url, answer)
        yield response


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for http and https alone, so that no redirection leads to a file or to ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _verify(url: str, file: BinaryIO, part: Path, checksum: str) -> None:
    """Raise `WeightsError` and delete the part if its checksum is wrong."""
    algorithm = algorithm_of(checksum)
    file.seek(0)
    found = digests(file, [algorithm])
    if agrees(found, checksum):
        return
    file.seek(0)
    page = file.read(64).lstrip().lower().startswith((b"<!doctype", b"<html"))
    _remove(part, file)
    raise WeightsError(
        url,
        f"checksum mismatch, found {algorithm}:{found[algorithm]}, expected {in_words(checksum)}"
        + (", the server sent a web page" if page else ""),
        "what was fetched is deleted; try again",
    )


def _remove(part: Path, file: BinaryIO) -> None:
    if fcntl is None:
        file.close()
    part.unlink(missing_ok=True)
