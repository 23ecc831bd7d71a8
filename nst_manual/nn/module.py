"""What every module is: Lua Torch's protocol, spelled as Python spells it.

    output     = module.update_output(x)
    grad_input = module.update_grad_input(x, dy)
    module.acc_grad_parameters(x, dy)              only training calls it

Results of these three are buffers of the module (`output`, `grad_input`), overwritten by its next call: a
container can run a thousand iterations without allocating. `forward` and `backward` are the same for people:
they return arrays that are the caller's own, and `backward` runs `forward` again if it was last given another
x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import array_module, on_gpu
from nst_manual.errors import ShapeError


class Module:
    """Base of all modules; on its own, the identity.

    Attributes
    ----------
    name : str
        What messages, losses and weight files call it.
    training : bool
        Whether `backward` accumulates the gradients of the parameters.
    output, grad_input : array or None
        Buffers with the last results.
    loss : float
        What the module adds to the objective; 0 for all but loss modules.
    """

    name = ""
    training = False
    loss = 0.0
    # arrays that `clear_state` lets go of; a subclass adds its own
    buffers: tuple[str, ...] = ("output", "grad_input")

    # what a network that shares memory between its modules has to know (`nst_manual.nn.plan`): whether all
    # that the module hands on lies in buffers named "output" and "grad_input"; whether it is an identity that
    # adds to dy instead; whether its way back reads its input, its output
    has_buffers = False
    passes_through = False
    needs_input = True
    needs_output = True

    output: Any = None
    grad_input: Any = None
    # name -> the array that the network has for a buffer, while a pass of that network lasts
    planned: dict[str, Any] | None = None
    # name -> the array that the module has made; `output` and the like may be the network's, or another's
    _made: dict[str, Any] | None = None
    _input: Any = None

    def forward(self, x: Any) -> Any:
        """Return the output for x; the array is the caller's own.

        Raises
        ------
        ShapeError
            x does not fit the module.
        """
        self._input = x
        return self.update_output(as_float(x)).copy()

    def backward(self, x: Any, dy: Any) -> Any:
        """Return dx, the gradient with respect to x of <output, dy>; when training, accumulate those of the
        parameters.

        Parameters
        ----------
        x : array
            The input of the last `forward`, unchanged since. Given another array, the module runs forward
            first.
        dy : array
            Upstream gradient, shaped as the output.
        """
        if x is not self._input:
            self.forward(x)
        x, dy = as_float(x), as_float(dy)
        if self.output is not None and dy.shape != self.output.shape:
            raise self.shape_error("upstream gradient", f"expected shape {self.output.shape}, got {dy.shape}")
        dx = self.update_grad_input(x, dy)
        if self.training:
            self.acc_grad_parameters(x, dy)
        return dx.copy()

    def update_output(self, x: Any) -> Any:
        """Compute and return `output` for x."""
        self.output = x
        return self.output

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute and return `grad_input` for the x of the last `update_output`."""
        self.grad_input = dy
        return self.grad_input

    def acc_grad_parameters(self, x: Any, dy: Any) -> None:
        """Add the gradients of the parameters to their sums; nothing to do without parameters."""

    def parameters(self) -> list[tuple[str, Any, Any]]:
        """Return (name, values, gradient sum or None) of each parameter."""
        return []

    def zero_grad_parameters(self) -> None:
        """Set the gradient sums of the parameters to zero."""

    def clear_state(self) -> None:
        """Free the buffers; the next forward makes them anew."""
        self._input = self._made = None
        for name in self.buffers:
            setattr(self, name, None)

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any, like: Any) -> Any:
        """Return the named buffer, the network's or the module's own, made anew unless shape and type fit.

        Its values are undefined; a new one lives where `like` does.
        """
        if self._made is None:
            self._made = {}
        for arrays in (self.planned or {}, self._made):
            array = arrays.get(name)
            fits = array is not None and array.shape == tuple(shape) and array.dtype == dtype
            if fits and on_gpu(array) == on_gpu(like):
                break
        else:
            array = self._made[name] = array_module(like).empty(shape, dtype)
        setattr(self, name, array)
        return array

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the output for an input of that shape."""
        return x_shape

    def shape_error(self, what: str, cause: str) -> ShapeError:
        """Return a `ShapeError` that begins with the kind of module."""
        return ShapeError(f"{type(self).__name__}, {what}", cause)

    def expect_images(self, x: Any, channels: int | None = None) -> None:
        """Raise `ShapeError` unless x is (N, H, W, C), with that many channels."""
        if x.ndim != 4:
            raise self.shape_error("input", f"expected (N, H, W, C), got shape {x.shape}")
        if channels is not None and x.shape[3] != channels:
            raise self.shape_error("input", f"expected {channels} channels (last axis), got shape {x.shape}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def describe(self) -> str:
        """Return the module's settings as its constructor takes them."""
        return ""


def as_float(x: Any) -> Any:
    """Return x as floats: itself, or float32 for integers (pixels) and float64 for lists of numbers."""
    if not hasattr(x, "dtype"):
        x = np.asarray(x, dtype=float)
    return x if x.dtype.kind in "fc" else x.astype("float32")
