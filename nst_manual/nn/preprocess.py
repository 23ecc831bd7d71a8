"""From RGB pixels to what a network's weights expect; as a module, so that dx arrives in RGB pixels again."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import parallel
from nst_manual.kernels.rows import band_slices
from nst_manual.nn.module import Module
from nst_manual.store import Preprocessing

BAND_ROWS = 64


class Preprocess(Module):
    """y = (x[..., order] scale - mean) / std for images (N, H, W, 3), RGB, 0..255.

    Backward is dx = (dy scale / std)[..., order]: reversing the channels is its own inverse.

    Parameters
    ----------
    settings : Preprocessing
        Order, scale, mean and std of the weights.
    dtype : str
        Of the mean and scale, and so of what integers become.
    """

    has_buffers = True
    needs_input = needs_output = False

    def __init__(self, settings: Preprocessing, dtype: str = "float32") -> None:
        self.settings = settings
        self.step = -1 if settings.order == "BGR" else 1
        # one multiplication and one subtraction, both by channel
        self.factor = (settings.scale / np.asarray(settings.std, "float64")).astype(dtype)
        self.shift = (np.asarray(settings.mean, "float64") / settings.std).astype(dtype)

    def update_output(self, x: Any) -> Any:
        """Compute y."""
        self.expect_images(x, 3)
        y = self.buffer("output", x.shape, np.result_type(x.dtype, self.factor.dtype), x)

        def band(rows: slice) -> None:
            np.multiply(x[:, rows, :, :: self.step], self.factor, out=y[:, rows])
            y[:, rows] -= self.shift

        parallel(band, ((rows,) for rows in band_slices(x.shape[1], BAND_ROWS)))
        return y

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)

        def band(rows: slice) -> None:
            np.multiply(dy[:, rows], self.factor, out=dx[:, rows, :, :: self.step])

        parallel(band, ((rows,) for rows in band_slices(dy.shape[1], BAND_ROWS)))
        return dx

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.settings.order}, scale {self.settings.scale:g}, mean {self.settings.mean}"
