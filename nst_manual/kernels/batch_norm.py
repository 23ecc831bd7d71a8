"""Batch normalisation as a trained network applies it, and how it is folded into the convolution before it.

S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
shift" (ICML 2015), section 3.1: at inference mean m and variance v of each channel are numbers that training
has left, so that it is a linear function of each channel by itself, with the learned g (gamma) and b (beta):

    a  = g / sqrt(v + eps)
    y  = a (x - m) + b             dx = a dy

A convolution before it does the same work at no cost: (x * w + c) a - m a + b = x * (w a) + ((c - m) a + b).
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module


def scale_and_shift(weight: Any, bias: Any, mean: Any, variance: Any, eps: float) -> tuple[Any, Any]:
    """Return a (C,) and b - m a (C,): y = a x + that."""
    scale = weight / array_module(variance).sqrt(variance + eps)
    return scale, bias - mean * scale


def forward(x: Any, scale: Any, shift: Any, *, out: Any = None) -> Any:
    """Return y (..., C) for x (..., C)."""
    y = array_module(x).multiply(x, scale, out=out)
    y += shift
    return y


def input_gradient(dy: Any, scale: Any, *, out: Any = None) -> Any:
    """Return dx (..., C)."""
    return array_module(dy).multiply(dy, scale, out=out)


def fold(w: Any, c: Any, scale: Any, shift: Any) -> tuple[Any, Any]:
    """Return kernel and bias of the convolution that also normalises.

    Parameters
    ----------
    w : array (kh, kw, C / groups, O)
    c : array (O,) or None
        The convolution's own bias.
    scale, shift : array (O,)
        Of `scale_and_shift`.
    """
    return w * scale, shift if c is None else c * scale + shift
