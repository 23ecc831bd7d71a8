"""What an exercise is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Relative error up to which float64 sums of this size are right in any order; float32 is worse by far.
BOUND = 1e-9


@dataclass(frozen=True)
class Expected:
    """One result, and what it would be with known mistakes.

    Attributes
    ----------
    value : array of float64, float, or list of float
    name : str
        Of one of several results.
    alternatives : dict of str to array or callable
        What known mistakes would give, by what to say of them.
    factors : dict of str to float
        Numbers of the computation that may be forgotten or applied twice, by name.
    shapes : dict of shape to str
        What to say of wrong shapes.
    by_image : bool
        The first axis of an array (N, rows, columns) counts images: places are told within one of them.
    """

    value: Any
    name: str = ""
    alternatives: Mapping[str, Any] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    shapes: Mapping[tuple[int, ...], str] = field(default_factory=dict)
    by_image: bool = False


@dataclass(frozen=True)
class Case:
    """One call of a function of the student's.

    Attributes
    ----------
    function : str
        Its name in the file; a class is called too.
    arguments : dict
        By name, passed by position.
    results : tuple of Expected
        Several where the function returns a tuple.
    note : str
        What is particular about these arguments.
    run : callable, optional
        Called as ``run(function, *arguments)`` in place of ``function(*arguments)``.
    """

    function: str
    arguments: Mapping[str, Any]
    results: tuple[Expected, ...]
    note: str = ""
    run: Callable[..., Any] | None = None

    def __str__(self) -> str:
        """Return what is tried, in words."""
        said = [words for name, value in self.arguments.items() if (words := _words(name, value))]
        return ", ".join(said) + (f"; {self.note}" if self.note else "")


def _words(name: str, value: Any) -> str:
    """Return an argument in words; nothing of a function."""
    if isinstance(value, np.ndarray):
        return f"{name} {value.shape}"
    if isinstance(value, list):
        return f"{name} a list of {len(value)}"
    return "" if callable(value) else f"{name} {value}"


def normal(seed: int, *shape: int) -> np.ndarray:
    """Return random numbers of an array of that shape: for values and for upstream gradients."""
    return np.random.default_rng(seed).standard_normal(shape)


def scaled(value: Any, factors: Mapping[str, float]) -> dict[str, Any]:
    """Return what would be said of the value times each factor, for `Expected.alternatives`."""
    return {words: value * factor for words, factor in factors.items()}
