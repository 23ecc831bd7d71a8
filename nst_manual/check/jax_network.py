"""A network's table in JAX: the same rows and weights as functions of images, channels last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from nst_manual.config import ObjectiveConfig
from nst_manual.errors import UsageError
from nst_manual.nets import get_network, rows
from nst_manual.nets.sizes import output_size
from nst_manual.nn import configured_weights
from nst_manual.store import default_network

LAYOUT = ("NHWC", "HWIO", "NHWC")  # of images, kernels, outputs
Parameters = Mapping[str, tuple[Any, Any]]


def import_jax() -> Any:
    """Return the module `jax`; raise `UsageError` where it is not installed, or does not fit its library."""
    try:
        import jax
        import jax.numpy  # noqa: F401 - `jax.numpy` and `jax.lax` are reached through `jax`
    except ImportError as error:
        raise UsageError("jax", "JAX is not installed", 'pip install "jax[cpu]"') from error
    except RuntimeError as error:  # so it reports a jaxlib of another version
        raise UsageError("jax", f"cannot be used, {error}", 'pip install --upgrade "jax[cpu]"') from error
    return jax


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Let JAX compute in that type, on the processor, inside the context only.

    JAX makes float32 of float64 unless told otherwise. The switch is for the whole program; here it is turned
    for the thread and the time of the context, and nobody else's arrays change.
    """
    jax = import_jax()
    if hasattr(jax, "enable_x64"):
        enable = jax.enable_x64
    else:  # before JAX 0.8
        from jax.experimental import enable_x64 as enable
    with enable(dtype == "float64"), jax.default_device(jax.devices("cpu")[0]):
        yield


class JaxNetwork:
    """A network up to the last of some layers; its methods are called inside `precision(config.dtype)`.

    Parameters
    ----------
    config : ObjectiveConfig
        Network, weights, seed, pooling, dtype, and the scale of pixels of its preset.
    layers : list of str
        Whose outputs `features` returns.

    Attributes
    ----------
    rows : tuple of Row
    parameters : dict
        Layer name -> kernel (kh, kw, C / groups, O) and bias (O,).
    note : str
        Which weights were taken.

    Raises
    ------
    UsageError
        JAX is not installed; unknown network or layer.
    WeightsError
        The weights cannot be read.
    """

    def __init__(self, config: ObjectiveConfig, layers: list[str]) -> None:
        self.jax = jax = import_jax()
        self.layers = frozenset(layers)
        self.dtype = config.dtype
        self.pooling = config.chosen("pooling")
        network = get_network(config.network or default_network()[0]).covering(layers)
        self.rows = network.rows
        weights = configured_weights(config, network)
        self.note = f"{network.name}, weights {weights.source}"
        first = weights.preprocessing
        std = np.asarray(first.std)
        self.step = -1 if first.order == "BGR" else 1
        self.factor = (first.scale / std).astype(config.dtype)
        self.shift = (np.asarray(first.mean) / std).astype(config.dtype)
        with precision(config.dtype):
            self.parameters = {
                name: tuple(jax.numpy.asarray(array) for array in arrays)
                for name, arrays in weights.arrays.items()
            }

    def preprocess(self, x: Any) -> Any:
        """Return what the weights expect of pixels (1, H, W, 3), RGB, 0..255."""
        return x[..., :: self.step] * self.factor - self.shift

    def features(self, parameters: Parameters, x: Any) -> dict[str, Any]:
        """Return layer name -> output (1, H, W, C), for a preprocessed image.

        The parameters are an argument so that a compiled function takes them as such: as constants inside,
        the compiler would try to compute with them.
        """
        apply = partial(self.apply, parameters=parameters)
        passed = rows.follow(self.rows, x, apply, lambda row, ends: self.join(ends))
        return {row.name: y for row, y in passed if row.name in self.layers}

    def join(self, ends: list[Any]) -> Any:
        """Return the outputs of branches (N, H, W, C), one behind the other in channels."""
        return self.jax.numpy.concatenate(ends, axis=-1)

    def apply(self, row: rows.Row, x: Any, parameters: Parameters) -> Any:
        """Return the output of one row."""
        match row:
            case rows.Conv():
                w, b = parameters[row.name]
                return self._convolve(row, x, w) + b
            case rows.ReLU():
                return self.jax.nn.relu(x)  # its derivative at 0 is 0, that of jnp.maximum 1/2
            case rows.LRN():
                return self._normalise(row, x)
            case rows.MaxPool():
                return self._pool(row, x)
        raise UsageError(row.name, f"{type(row).__name__} has no counterpart in JAX here")

    def _normalise(self, row: rows.LRN, x: Any) -> Any:
        """Divide by the window's sum of squares over channels (the last axis)."""
        window, around = (1, 1, 1, row.size), (row.size // 2, (row.size - 1) // 2)
        padding = ((0, 0), (0, 0), (0, 0), around)
        lax = self.jax.lax
        total = lax.reduce_window(x * x, 0.0, lax.add, window, (1, 1, 1, 1), padding)
        return x * (row.k + row.alpha / row.size * total) ** -row.beta

    def _convolve(self, row: rows.Conv, x: Any, w: Any) -> Any:
        lax = self.jax.lax
        return lax.conv_general_dilated(
            x,
            w,
            window_strides=(row.stride,) * 2,
            padding=((row.padding,) * 2,) * 2,
            rhs_dilation=(row.dilation,) * 2,
            dimension_numbers=LAYOUT,
            feature_group_count=row.groups,
            precision=lax.Precision.HIGHEST,  # elsewhere than on the processor it may be bfloat16
        )

    def _pool(self, row: rows.MaxPool, x: Any) -> Any:
        """Return the maximum or the average over windows.

        `reduce_window` knows no ceil mode: what the last windows hang over is padded too. An average divides
        by the positions that lie in the image or its padding, as PyTorch's does.
        """
        lax, jnp = self.jax.lax, self.jax.numpy
        k, s, p = row.kernel_size, row.stride, row.padding
        ceil_mode = row.ceil_mode or self.pooling == "max-ceil"
        extra = [_overhang(side, k, s, p, ceil_mode) for side in x.shape[1:3]]
        windows = {"window_dimensions": (1, k, k, 1), "window_strides": (1, s, s, 1)}
        beyond = ((0, 0), (0, extra[0]), (0, extra[1]), (0, 0))
        around = ((0, 0), *((p, p + more) for more in extra), (0, 0))
        if self.pooling != "average":
            return lax.reduce_window(x, -np.inf, lax.max, padding=around, **windows)
        sums = lax.reduce_window(x, 0.0, lax.add, padding=around, **windows)
        inside = jnp.ones((1, x.shape[1] + 2 * p, x.shape[2] + 2 * p, 1), x.dtype)
        return sums / lax.reduce_window(inside, 0.0, lax.add, padding=beyond, **windows)


def _overhang(side: int, k: int, s: int, p: int, ceil_mode: bool) -> int:
    """Return how far the last window reaches behind the padded image."""
    if not ceil_mode:
        return 0  # windows that do not fit are left out
    return max(0, (output_size(side, k, s, p, 1, True) - 1) * s + k - side - 2 * p)
