"""Checksums: which one a file must have, and which one it has."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nst_manual.errors import WeightsError
from nst_manual.store.find import bundled_folder, bundled_sums, cache_folder
from nst_manual.store.known import DIGITS, KNOWN, Known

BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Identity:
    """What the bytes of a file say about it.

    Attributes
    ----------
    sha256 : str
    known : Known or None
        The published file that it is.
    trusted : bool
        Whether the checksum is one that is known: of a published or of a bundled file. Of some published
        files only the first digits are known: see `partial`.
    warning : str or None
        Why it should not be trusted, when there is more to say than that its sum is unknown.
    named : Known or None
        The published file whose name it has, although the sum is another. Most likely it is that file saved
        again, and expects the same input: neural-style-pt does so with J. Johnson's files.
    partial : bool
        Whether it is trusted for the first digits of the sum, and for its name, alone: the publisher gives
        no more. They tell a damaged file from a whole one, and not a forged one from a true one.
    """

    sha256: str
    known: Known | None
    trusted: bool
    warning: str | None = None
    named: Known | None = None
    partial: bool = False


def digests(file: BinaryIO, algorithms: Iterable[str]) -> dict[str, str]:
    """Return algorithm -> checksum in hexadecimal of what is left of an open file, which is read once.

    Parameters
    ----------
    file : binary file
        Read to its end.
    algorithms : iterable of str
        Names that hashlib knows: "md5", "sha1", "sha256".
    """
    running = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    while block := file.read(BLOCK):
        for digest in running.values():
            digest.update(block)
    return {name: digest.hexdigest() for name, digest in running.items()}


def algorithm_of(expected: str) -> str:
    """Return the algorithm of a checksum; `ValueError` if it is none.

    `expected` is "md5:...", "sha1:..." or "sha256:..."; of SHA-256 its first digits, at least 8, will do:
    with fewer, down to none, anything would agree.
    """
    algorithm, _, digits = expected.partition(":")
    least = 8 if algorithm == "sha256" else DIGITS.get(algorithm)
    if least is None or not re.fullmatch(f"[0-9a-f]{{{least},{DIGITS[algorithm]}}}", digits):
        raise ValueError(f"{expected!r} is not a checksum")
    return algorithm


def agrees(found: Mapping[str, str], expected: str) -> bool:
    """Return whether the digests of a file (algorithm -> hexadecimal) are the expected checksum."""
    return found[algorithm_of(expected)].startswith(expected.partition(":")[2])


def has_checksum(path: Path, expected: str) -> bool:
    """Return whether the file has the expected checksum."""
    algorithm = algorithm_of(expected)
    with path.open("rb") as file:
        return agrees(digests(file, [algorithm]), expected)


def identify(path: Path) -> Identity:
    """Return the file's identity.

    A bundled file, and a file in the cache under the name of a published one, must have the sum of that file.
    Elsewhere a file is a published one by its sum, whatever its name; but where only the first digits of the
    sum are known the name must be right too.

    Raises
    ------
    WeightsError
        Checksum mismatch, or the file cannot be read.
    """
    bundled = bundled_sums()
    here = bundled_folder()
    try:
        folder = path.resolve().parent
        is_bundled = here is not None and folder == here.resolve() and path.name in bundled
        with path.open("rb") as file:
            found = digests(file, ["sha256"] if is_bundled else DIGITS)
    except OSError as error:
        raise WeightsError(str(path), f"cannot be read, {error.strerror or error}") from error

    sha256 = found["sha256"]
    if is_bundled:
        expected = bundled[path.name]
        if sha256 != expected:
            raise mismatch(path, f"sha256:{sha256}", f"sha256:{expected}", "install the package again")
        return Identity(sha256, None, True)
    if sha256 in bundled.values():
        return Identity(sha256, None, True)

    agreeing = [known for known in KNOWN.values() if agrees(found, known.checksum)]
    if whole := next((known for known in agreeing if known.whole), None):
        return Identity(sha256, whole, True)
    named = next((known for known in KNOWN.values() if known.file == path.name), None)
    if named in agreeing:
        return Identity(sha256, named, True, partial=True)
    if named is None:
        warning = (
            f"has the first digits of {agreeing[0].file}'s checksum, but another name" if agreeing else None
        )
        return Identity(sha256, None, False, warning)
    algorithm = named.checksum.partition(":")[0]
    sum_found = f"{algorithm}:{found[algorithm]}"
    if folder == cache_folder().resolve():
        hint = f"`nst-manual weights get {named.name}` fetches it again"
        raise mismatch(path, sum_found, named.checksum, hint)
    warning = f"has the name of a published file but another checksum ({sum_found})"
    return Identity(sha256, None, False, warning, named)


def mismatch(path: Path, found: str, expected: str, hint: str) -> WeightsError:
    """Return the error for a known file that is not what it should be."""
    return WeightsError(str(path), f"checksum mismatch, found {found}, expected {in_words(expected)}", hint)


def in_words(expected: str) -> str:
    """Return the checksum as messages print it: with dots behind it if its last digits are unknown."""
    algorithm, _, digits = expected.partition(":")
    return expected if len(digits) == DIGITS[algorithm] else f"{expected}..."
