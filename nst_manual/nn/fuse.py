"""The fast form of a network: neighbours fused, memory shared. The plain list of modules stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nst_manual.backend import array_module
from nst_manual.errors import UsageError
from nst_manual.nn.concat import Concat
from nst_manual.nn.conv2d import Conv2d
from nst_manual.nn.fused_conv2d import FusedConv2d, can_pool
from nst_manual.nn.module import Module
from nst_manual.nn.plan import Plan, make_plan
from nst_manual.nn.relu import ReLU
from nst_manual.nn.sequential import Sequential


def fuse(network: Sequential) -> Fused:
    """Return the network with each `Conv2d`, the `ReLU` behind it and the 2x2 pooling behind that as one.

    Where another module stands between them - a loss that wants to see the convolution's output - they stay
    apart. The new network uses the modules of the old one, their parameters included; losses are read off
    either. It computes the same, to rounding, and cannot be trained.

    Nor can the old network any more where the new one has run and keeps weights prepared: their arrays are
    read-only then (`FusedConv2d`). Train first, or give the network that is to be trained copies of them.

    Raises
    ------
    UsageError
        The network is training.
    """
    if network.training:
        raise UsageError("training", "a fused network has frozen weights; set training to False first")
    modules: list[Module] = []
    left = list(network)
    while left:
        module = left.pop(0)
        if isinstance(module, Conv2d):
            relu = left.pop(0) if left and type(left[0]) is ReLU else None
            pool = left.pop(0) if left and can_pool(left[0]) else None
            module = FusedConv2d(module, relu, pool)
        elif isinstance(module, Concat):
            module = _with_fused_branches(module)
        modules.append(module)
    return Fused(*modules)


def _with_fused_branches(block: Concat) -> Concat:
    """Return the branches side by side, each of them fused, with a plan of its own."""
    branches = []
    for branch in block.branches:
        fused = fuse(branch if isinstance(branch, Sequential) else Sequential(branch))
        fused.name = branch.name
        branches.append(fused)
    found = Concat(*branches)
    found.name = block.name
    return found


class Fused(Sequential):
    """A `Sequential` whose modules share memory by a plan (`nst_manual.nn.plan`), and add losses in place.

    Outputs are there only as long as something reads them: between a pass forward and the way back, those
    that losses look at; afterwards none.
    """

    plan: Plan | None = None

    def __init__(self, *modules: Module) -> None:
        super().__init__(*modules)
        self._memory: Any = None
        self._planned: dict[Module, dict[str, Any]] = {}  # what `planned` of each module is during a pass
        self._key: Any = None
        self._top: Any = None
        self._spent = True

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self._arrange(x)
        self._spent = True  # a pass that fails leaves nothing for the way back
        with self._lent():
            y = super().update_output(x)
        self._spent = False
        return y

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx; the way back consumes what the pass forward left, and a second one needs another."""
        if self._spent or self._key != self._key_for(x):
            self.update_output(x)
        self._spent = True
        # losses add to dy in place, also behind a last module that only hands it on: not to the caller's
        if self._top is None or self._top.shape != dy.shape or self._top.dtype != dy.dtype:
            self._top = array_module(dy).empty(dy.shape, dy.dtype)
        self._top[...] = dy
        dy = self._top
        remade = self.plan.remade if self.plan else {}
        inputs = self._inputs(x)
        with self._lent():
            for index in reversed(range(len(self.modules))):
                if index in remade:
                    again = remade[index]
                    self.modules[again].update_output(inputs[again])
                dy = self.step_back(index, inputs[index], dy)
        self.grad_input = dy
        return dy

    @contextmanager
    def _lent(self) -> Iterator[None]:
        """Lend the modules their places in the shared memory, and let losses add to dy itself.

        For one way only: the plain list and other networks may have the same modules, and know no plan; there
        dy may be the caller's.
        """
        try:
            for module in self.modules:
                module.planned = self._planned.get(module)
                if module.passes_through:
                    module.in_place = True
            yield
        finally:
            for module in self.modules:
                module.planned = None
                if module.passes_through:
                    module.in_place = False

    def _key_for(self, x: Any) -> tuple[Any, ...]:
        """Return all that the plan for an input depends on."""
        return x.shape, x.dtype, {value.dtype for _, value, _ in self.parameters()}, [*self.modules]

    def _arrange(self, x: Any) -> None:
        """Plan the memory for an input like x, unless the plan there is fits."""
        key = self._key_for(x)
        if key == self._key:
            return
        self._release()  # also, half done is not done
        known = all(module.has_buffers or module.passes_through for module in self.modules)
        if known and key[2] <= {x.dtype} and x.dtype.kind == "f":
            self.plan = make_plan(self.modules, x.shape, x.dtype)
            self._memory = memory = array_module(x).empty(self.plan.bytes, np.uint8)
            self._planned = {module: {} for module in self.modules}
            for module in self.plan.keeps:
                self._planned[module]["keep"] = True
            for buffer in self.plan.buffers:
                size = int(np.prod(buffer.shape)) * buffer.dtype.itemsize
                array = memory[buffer.offset : buffer.offset + size].view(buffer.dtype).reshape(buffer.shape)
                self._planned[buffer.module][buffer.name] = array
        self._key = key

    def _release(self) -> None:
        self._memory = self._key = self._top = self.plan = None
        self._planned = {}

    def clear_state(self) -> None:
        """Free the memory."""
        super().clear_state()
        self._release()
        self._spent = True
