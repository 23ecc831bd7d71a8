"""Make the Nth file call fail, as SQLite's tests do, for N = 1, 2, 3 ... until a run goes through untouched.

Only calls that touch one folder count: opening, reading, writing, truncating, syncing, closing, renaming,
linking, removing, listing, locking of paths and descriptors below it. (Seeking in a file cannot fail.) Files
are opened on a `FileIO` of our own under Python's buffers, so that what fails is what reaches the system.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What a call of the system module does, by the arguments that say to what: one, or two.
_ONE = ("fsync", "fchmod", "ftruncate", "unlink", "remove", "scandir", "listdir", "stat", "lstat", "mkdir")
_TWO = ("replace", "rename", "link", "sendfile")

# What each errno can come from: a full disk lets files be read, listed and removed.
_SPACE = {
    "create",
    "write",
    "fsync",
    "close",
    "replace",
    "rename",
    "link",
    "ftruncate",
    "truncate",
    "sendfile",
}
_NAMES = {"create", "open", "replace", "rename", "link", "unlink", "remove", "scandir", "listdir", "stat"}
KILL = 0
KINDS = {
    errno.ENOSPC: _SPACE | {"mkdir"},
    errno.EACCES: _NAMES | {"lstat", "mkdir", "fchmod"},
    errno.EIO: None,  # all
    KILL: _SPACE | {"unlink", "remove", "flock"},  # what leaves something else behind
}


@dataclass(frozen=True)
class Fault:
    """What fails.

    Attributes
    ----------
    number : int
        The error, of the module errno, or KILL, which ends the process on the spot; it decides which calls
        count (`KINDS`).
    lasting : bool
        Whether all calls from the Nth on fail, or it alone.
    """

    number: int
    lasting: bool

    def __str__(self) -> str:
        if self.number == KILL:
            return "kill -9"
        return f"{errno.errorcode[self.number]} {'from then on' if self.lasting else 'once'}"


FAULTS = [Fault(number, lasting) for number in KINDS if number != KILL for lasting in (False, True)]
if hasattr(os, "fork"):
    FAULTS.append(Fault(KILL, False))


class NthCall:
    """Lets the Nth call fail that touches a folder, while the context is open.

    Parameters
    ----------
    folder : path
        Absolute, without links.
    nth : int
        From 1; 0 counts alone.
    fault : Fault

    Attributes
    ----------
    calls : list of str
        Every call that counted: "write run.h5".
    failed : list of str
        Those that were made to fail.
    """

    def __init__(self, folder: str | os.PathLike[str], nth: int, fault: Fault) -> None:
        self.folder, self.nth, self.fault = os.fspath(folder), nth, fault
        self.calls: list[str] = []
        self.failed: list[str] = []
        self._open: dict[int, str] = {}  # descriptor -> name
        self._read_only: set[int] = set()
        self._full: set[str] = set()  # files that a short write has just filled the disk with
        self._real_open = io.open

    def name_of(self, place: Any) -> str | None:
        """Return the name below the folder of a path or a descriptor, None for those that lie elsewhere."""
        if isinstance(place, int):
            return self._open.get(place)
        if not isinstance(place, str | bytes | os.PathLike):
            return None
        path = os.path.abspath(os.fsdecode(place))
        if path == self.folder:
            return "."
        return path[len(self.folder) + 1 :] if path.startswith(self.folder + os.sep) else None

    def tick(self, kind: str, name: str, before: Callable[[], Any] | None = None) -> None:
        """Count a call, and fail if it is its turn; `before` is what happens all the same then."""
        kinds = KINDS[self.fault.number]
        if kinds is not None and kind not in kinds:
            return
        self.calls.append(f"{kind} {name}")
        count = len(self.calls)
        if self.nth and (count == self.nth or (self.fault.lasting and count > self.nth)):
            self.failed.append(self.calls[-1])
            if self.fault.number == KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            if before is not None:
                before()
            raise OSError(self.fault.number, os.strerror(self.fault.number))

    @contextlib.contextmanager
    def __call__(self) -> Iterator[NthCall]:
        """Wrap the calls of this process."""
        with contextlib.ExitStack() as stack:

            def put(module: Any, name: str, value: Any) -> None:
                stack.callback(setattr, module, name, getattr(module, name))
                setattr(module, name, value)

            for count, names in ((1, _ONE), (2, _TWO)):
                for name in names:
                    if hasattr(os, name):
                        put(os, name, self._wrapped(name, getattr(os, name), count))
            put(os, "open", self._os_open(os.open))
            put(os, "close", self._os_close(os.close))
            for name in ("read", "write"):
                put(os, name, self._wrapped(name, getattr(os, name), 1))
            if fcntl is not None:
                put(fcntl, "flock", self._wrapped("flock", fcntl.flock, 1))
            put(builtins, "open", self._python_open)
            put(io, "open", self._python_open)
            yield self

    def _wrapped(self, kind: str, real: Callable, count: int) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            places = arguments[:count] or (".",)
            if name := next(filter(None, map(self.name_of, places)), None):
                self.tick(kind, name)
            return real(*arguments, **options)

        return call

    def _os_open(self, real: Callable) -> Callable:
        makes = os.O_CREAT | getattr(os, "O_TMPFILE", 0) & ~os.O_DIRECTORY

        def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            name = self.name_of(path)
            if name is None:
                return real(path, flags, *arguments, **options)
            self.tick("create" if flags & makes else "open", name)
            descriptor = real(path, flags, *arguments, **options)
            self.opened(descriptor, name, not flags & (os.O_WRONLY | os.O_RDWR))
            return descriptor

        return call

    def _os_close(self, real: Callable) -> Callable:
        def call(descriptor: int) -> None:
            name = self.closed(descriptor)
            if name is not None:
                self.tick("close", name, lambda: real(descriptor))  # as Linux: closed, whatever it says
            real(descriptor)

        return call

    def _python_open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        name = self.name_of(file)
        if name is None:
            return self._real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        writes = any(letter in mode for letter in "wax")
        if not isinstance(file, int) and opener is None:  # else `os.open` has counted
            self.tick("create" if writes else "open", name)
        raw = _Raw(self, name, file, "".join(c for c in mode if c in "rwax+"), closefd, opener)
        if buffering == 0:
            return raw
        kind = io.BufferedRandom if "+" in mode else io.BufferedWriter if writes else io.BufferedReader
        buffered = kind(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)

    def opened(self, descriptor: int, name: str, read_only: bool) -> None:
        """Know a descriptor."""
        self._open[descriptor] = name
        (self._read_only.add if read_only else self._read_only.discard)(descriptor)

    def closed(self, descriptor: int) -> str | None:
        """Know it no more; return its name where closing it can fail: what was only read has been read."""
        name = self._open.pop(descriptor, None)
        return None if descriptor in self._read_only else name

    def write(self, name: str, size: int) -> int:
        """Count a write, and return how many bytes are taken: a disk gets full in the middle of one."""
        if name in self._full:
            self._full.discard(name)
            if self.fault.number == KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.fault.number, os.strerror(self.fault.number))
        if self.fault.number == KILL and len(self.calls) + 1 == self.nth:
            self.calls.append("")  # half of it is written, then comes the end
            self._full.add(name)
            return max(1, size // 2)
        try:
            self.tick("write", name)
        except OSError:
            if self.fault.number != errno.ENOSPC or size < 2 or len(self.failed) > 1:
                raise
            self._full.add(name)
            return size // 2
        return size


class _Raw(io.FileIO):
    """A file without a buffer whose calls count."""

    def __init__(self, owner: NthCall, name: str, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        self.owner, self.called = owner, name
        super().__init__(file, mode, closefd, opener)
        owner.opened(self.fileno(), name, not self.writable())

    def write(self, data: Any) -> int:
        """Write."""
        view = memoryview(data).cast("B")
        return super().write(view[: self.owner.write(self.called, len(view))])

    def readinto(self, buffer: Any) -> int | None:
        """Read."""
        self.owner.tick("read", self.called)
        return super().readinto(buffer)

    def read(self, size: int = -1) -> bytes | None:
        """Read."""
        self.owner.tick("read", self.called)
        return super().read(size)

    def readall(self) -> bytes:
        """Read."""
        self.owner.tick("read", self.called)
        return super().readall()

    def truncate(self, size: int | None = None) -> int:
        """Cut, or lengthen."""
        self.owner.tick("truncate", self.called)
        return super().truncate(size)

    def close(self) -> None:
        """Close; a disk may tell only now that it could not write."""
        if self.closed:
            return
        close = super().close
        if self.owner.closed(self.fileno()) is not None:
            self.owner.tick("close", self.called, close)
        close()
