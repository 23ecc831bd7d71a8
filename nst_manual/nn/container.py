"""What modules that are made of modules share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nst_manual.nn.module import Module


class Container(Module):
    """A module made of others: its loss, parameters and state are theirs together.

    Attributes
    ----------
    modules : list of Module
        Each with a name of its own.
    """

    modules: list[Module]
    _training = False

    @property
    def loss(self) -> float:  # type: ignore[override]
        """The sum of the modules' losses, of the last forward."""
        return sum(module.loss for module in self.modules)

    @property
    def training(self) -> bool:  # type: ignore[override]
        """Whether `backward` accumulates the gradients of the parameters; setting it sets all modules."""
        return self._training

    @training.setter
    def training(self, value: bool) -> None:
        self._training = value
        for module in self.modules:
            module.training = value

    def walk(self) -> Iterator[Module]:
        """Yield every module that is no container, in the order in which they run, those in branches too."""
        for module in self.modules:
            if isinstance(module, Container):
                yield from module.walk()
            else:
                yield module

    def parameters(self) -> list[tuple[str, Any, Any]]:
        """Return (module.parameter, values, gradient sum or None) of each parameter."""
        return [(f"{m.name}.{name}", *rest) for m in self.modules for name, *rest in m.parameters()]

    def zero_grad_parameters(self) -> None:
        """Set the gradient sums of all modules to zero."""
        for module in self.modules:
            module.zero_grad_parameters()

    def clear_state(self) -> None:
        """Free the buffers of all modules."""
        super().clear_state()
        for module in self.modules:
            module.clear_state()
