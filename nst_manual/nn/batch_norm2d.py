"""Batch normalisation of a trained network; the formulas stand in `nst_manual.kernels.batch_norm`."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.errors import UsageError
from nst_manual.kernels import batch_norm
from nst_manual.nn.constants import constants_beside
from nst_manual.nn.conv2d import Conv2d
from nst_manual.nn.module import Module
from nst_manual.options import whole


class BatchNorm2d(Module):
    """Each channel of images (N, H, W, C), shifted and scaled by what training has left; at inference alone.

    Parameters
    ----------
    num_features : int
        C.
    eps : float
        Added to the variance.
    dtype : str

    Attributes
    ----------
    weight, bias, running_mean, running_var : array (C,)
        As PyTorch names them: gamma, beta, and the statistics. 1, 0, 0 and 1 until they are set.
    """

    buffers = (*Module.buffers, "brought")
    brought: Any = None
    has_buffers = True
    needs_input = needs_output = False

    def __init__(self, num_features: int, eps: float = 1e-5, *, dtype: str = "float32") -> None:
        whole(1)("num_features", num_features)
        if not eps > 0:
            raise UsageError("eps", f"expected a number above 0, got {eps!r}")
        self.num_features, self.eps = num_features, float(eps)
        self.weight, self.running_var = np.ones(num_features, dtype), np.ones(num_features, dtype)
        self.bias, self.running_mean = np.zeros(num_features, dtype), np.zeros(num_features, dtype)

    def scale_and_shift(self, like: Any = None) -> tuple[Any, Any]:
        """Return a and b - m a, both (C,), where `like` lives; without, where the parameters do."""
        values = self.weight, self.bias, self.running_mean, self.running_var
        for name, value in zip(("weight", "bias", "running_mean", "running_var"), values, strict=True):
            if value.shape != (self.num_features,):
                raise self.shape_error(name, f"expected shape {(self.num_features,)}, got {value.shape}")
        return batch_norm.scale_and_shift(*constants_beside(self, like, *values), self.eps)

    def folded_into(self, conv: Conv2d) -> Conv2d:
        """Return a convolution that does what `conv` and this module do one after the other.

        Raises
        ------
        ShapeError
            The convolution has another number of output channels.
        """
        if conv.out_channels != self.num_features:
            raise self.shape_error(
                "convolution", f"expected {self.num_features} channels, got {conv.out_channels}"
            )
        folded = Conv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            *conv.geometry,
            parameters=batch_norm.fold(conv.weight, conv.bias, *self.scale_and_shift()),
            algorithm=conv.algorithm,
        )
        folded.name = conv.name
        return folded

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self.expect_images(x, self.num_features)
        scale, shift = self.scale_and_shift(x)
        y = self.buffer("output", x.shape, np.result_type(x.dtype, scale.dtype), x)
        return batch_norm.forward(x, scale, shift, out=y)

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx."""
        scale = self.scale_and_shift(dy)[0]
        dx = self.buffer("grad_input", dy.shape, np.result_type(dy.dtype, scale.dtype), dy)
        return batch_norm.input_gradient(dy, scale, out=dx)

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.num_features}, eps={self.eps:g}"
