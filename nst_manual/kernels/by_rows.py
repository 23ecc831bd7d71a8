"""What the algorithms that go from a source to a sink share: the same from array to array, and the gradients
of the parameters, of which style transfer has none.
"""

from __future__ import annotations

from typing import Any

from nst_manual.kernels import conv_matmul
from nst_manual.kernels.rows import forward_arrays, input_gradient_arrays
from nst_manual.kernels.window import Pair


class ByRows:
    """Base of an algorithm that has `supports`, `forward_rows` and `input_gradient_rows`."""

    parameter_gradients = staticmethod(conv_matmul.parameter_gradients)

    def forward(
        self,
        x: Any,
        w: Any,
        b: Any,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        *,
        out: Any = None,
    ) -> Any:
        """Return y (N, Ho, Wo, O) for x (N, H, W, C), w (kh, kw, C / groups, O), b (O,) or None."""
        return forward_arrays(self.forward_rows, x, w, b, (stride, padding, dilation, groups), out)

    def input_gradient(
        self,
        dy: Any,
        w: Any,
        x_shape: tuple[int, ...],
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        *,
        out: Any = None,
    ) -> Any:
        """Return dx (N, H, W, C) for dy (N, Ho, Wo, O)."""
        geometry = stride, padding, dilation, groups
        return input_gradient_arrays(self.input_gradient_rows, dy, w, x_shape, geometry, out)
