"""The command line: one file a command; errors are one line, and an exit code that says which kind."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TextIO

# How libraries that cannot be loaded, and threads that cannot be started, say that there is no memory left.
NO_MEMORY = ("failed to map segment", "Cannot allocate memory", "can't start new thread")

STOPPED = "stopped: by SIGINT (nothing had been made yet)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `nst-manual` with those arguments (without: the process's own) and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # a stream that the caller has closed is None here, and libraries write to it all the same
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # messages name files whose names need not be printable
    _never_fail(sys.stderr)
    warnings.showwarning = _each_once()
    from nst_manual.cli.app import make_app
    from nst_manual.errors import NstError
    from nst_manual.machine import spare_addresses

    try:
        if not {"-h", "--help", "--version"} & set(arguments):
            spare_addresses()
        code = make_app()(arguments, standalone_mode=False)
        sys.stdout.flush()
        if code == 130:  # what typer makes of a KeyboardInterrupt
            return _fail(STOPPED, 130)
        return code if isinstance(code, int) else 0  # a number where help or the version was asked for
    except NstError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(STOPPED, 130)
    except MemoryError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return _fail(_out_of_memory(arguments, str(error)), 6)
    except (BrokenPipeError, SystemExit) as error:
        # whoever reads our output has had enough: click and rich make a SystemExit of it
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        # without this, closing stdout at exit would complain again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        # typer's own family of usage errors differs between its versions; they all have these two
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            return _fail(error.format_message(), error.exit_code)
        if "--debug" in arguments:
            traceback.print_exc()
        if any(words in str(error) for words in NO_MEMORY):
            return _fail(_out_of_memory(arguments, str(error)), 6)
        return _fail(f"{type(error).__name__}: {error} (run again with --debug for the traceback)", 1)


def _never_fail(stream: TextIO) -> None:
    """Let what cannot be written to a stream be lost: a terminal that is gone must not end a run of hours."""

    def forgiving(method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            with contextlib.suppress(OSError, ValueError):
                return method(*arguments)

        return called

    if "write" not in vars(stream):  # a second call of `main` finds it done
        stream.write, stream.flush = forgiving(stream.write), forgiving(stream.flush)


def _each_once() -> Callable[..., None]:
    """Return what prints a warning as one line, the same one once: a picture is read anew at every scale.

    Where in our code it was found tells the user nothing.
    """
    seen = set()

    def show(message: object, *where: object) -> None:
        line = "warning: " + " ".join(str(message).split())
        if line not in seen:
            seen.add(line)
            print(line, file=sys.stderr, flush=True)

    return show


def _out_of_memory(arguments: list[str], cause: str) -> str:
    """Return the message for memory that was asked for and not there."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    hint = "a smaller picture needs less"
    if command in ("run", "resume", "rerun"):
        hint += ", so does --optimizer adam; `nst-manual plan` with the same options says how much"
    return f"{command or 'memory'}: there is not enough memory{f', {cause}' if cause else ''} ({hint})"


def _fail(message: str, code: int) -> int:
    """Print the message as one line; without one, help was printed already."""
    if message:
        print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
