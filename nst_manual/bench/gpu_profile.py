"""Where the time of a GPU goes: events around every launch and every product, while a profile is open.

Not for normal runs: an event before and one behind each launch cost some microseconds. What CuPy does by
itself (sums, copies, arithmetic of whole arrays) is not seen one by one; it is what is left of the whole.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nst_manual import backend
from nst_manual.backend import array_module

GATHER, PRODUCT, FINISH, OWN, REST = (
    "gather, transform in",
    "product",
    "finish, transform out",
    "pointwise",
    "rest",
)
GROUPS = {
    "gather": GATHER,
    "columns": GATHER,
    "input_transform": GATHER,
    "finish_rows": FINISH,
    "output_transform": FINISH,
    "add_columns": FINISH,
}


@dataclass
class Profile:
    """What was launched.

    Attributes
    ----------
    multiplications : int
        Of all products, as they were asked for: with the borders of images and of tiles, and rows that are
        left out of the result.
    """

    multiplications: int = 0
    events: list[tuple[str, Any, Any, Any]] = field(default_factory=list)

    def timed(self, group: str, xp: Any, work: Callable[[], Any]) -> Any:
        """Return work(), between two events."""
        begin, end = xp.cuda.Event(), xp.cuda.Event()
        begin.record()
        result = work()
        end.record()
        self.events.append((group, xp, begin, end))
        return result

    def seconds(self, total: float | None = None) -> dict[str, float]:
        """Return group -> seconds, once the GPU is done; given those of the whole, the rest too."""
        backend.wait_for_gpu()
        found: dict[str, float] = defaultdict(float)
        for group, xp, begin, end in self.events:
            found[group] += xp.cuda.get_elapsed_time(begin, end) / 1000
        if total is not None:
            found[REST] = total - sum(found.values())
        return dict(found)

    def launches(self) -> dict[str, int]:
        """Return group -> number of launches."""
        found: dict[str, int] = defaultdict(int)
        for group, *_ in self.events:
            found[group] += 1
        return dict(found)


@contextmanager
def profile() -> Iterator[Profile]:
    """Time what our own code launches, in groups."""
    found = Profile()

    def product(a: Any, b: Any, out: Any, *rest: Any, **options: Any) -> None:
        found.multiplications += a.shape[0] * a.shape[1] * a.shape[2] * b.shape[2]
        found.timed(PRODUCT, array_module(a), lambda: real_product(a, b, out, *rest, **options))

    def gpu_functions(name: str, **defines: Any) -> Any:
        functions = real_functions(name, **defines)

        def function(name: str) -> Callable[..., None]:
            launch, group = functions(name), GROUPS.get(name, OWN)

            def timed(threads: int, *arguments: Any) -> None:
                found.timed(group, array_module(*arguments), lambda: launch(threads, *arguments))

            return timed

        return function

    def kernels(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*words: Any) -> Callable[..., Any]:
            kernel = make(*words)

            def timed(*arguments: Any, **options: Any) -> Any:
                xp = array_module(*arguments, *options.values())
                return found.timed(OWN, xp, lambda: kernel(*arguments, **options))

            return timed

        return made

    real_product, real_functions = backend.product, backend.gpu_functions
    places = {real_product: product, real_functions: gpu_functions}
    places |= {make: kernels(make) for make in (backend.elementwise, backend.reduction)}
    with replaced(places):
        yield found


@contextmanager
def replaced(functions: Mapping[Callable, Callable]) -> Iterator[None]:
    """Put functions in the place of others, in every module of the package that has them by a name."""
    places = [
        (module, name, value, new)
        for key, module in list(sys.modules.items())
        if key.partition(".")[0] == "nst_manual" and module is not None
        for name, value in list(vars(module).items())
        for old, new in functions.items()
        if value is old
    ]
    try:
        for module, name, _, new in places:
            setattr(module, name, new)
        yield
    finally:
        for module, name, value, _ in places:
            setattr(module, name, value)


@contextmanager
def counted_fetches() -> Iterator[list[int]]:
    """Count how often numbers are brought over from the GPU: a list of how many each time."""
    found: list[int] = []
    fetch = backend.numbers

    def numbers(values: Any) -> list[float]:
        values = list(values)
        if there := sum(backend.on_gpu(value) for value in values):
            found.append(there)
        return fetch(values)

    with replaced({fetch: numbers}):
        yield found
