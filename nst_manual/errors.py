"""One family of errors, each with the exit code that the command line ends with.

An error says what it is about, what came and was expected, and what to do; the command line prints it as one
line, ``error: WHAT: cause (what to do)``. Python callers catch `NstError`, or the built-in type that each one
also is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NstError(Exception):
    """Base of all errors that this package raises on purpose.

    Parameters
    ----------
    what : str
        The thing in question: an option, a path, a layer.
    cause : str
        What is wrong with it: what was expected and what came.
    hint : str, optional
        What to do about it.
    """

    exit_code = 1

    def __init__(self, what: str, cause: str, hint: str | None = None) -> None:
        super().__init__(what, cause, hint)
        self.what, self.cause, self.hint = what, cause, hint

    def __str__(self) -> str:
        return f"{self.what}: {self.cause}" + (f" ({self.hint})" if self.hint else "")


class UsageError(NstError, ValueError):
    """A wrong option, name or value."""

    exit_code = 2


class ShapeError(UsageError):
    """An array whose shape or type does not fit the module it was given to."""


class ImageError(NstError, ValueError):
    """An input image that cannot be read or used."""

    exit_code = 3


class WeightsError(NstError, ValueError):
    """A weight file that is missing, damaged or not the network's."""

    exit_code = 4


class OutputError(NstError, OSError):
    """An output that cannot be written."""

    exit_code = 5

    # OSError.__str__ would print the argument tuple
    __str__ = NstError.__str__


class ResourceError(NstError, RuntimeError):
    """Not enough memory, or a limit that the user may raise."""

    exit_code = 6


class DivergedError(NstError, ArithmeticError):
    """The loss or the gradient is no longer finite."""

    exit_code = 7


class Interrupted(NstError):
    """The user or the system asked the program to stop; `exit_code` is 128 plus the signal's number."""

    def __init__(self, signal_name: str, signal_number: int, hint: str | None = None) -> None:
        super().__init__("stopped", f"by {signal_name}", hint)
        self.exit_code = 128 + signal_number


def not_finite(what: str, cause: str) -> DivergedError:
    """Return the `DivergedError` for a loss or gradient that is not finite."""
    return DivergedError(what, cause, "a smaller learning rate or smaller weights may help")


def unknown_name(what: str, name: str, valid: Iterable[str]) -> UsageError:
    """Return the `UsageError` for a name that is none of `valid`, with the nearest one suggested."""
    valid = list(valid)
    close = difflib.get_close_matches(name, valid, n=1)
    cause = f"{name!r} is unknown" + (f", did you mean {close[0]!r}?" if close else "")
    return UsageError(what, cause, f"valid: {', '.join(valid)}")
