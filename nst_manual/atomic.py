"""Write a file so that whoever looks finds the old one or the new one whole, never half of one.

A process that is killed leaves its temporary file behind. The next one that writes to the same path removes
it: whoever is at work holds a lock on their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nst_manual.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed anyway
    fcntl = None

# seconds: an empty temporary file may be so young that its owner has not locked it yet
_YOUNG = 1.0

# of this process, at work; a set of strings, since a signal handler may look at any moment
_temporaries: set[str] = set()


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the file at `path` by `data`, or leave it as it was.

    Raises
    ------
    OutputError
        The folder cannot be written or the disk is full; the temporary file is gone and the old file
        untouched.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], previous: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Yield the name of a temporary file that becomes the one at `path`, unless the block raises.

    It lies in the same folder, and reaches the disk (fsync) before the rename, and the rename reaches the
    disk before the block is left: after a power cut either file is whole.

    Parameters
    ----------
    path : path
    previous : path, optional
        In the same folder: where the old file goes. There is a file at `path` at every moment, also between
        the two renames.

    Raises
    ------
    OutputError
        For every `OSError`, also one from inside the block: the temporary file is gone and the old file
        untouched.
    """
    path = Path(path)
    try:
        remove_abandoned(path)
        if previous is not None:
            remove_abandoned(previous)
        with _temporary(path) as temporary:
            yield Path(temporary)
            with open(temporary, "rb") as file:
                os.fchmod(file.fileno(), _mode_of(path))
                os.fsync(file.fileno())
            if previous is not None:
                _keep(path, Path(previous))
            os.replace(temporary, path)
            sync_folder(path.parent)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(str(path), f"cannot be written, {error.strerror or error}") from error


def remove_abandoned(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files for `path` of processes that are no more."""
    path = Path(path)
    try:
        entries = [entry for entry in os.scandir(path.parent) if _is_temporary(entry.name, path)]
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if not status.st_size and abs(time.time() - status.st_mtime) < _YOUNG:
                continue
            descriptor = os.open(entry.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                if fcntl is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is held
                os.unlink(entry.path)
            finally:
                os.close(descriptor)


def abandon() -> None:
    """Remove this process's temporary files, where it is about to end on the spot."""
    for temporary in list(_temporaries):
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[str]:
    """Give the name of a new, locked file in the folder of `path`; it is gone afterwards."""
    descriptor, name = tempfile.mkstemp(prefix=_prefix(path), suffix=".tmp", dir=path.parent)
    _temporaries.add(name)
    try:
        if fcntl is None:
            os.close(descriptor)  # an open file could not be renamed
            descriptor = -1
        else:
            with contextlib.suppress(OSError):  # some network disks have no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield name
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)
        _temporaries.discard(name)
        if descriptor >= 0:
            # it only held the lock: all has been written and synced by now
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _keep(path: Path, previous: Path) -> None:
    """Let the file at `path` be at `previous` too, in the place of the one there."""
    if not path.exists():
        return
    try:
        # no name in between: a process that is killed leaves one temporary file, not two
        previous.unlink(missing_ok=True)
        os.link(path, previous)
    except OSError:  # a disk without links
        with _temporary(previous) as temporary:
            shutil.copyfile(path, temporary)
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, previous)


def _prefix(path: Path) -> str:
    """Return how names of temporary files for `path` begin."""
    # names have room for 255 bytes, and a letter may take four of them
    return "." + os.fsdecode(os.fsencode(path.name)[:100]) + "."


def _is_temporary(name: str, path: Path) -> bool:
    """Whether a file of that name is a temporary one for `path`: the prefix, eight characters, the suffix."""
    prefix = _prefix(path)
    return name.startswith(prefix) and name.endswith(".tmp") and len(name) == len(prefix) + 12


def _mode_of(path: Path) -> int:
    """Return the permissions that the file has, or that a new one would get (mkstemp alone gives 0600)."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def sync_folder(folder: Path) -> None:
    """Bring a rename to the disk; go on where folders cannot be synced (Windows, network disks)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
