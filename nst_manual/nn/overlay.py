"""What the optimiser moves, and what of it is seen: a picture laid over another, each pixel by its share.

    y = f x + a              f, a (H, W, 1 or 3), the same for all images
    dx = f dy

    pixels left as they are      f = 1 - m,    a = m c        m a mask of 0..1, c the photograph
    a glaze over a drawing       f = d / 255,  a = 0          d the drawing's luminance: its lines stay black

Stands at the very front of a network, so that the losses see the picture, and the gradient is that of what
the optimiser moves.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module
from nst_manual.nn.constants import constants_beside
from nst_manual.nn.module import Module


class Overlay(Module):
    """y = f x + a for images (N, H, W, 3).

    Parameters
    ----------
    factor, offset : array (H, W, 1) or (H, W, 3)

    Attributes
    ----------
    removed : bool
        Hand on x itself: to measure a picture that is finished.

    Raises
    ------
    ShapeError
        The two are no such arrays, or of different sizes.
    """

    buffers = (*Module.buffers, "brought")
    brought: Any = None
    has_buffers = True
    needs_input = needs_output = False
    removed = False

    def __init__(self, factor: Any, offset: Any) -> None:
        for what, array in (("factor", factor), ("offset", offset)):
            if array.ndim != 3 or array.shape[2] not in (1, 3) or array.shape[:2] != factor.shape[:2]:
                raise self.shape_error(what, f"expected (H, W, 1 or 3) of one size, got {array.shape}")
        self.factor, self.offset = factor, offset

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self.expect_images(x, 3)
        if x.shape[1:3] != self.factor.shape[:2]:
            size = " x ".join(map(str, self.factor.shape[:2]))
            raise self.shape_error("input", f"expected {size} pixels, got shape {x.shape}")
        y = self.buffer("output", x.shape, x.dtype, x)
        if self.removed:
            y[...] = x
            return y
        factor, offset = constants_beside(self, x, self.factor, self.offset)
        array_module(x).multiply(x, factor.astype(x.real.dtype, copy=False), out=y)
        y += offset.astype(x.real.dtype, copy=False)
        return y

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        if self.removed:
            dx[...] = dy
            return dx
        factor, _ = constants_beside(self, dy, self.factor, self.offset)
        return array_module(dy).multiply(dy, factor.astype(dy.real.dtype, copy=False), out=dx)

    def describe(self) -> str:
        """Return the size."""
        return " x ".join(map(str, self.factor.shape[:2]))
