"""Random weights: for trying networks whose files are not at hand, and for tests."""

from __future__ import annotations

import math

import numpy as np

from nst_manual.errors import UsageError
from nst_manual.nets.preprocessing import CAFFE_BGR
from nst_manual.store.form import Shapes, Weights


def random_weights(shapes: Shapes, seed: int = 0, dtype: str | np.dtype = "float32") -> Weights:
    """Draw weights that keep the variance of a ReLU network's activations.

        w ~ normal(0, 2 / (kh kw in)),  b = 0        (He et al. 2015, arXiv:1502.01852, equation 10)

    Every layer is drawn from a generator of its own, seeded by `seed` and the layer's name, so that leaving
    layers off does not change the others; and in float32, so that float64 gives the same network.

    Parameters
    ----------
    shapes : mapping
        Layer name -> (shape of the kernel (kh, kw, in / groups, out) or matrix (in, out), shape of the bias
        (out,)).
    seed : int
        Not negative.
    dtype : str or numpy.dtype
        Of the arrays returned.

    Raises
    ------
    UsageError
        The seed is negative.
    """
    if seed < 0:
        raise UsageError("seed", f"expected 0 or more, got {seed}")
    arrays = {}
    for name, (kernel_shape, bias_shape) in shapes.items():
        generator = np.random.default_rng([seed, *name.encode()])
        kernel = generator.standard_normal(kernel_shape, dtype=np.float32)
        kernel *= np.float32(math.sqrt(2.0 / math.prod(kernel_shape[:-1])))
        arrays[name] = (kernel.astype(dtype, copy=False), np.zeros(bias_shape, dtype))
    return Weights(arrays, CAFFE_BGR, f"random (He, seed {seed})", None)
