"""The two rich consoles of the command line."""

from __future__ import annotations

from rich.console import Console


def stdout() -> Console:
    """Return the console for results; in a pipe it is wide enough that tables are not folded."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    return console


def stderr() -> Console:
    """Return the console for progress."""
    return Console(stderr=True, highlight=False)
