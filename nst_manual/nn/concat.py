"""Branches side by side: each sees the same input, and their outputs stand one behind the other in channels.

    y  = [branch 0 (x), branch 1 (x), ...]              along the last axis
    dx = sum over branches of their dx, each for its own channels of dy

C. Szegedy et al., "Going deeper with convolutions" (CVPR 2015), figure 2: what an inception block is made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nst_manual.backend import array_module
from nst_manual.errors import UsageError
from nst_manual.nn.container import Container
from nst_manual.nn.module import Module
from nst_manual.nn.sequential import located


class Concat(Container):
    """Outputs of several modules for one input, joined along the channels (the last axis).

    Loss modules may stand in the branches: `loss` is the sum of theirs, and their gradients are in dx.

    Parameters
    ----------
    *branches : Module
        Of outputs that agree in all but the channels. One without a name is called by its position.
    """

    has_buffers = True

    def __init__(self, *branches: Module) -> None:
        if not branches:
            raise UsageError("Concat", "expected at least one branch")
        self.modules = list(branches)
        for number, branch in enumerate(self.branches):
            branch.name = branch.name or f"branch{number}"
        self.widths: list[int] = []

    @property
    def branches(self) -> list[Module]:
        """The modules that stand side by side."""
        return self.modules

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (N, H, W, the branches' channels together)."""
        shapes = [branch.output_shape(x_shape) for branch in self.branches]
        return self._joined(shapes)

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        outputs = []
        for branch in self.branches:
            with located(branch):
                outputs.append(branch.update_output(x))
        shape = self._joined([output.shape for output in outputs])
        self.widths = [output.shape[-1] for output in outputs]
        y = self.buffer("output", shape, array_module(x).result_type(*outputs), x)
        for output, channels in self._channels(outputs):
            y[..., channels] = output
        return y

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        dx[...] = 0
        for branch, channels in self._channels(self.branches):
            with located(branch):
                # a copy: the kernels' rows are to be contiguous
                dx += branch.update_grad_input(x, dy[..., channels].copy())
        return dx

    def acc_grad_parameters(self, x: Any, dy: Any) -> None:
        """Let every branch add the gradients of its parameters; after `update_grad_input`."""
        for branch, channels in self._channels(self.branches):
            branch.acc_grad_parameters(x, dy[..., channels].copy())

    def _channels(self, items: list) -> Iterator[tuple[Any, slice]]:
        """Yield each item with its branch's channels of y."""
        begin = 0
        for item, width in zip(items, self.widths, strict=True):
            yield item, slice(begin, begin + width)
            begin += width

    def _joined(self, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
        first = shapes[0]
        for branch, shape in zip(self.branches, shapes, strict=True):
            if shape[:-1] != first[:-1]:
                raise self.shape_error(
                    "branches", f"{branch.name} has the output {shape}, {self.branches[0].name} {first}"
                )
        return (*first[:-1], sum(shape[-1] for shape in shapes))

    def __repr__(self) -> str:
        rows = (f"  {branch.name:12s} {branch!r}".replace("\n", "\n  ") for branch in self.branches)
        return "\n".join(["Concat(", *rows, ")"])
