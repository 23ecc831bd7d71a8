"""Checksums: which one a file must have, and which one it has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nst_manual.errors import WeightsError
from nst_manual.store.find import bundled_folder, bundled_sums, cache_folder
from nst_manual.store.known import KNOWN, Known


@dataclass(frozen=True)
class Identity:
    """What the bytes of a file say about it.

    Attributes
    ----------
    sha256 : str
    known : Known or None
        The published file that it is.
    trusted : bool
        Whether the checksum is one that is known: of a published or of a bundled file.
    warning : str or None
        Why it should not be trusted, when there is more to say than that its sum is unknown.
    """

    sha256: str
    known: Known | None
    trusted: bool
    warning: str | None = None


def checksum(path: Path, algorithm: str) -> str:
    """Return the file's checksum in hexadecimal; `algorithm` is a name that hashlib knows."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def identify(path: Path) -> Identity:
    """Return the file's identity.

    A bundled file, and a file in the cache under the name of a published one, must have the sum of that file.

    Raises
    ------
    WeightsError
        Checksum mismatch, or the file cannot be read.
    """
    try:
        folder = path.resolve().parent
        sha256 = checksum(path, "sha256")
    except OSError as error:
        raise WeightsError(str(path), f"cannot be read, {error.strerror or error}") from error

    bundled = bundled_sums()
    here = bundled_folder()
    if here is not None and folder == here.resolve() and path.name in bundled:
        expected = bundled[path.name]
        if sha256 != expected:
            raise mismatch(path, f"sha256:{sha256}", f"sha256:{expected}", "install the package again")
        return Identity(sha256, None, True)
    if sha256 in bundled.values():
        return Identity(sha256, None, True)

    have = {f"sha256:{sha256}", f"md5:{checksum(path, 'md5')}"}
    for known in KNOWN.values():
        if known.checksum in have:
            return Identity(sha256, known, True)
    for known in KNOWN.values():
        if path.name == known.file:
            algorithm = known.checksum.partition(":")[0]
            found = next(one for one in have if one.startswith(algorithm))
            if folder == cache_folder().resolve():
                raise mismatch(
                    path, found, known.checksum, f"`nst-manual weights get {known.name}` fetches it again"
                )
            return Identity(
                sha256, None, False, f"has the name of a published file but another checksum ({found})"
            )
    return Identity(sha256, None, False)


def mismatch(path: Path, found: str, expected: str, hint: str) -> WeightsError:
    """Return the error for a known file that is not what it should be."""
    return WeightsError(str(path), f"checksum mismatch, found {found}, expected {expected}", hint)
