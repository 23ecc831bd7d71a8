"""One place where what goes wrong because a file is damaged becomes a `WeightsError`."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator

from nst_manual.errors import NstError, ResourceError, WeightsError

# What the libraries that unpack and parse raise on damaged input, depending on what was hit.
KINDS = (
    zipfile.BadZipFile,
    zlib.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,  # RecursionError among them
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
# Errors of the file system. Others may be damage: a number that leads to before the file fails as EINVAL.
NOT_DAMAGE = (
    errno.EACCES,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.EPERM,
)


@contextlib.contextmanager
def damage(file: str) -> Iterator[None]:
    """Turn what is raised inside the block into a `WeightsError` about `file`, "damaged or truncated".

    Put it around what reads the file and nothing else: a bug elsewhere must not look like damage.

    Raises
    ------
    WeightsError
    ResourceError
        There is not enough memory.
    """
    try:
        yield
    except NstError:
        raise
    except MemoryError as error:
        raise ResourceError(file, "does not fit into memory") from error
    except KINDS as error:
        if isinstance(error, OSError) and error.errno in NOT_DAMAGE:
            raise WeightsError(file, f"cannot be read, {os.strerror(error.errno)}") from error
        text = " ".join(str(error).split())[:200]
        if "CRC" in text or "incorrect data check" in text:
            cause = "checksum mismatch inside the file"
        else:
            cause = "damaged or truncated"
        raise WeightsError(file, f"{cause}, {text}" if text else cause, "fetch it again") from error
