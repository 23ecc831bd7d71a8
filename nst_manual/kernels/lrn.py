"""Local response normalisation: a channel is divided by what its neighbours do at the same pixel.

A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks"
(NIPS 2012), section 3.3. For channel c, over the channels c' of a window around it that there are,

    s[c]  = k + alpha / size  sum x[c']^2              c' from c - size // 2 to c + (size - 1) // 2
    y[c]  = x[c] s[c]^-beta
    dx[c] = dy[c] s[c]^-beta - 2 alpha beta / size  x[c]  sum dy[c'] x[c'] s[c']^(-beta - 1)

where the last sum is over the c' whose window has c in it: the window turned round, which for even sizes is
another one. Differs from the paper in alpha / size (alpha there), as Caffe and PyTorch have it, and in the
window of even sizes, which is PyTorch's.
"""

from __future__ import annotations

from typing import Any

from nst_manual.backend import array_module


def forward(x: Any, size: int, alpha: float, beta: float, k: float, *, out: Any = None) -> tuple[Any, Any]:
    """Return y (N, H, W, C) for x (N, H, W, C), and s of the same shape, for the way back."""
    xp = array_module(x)
    s = _window_sum(xp, x * x, size // 2, (size - 1) // 2)
    s *= alpha / size
    s += k
    return xp.multiply(x, s**-beta, out=out), s


def input_gradient(x: Any, s: Any, dy: Any, size: int, alpha: float, beta: float, *, out: Any = None) -> Any:
    """Return dx (N, H, W, C) for dy, with the s that `forward` has returned."""
    xp = array_module(x)
    power = s**-beta
    others = _window_sum(xp, dy * x * power / s, (size - 1) // 2, size // 2)
    others *= x
    others *= 2 * alpha * beta / size
    dx = xp.multiply(dy, power, out=out)
    dx -= others
    return dx


def _window_sum(xp: Any, x: Any, before: int, after: int) -> Any:
    """Return, for each channel, the sum over those from `before` ahead of it to `after` behind it."""
    total = x.copy()
    channels = x.shape[-1]
    for step in range(1, min(before, channels - 1) + 1):
        total[..., step:] += x[..., :-step]
    for step in range(1, min(after, channels - 1) + 1):
        total[..., :-step] += x[..., step:]
    return total
