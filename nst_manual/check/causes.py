"""What known mistakes would have returned in place of the gradient, by the words to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nst_manual.check.diagnosis import relative_error
from nst_manual.check.subject import Subject


def known_mistakes(
    subject: Subject, expected: np.ndarray
) -> dict[str, np.ndarray | Callable[[], np.ndarray]]:
    """Return wrong gradients by the mistakes that make them.

    Parameters
    ----------
    subject : Subject
    expected : array
        The right gradient.
    """
    has_loss = bool(subject.loss())

    mistakes: dict[str, Any] = {}
    if subject.y.shape == subject.x.shape and not has_loss:
        mistakes["it is dy as it came: the derivative of forward is not applied to it"] = subject.dy
    mistakes["the upstream gradient dy is not used: this is the gradient for an upstream of ones"] = lambda: (
        subject.gradient(np.ones(subject.y.shape))
    )
    if has_loss:
        mistakes |= {
            "the gradient of the loss is not added: only what came from above passes": lambda: (
                expected - subject.gradient(np.zeros(subject.y.shape))
            ),
            "the gradient of the loss takes the place of dy, it is to be added to it": lambda: (
                subject.gradient(np.zeros(subject.y.shape))
            ),
            "the gradient of the loss is subtracted, it is to be added": lambda: (
                expected - 2 * subject.gradient(np.zeros(subject.y.shape))
            ),
        }
    return mistakes | _of_convolution(subject.module, subject, expected)


def own_part(subject: Subject) -> np.ndarray:
    """Return the gradient of the loss alone."""
    return subject.gradient(np.zeros(subject.y.shape))


def by_parts(subject: Subject, dx: np.ndarray, expected: np.ndarray, bound: float) -> str:
    """Say which part of a wrong gradient is right: for symmetric dy, for dy alone, for the loss alone."""
    shape = subject.y.shape
    if len(shape) > 1 and shape[-1] == shape[-2] and shape != subject.x.shape:
        symmetric = subject.dy + subject.dy.swapaxes(-1, -2)
        right = subject.gradient(symmetric)
        if relative_error(subject.backward(dy=symmetric), right) <= bound:
            return "it is right for a symmetric dy alone: take D + D^T, not 2 D"
    own = np.array(subject.backward(dy=np.zeros(shape)))
    if not (subject.loss() or own.any()):
        return ""
    right = own_part(subject)
    if relative_error(dx - own, expected - right) <= bound:
        return (
            "what comes of dy is right, what the loss adds is not: a term that is in one of the two alone, "
            "the loss and its gradient, or the features of the target in place of the input's"
        )
    if relative_error(own, right) <= bound:
        return "what the loss adds is right, what comes of dy is not"
    return ""


def _of_convolution(module: Any, subject: Subject, expected: np.ndarray) -> dict[str, Any]:
    """Return the mistakes of a convolution, if the module has what one has and computes one."""
    from nst_manual.kernels import conv_direct
    from nst_manual.kernels.window import pair

    w = getattr(module, "weight", None)
    if getattr(w, "ndim", 0) != 4 or subject.x.ndim != 4:
        return {}
    try:
        geometry = [pair(getattr(module, name, value), name) for name, value in _GEOMETRY.items()]
        groups = int(getattr(module, "groups", 1))

        def with_kernel(kernel: np.ndarray) -> np.ndarray:
            return conv_direct.input_gradient(subject.dy, kernel, subject.x.shape, *geometry, groups)

        w = np.asarray(w, float)
        if not np.allclose(with_kernel(w), expected):
            return {}
    except Exception:  # noqa: BLE001 - something else than a convolution, then
        return {}
    mistakes = {
        "the kernel is not turned by 180 degrees on the way back": lambda: with_kernel(w[::-1, ::-1]),
        "the kernel is turned upside down alone: both axes are to be turned": lambda: with_kernel(w[::-1]),
        "the kernel is turned left to right alone: both axes are to be turned": lambda: with_kernel(
            w[:, ::-1]
        ),
    }
    if w.shape[0] == w.shape[1]:
        mistakes["rows and columns of the kernel are exchanged"] = lambda: with_kernel(w.swapaxes(0, 1))
    if w.shape[2] == w.shape[3]:
        mistakes["the kernel's channels in and out are exchanged"] = lambda: with_kernel(w.swapaxes(2, 3))
    return mistakes


_GEOMETRY = {"stride": 1, "padding": 0, "dilation": 1}
