"""How messages name a picture, and the class of the warnings about one."""

from __future__ import annotations

import os


class ImageWarning(UserWarning):
    """Something about a picture that the user should know, and that does not stop the work."""


def shown(path: str | os.PathLike[str]) -> str:
    """Return `path` for a message: line breaks, terminal codes and bytes that are not UTF-8 become escapes.

    A file name may hold any byte but zero and the slash; printed as it is, such a name would break the
    message over lines, colour the terminal, or end the program with an encoding error.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fspath(path)) or "''"
