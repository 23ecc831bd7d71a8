"""Write a file so that whoever looks finds the old one or the new one whole, never half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nst_manual.errors import OutputError


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
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the name of a temporary file that becomes the one at `path`, unless the block raises.

    It lies in the same folder, and reaches the disk (fsync) before the rename, and the rename reaches the
    disk before the block is left: after a power cut either file is whole.

    Raises
    ------
    OutputError
        For every `OSError`, also one from inside the block: the temporary file is gone and the old file
        untouched.
    """
    path = Path(path)
    temporary = None
    try:
        # names have room for 255 bytes, and a letter may take four of them
        prefix = "." + os.fsdecode(os.fsencode(path.name)[:100]) + "."
        descriptor, temporary = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
        os.close(descriptor)
        yield Path(temporary)
        with open(temporary, "rb") as file:
            os.fchmod(file.fileno(), _mode_of(path))
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        sync_folder(path.parent)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(str(path), f"cannot be written, {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


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
