"""From RGB pixels to what a network's weights expect; as a module, so that dx arrives in RGB pixels again."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_manual.backend import array_module
from nst_manual.kernels.bands import bands, run
from nst_manual.nn.constants import constants_beside
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

    buffers = (*Module.buffers, "brought")
    brought: Any = None
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
        factor, shift = constants_beside(self, x, self.factor, self.shift)
        xp = array_module(x)

        def band(rows: slice) -> None:
            xp.multiply(x[:, rows, :, :: self.step], factor, out=y[:, rows])
            y[:, rows] -= shift

        run(band, ((rows,) for rows in bands(x, x.shape[1], BAND_ROWS)), x)
        return y

    def update_grad_input(self, x: Any, dy: Any) -> Any:
        """Compute dx."""
        dx = self.buffer("grad_input", x.shape, dy.dtype, dy)
        factor, _ = constants_beside(self, dy, self.factor, self.shift)
        xp = array_module(dy)

        def band(rows: slice) -> None:
            xp.multiply(dy[:, rows], factor, out=dx[:, rows, :, :: self.step])

        run(band, ((rows,) for rows in bands(dy, dy.shape[1], BAND_ROWS)), dy)
        return dx

    def describe(self) -> str:
        """Return the settings."""
        return f"{self.settings.order}, scale {self.settings.scale:g}, mean {self.settings.mean}"
