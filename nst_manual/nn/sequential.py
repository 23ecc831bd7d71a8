"""Modules in a row: the network. One backward pass, however many losses stand in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from nst_manual.errors import ShapeError, UsageError, unknown_name
from nst_manual.nn.container import Container
from nst_manual.nn.module import Module


class Sequential(Container):
    """Modules applied one after the other.

        x -> [0] -> [1] -> ... -> y          forward: the output of each is the input of the next
        dx <- [0] <- [1] <- ... <- dy        backward: the grad_input of each is the dy of the one before

    A loss module among them adds its own gradient to the dy that passes, so a backward pass that starts with
    dy = 0 arrives at the image with the gradient of `loss`, the sum over all modules.

    Between forward and backward the buffers of the modules belong to the network: whoever runs a single
    module of it on other arrays in between runs `forward` of the network again.

    Parameters
    ----------
    *modules : Module
        A module without a name is called by its kind and position.
    """

    # (module, dx), called on the way back: to find where something goes wrong
    watch: Callable[[Module, Any], None] | None = None

    def __init__(self, *modules: Module) -> None:
        self.modules: list[Module] = []
        for module in modules:
            self.append(module)

    # -- the list --------------------------------------------------------------------------------------------

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        self._insert(len(self.modules), module)

    def insert_after(self, name: str, module: Module) -> None:
        """Insert a module behind the one called `name`, here or in a branch.

        Raises
        ------
        UsageError
            There is no module of that name; the message lists those there are.
        """
        home = self._home(name)
        home._insert(home.names.index(name) + 1, module)
        self._input = None

    def insert_first(self, module: Module) -> None:
        """Insert a module in front of all others."""
        self._insert(0, module)

    def _insert(self, index: int, module: Module) -> None:
        names = self.names
        if module.name in names:
            raise UsageError("module name", f"{module.name!r} stands in the network already")
        if not module.name:
            kind = type(module).__name__.lower()
            module.name = next(name for n in count(index) if (name := f"{kind}{n}") not in names)
        if self.training:
            module.training = True
        self.modules.insert(index, module)
        self._input = None  # what the modules hold is no longer this network's

    @property
    def names(self) -> list[str]:
        """The names of the modules, in order."""
        return [module.name for module in self.modules]

    def index(self, name: str) -> int:
        """Return the position of the module called `name`, or of the one in whose branches it stands."""
        for index, module in enumerate(self.modules):
            if module.name == name or any(name in line.names for line in _lines(module)):
                return index
        raise unknown_name("layer", name, self._all_names())

    def _home(self, name: str) -> Sequential:
        """Return the row of modules, this one or a branch, in which the one called `name` stands."""
        lines = (line for line in _lines(self) if name in line.names)
        if (home := next(lines, None)) is None:
            raise unknown_name("layer", name, self._all_names())
        return home

    def _all_names(self) -> list[str]:
        return [name for line in _lines(self) for name in line.names]

    def upto(self, name: str) -> Sequential:
        """Return the modules up to the one called `name`, or whose branches it stands in.

        The modules are the same, their containers new: what is inserted there is not inserted here.
        """
        return Sequential(*map(_copied, self.modules[: self.index(name) + 1]))

    def __getitem__(self, key: int | str) -> Module:
        """Return a module by its position, or by its name, also from a branch."""
        if isinstance(key, str):
            home = self._home(key)
            return home.modules[home.names.index(key)]
        return self.modules[key]

    def __iter__(self) -> Iterator[Module]:
        return iter(self.modules)

    def __len__(self) -> int:
        return len(self.modules)

    # -- forward and backward --------------------------------------------------------------------------------

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape behind the last module."""
        for module in self.modules:
            x_shape = module.output_shape(x_shape)
        return x_shape

    def update_output(self, x: Any) -> Any:
        """Compute y; the modules' outputs stay in their buffers for the way back."""
        for module in self.modules:
            with located(module):
                x = module.update_output(x)
        self.output = x
        return x

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx."""
        inputs = self._inputs(x)
        for index in reversed(range(len(self.modules))):
            dy = self.step_back(index, inputs[index], dy)
        self.grad_input = dy
        return dy

    def step_back(self, index: int, x: Any, dy: Any) -> Any:
        """Return dx of one module, and show it to `watch`."""
        module = self.modules[index]
        with located(module):
            dx = module.update_grad_input(x, dy)
        if self.watch is not None:
            self.watch(module, dx)
        return dx

    def acc_grad_parameters(self, x: Any, dy: Any) -> None:
        """Let every module add the gradients of its parameters; after `update_grad_input`."""
        upstream = [*(module.grad_input for module in self.modules), dy][1:]
        for module, inputs, dy in zip(self.modules, self._inputs(x), upstream, strict=True):
            module.acc_grad_parameters(inputs, dy)

    def _inputs(self, x: Any) -> list[Any]:
        """Return each module's input: x, and the outputs of all but the last."""
        return [x, *(module.output for module in self.modules[:-1])][: len(self.modules)]

    def algorithms(self, x_shape: tuple[int, ...], dtype: Any) -> dict[str, str]:
        """Return convolution -> the algorithm that an input of that shape and type would be computed with."""
        found = {}
        for module in self.modules:
            first = module.parts[0] if hasattr(module, "parts") else module
            if hasattr(first, "algorithm_for"):
                found[first.name] = first.algorithm_for(x_shape, dtype)
            if isinstance(module, Container):
                lines = [module] if isinstance(module, Sequential) else module.modules
                for line in lines:
                    found |= line.algorithms(x_shape, dtype) if isinstance(line, Sequential) else {}
            x_shape = module.output_shape(x_shape)
        return found

    def __repr__(self) -> str:
        rows = (f"  {module.name:12s} {module!r}" for module in self.modules)
        return "\n".join(["Sequential(", *rows, ")"])


def _lines(module: Module) -> Iterator[Sequential]:
    """Yield the rows of modules that a module is or holds."""
    if isinstance(module, Sequential):
        yield module
    for inner in module.modules if isinstance(module, Container) else ():
        yield from _lines(inner)


def _copied(module: Module) -> Module:
    """Return a module; of a container another one, with the same modules."""
    if not isinstance(module, Container):
        return module
    copy = type(module)(*map(_copied, module.modules))
    copy.name = module.name
    return copy


@contextmanager
def located(module: Module) -> Iterator[None]:
    """Put the layer's name in front of a `ShapeError` from inside."""
    try:
        yield
    except ShapeError as error:
        raise ShapeError(f"{module.name}, {error.what}", error.cause, error.hint) from error
