"""Fetch a published file into the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nst_manual.errors import WeightsError, unknown_name
from nst_manual.store.checksum import has_checksum
from nst_manual.store.find import cache_folder
from nst_manual.store.known import KNOWN, Known


def get_weights(name: str, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Download a published weight file, unless it is there and whole, and return its path.

    Parameters
    ----------
    name : str
        "vgg19", "vgg19-top", "alexnet", ...: see `nst-manual weights list`.
    progress : callable, optional
        Called with the bytes that are there, and the bytes there will be, or None if the server does not say.

    Raises
    ------
    UsageError
        The name is unknown.
    WeightsError
        The server cannot be reached, refuses, breaks off again and again, or sends something else; the cache
        cannot be written; or another process is downloading the same file.
    """
    known = known_file(name)
    path = cache_folder() / known.file
    try:
        if path.is_file() and has_checksum(path, known.checksum):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            str(path), f"cannot be written, {error.strerror or error}", "see NST_MANUAL_CACHE"
        ) from error

    from nst_manual.store.download import download

    return download(known.url, path, known.checksum, progress)


def known_file(name: str) -> Known:
    """Return what is known of the published file called `name`; raise `UsageError` where there is none."""
    if name not in KNOWN:
        raise unknown_name("weights", name, KNOWN)
    return KNOWN[name]
