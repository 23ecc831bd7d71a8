"""Exercise: a loss module inside a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nst_manual.check.exercises.base import Case, Expected, normal
from nst_manual.losses import ContentLoss
from nst_manual.nn import Conv2d, Module, ReLU, Sequential

NAME = "loss-module"
TITLE = "A content loss as a module inside the network"
TEMPLATE = '''
class ContentLoss:
    """A loss that stands inside the network and lets everything pass.

    Going forward it looks at the features and keeps the loss; on the way back it adds its gradient to what
    comes from the layers above. With several of them in a network, one backward pass that starts with
    dy = 0 at the top arrives at the image with the gradient of the sum of all losses.

        loss = weight / 2 sum (x - target)^2
        dx   = dy + dloss/dx

    Parameters
    ----------
    target : array (1, H, W, C)
        Features of the content photograph at this place.
    weight : float

    Attributes
    ----------
    loss : float
        Of the last `forward`.
    """

    def __init__(self, target, weight):
        raise NotImplementedError

    def forward(self, x):
        """Keep `loss`, and return x unchanged.

        Parameters
        ----------
        x : array (1, H, W, C)

        Returns
        -------
        array (1, H, W, C)
            x.
        """
        raise NotImplementedError

    def backward(self, x, dy):
        """Return dy plus the gradient of the loss.

        Parameters
        ----------
        x : array (1, H, W, C)
            What the last `forward` was given.
        dy : array (1, H, W, C)
            Gradient that comes from above; left as it is.

        Returns
        -------
        array (1, H, W, C)
            dx.
        """
        raise NotImplementedError
'''
HINTS = (
    "forward: self.loss = ...; return x. The layers above are to see no change in x.",
    "The gradient of weight / 2 sum (x - target)^2 is weight (x - target). backward returns dy plus that.",
)
PARTS = ("forward(x)", "loss", "backward(x, dy)")


class _Inside(Module):
    """The student's object with the protocol of `nst_manual.nn`."""

    def __init__(self, student: Any) -> None:
        self.student = student

    def update_output(self, x: np.ndarray) -> np.ndarray:
        self.output = _array(self.student.forward(x), "forward(x)", x)
        self.loss = self.student.loss
        return self.output

    def update_grad_input(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        self.grad_input = _array(self.student.backward(x, dy), "backward(x, dy)", x)
        return self.grad_input


def _array(got: Any, what: str, x: np.ndarray) -> np.ndarray:
    """Return what the student's method returned, if the next layer can go on with it."""
    if not isinstance(got, np.ndarray) or got.shape != x.shape:
        shown = f"an array of shape {got.shape}" if isinstance(got, np.ndarray) else repr(got)[:40]
        raise TypeError(f"{what} returned {shown}, expected an array of shape {x.shape}")
    return got


def cases() -> list[Case]:
    """Return the calls to be checked: the module alone, and inside a network."""
    return [
        _forward(6, 1.0),
        _forward(7, 5.0),
        _alone(1, 1.0),
        _alone(2, 5.0),
        _alone(3, 5.0, zero=True),
        _network(4, False),
        _network(5, True),
    ]


def _forward(seed: int, weight: float) -> Case:
    """Return the case that needs no backward, so that the first half of the class can be checked alone."""
    x, target = normal(seed, 1, 4, 6, 3), normal(seed + 10, 1, 4, 6, 3)
    loss = ContentLoss(target, weight).measure(x)
    wrong = {"it is x - target: x is to pass unchanged": x - target, "it is the target": target}
    results = (
        Expected(x, PARTS[0], wrong),
        Expected(loss, PARTS[1], _wrong_losses(loss, x - target, weight)),
    )
    arguments = {"target": target, "weight": weight, "x": x}
    return Case("ContentLoss", arguments, results, "forward alone", _run_forward)


def _run_forward(student: Callable, target: Any, weight: float, x: np.ndarray) -> tuple:
    module = student(target, weight)
    y = module.forward(x)
    return y, module.loss


def _alone(seed: int, weight: float, zero: bool = False) -> Case:
    x, target = normal(seed, 1, 4, 6, 3), normal(seed + 10, 1, 4, 6, 3)
    dy = np.zeros_like(x) if zero else normal(seed + 20, *x.shape)
    module = ContentLoss(target, weight)
    loss, d = module.measure(x), x - target
    dx = dy.copy()
    module.add_gradient(x, dx)
    results = (
        Expected(x, PARTS[0]),
        Expected(loss, PARTS[1], _wrong_losses(loss, d, weight)),
        Expected(dx, PARTS[2], _wrong_gradients(dy, d, weight)),
    )
    note = "alone, dy = 0" if zero else "alone"
    return Case(
        "ContentLoss", {"target": target, "weight": weight, "x": x, "dy": dy}, results, note, _run_alone
    )


def _run_alone(student: Callable, target: Any, weight: float, x: np.ndarray, dy: np.ndarray) -> tuple:
    module = student(target, weight)
    y = module.forward(x)
    if y is x:
        y = x.copy()  # as it is now, should backward write to it
    loss = module.loss
    return y, loss, module.backward(x, dy)


def _wrong_losses(loss: float, d: np.ndarray, weight: float) -> dict[str, Any]:
    found = {
        "it is the square of the sum of differences: square each first, then sum": weight / 2 * d.sum() ** 2,
        "the factor 1/2 is missing": 2 * loss,
        "it is the mean of the squares, not half their sum": 2 * loss / d.size,
    }
    if weight != 1:
        found["the weight is missing"] = loss / weight
        found["the weight is applied twice"] = loss * weight
    return found


def _wrong_gradients(dy: np.ndarray, d: np.ndarray, weight: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "the gradient of the loss takes the place of dy: it is to be added to it": weight * d,
        "the gradient of the loss is not added: only dy passes": dy,
        "the gradient of the loss is subtracted: it is to be added": dy - weight * d,
        "twice the gradient of the loss is added: the 1/2 of the loss is not in it": dy + 2 * weight * d,
        "half the gradient of the loss is added: the derivative of d^2 / 2 is d": dy + weight / 2 * d,
        "the gradient of the mean is added: the loss is a sum": dy + weight * 2 / d.size * d,
    }
    if weight != 1:
        found["the weight is in the loss and not in the gradient"] = dy + d
        found["the weight multiplies dy too"] = weight * (dy + d)
        found["the weight is missing, and the gradient of the loss takes the place of dy"] = d
    return found


def _network(seed: int, upstream: bool) -> Case:
    """Return the case of two losses in a network, the lower one of which sees what the upper one adds."""
    x = normal(seed, 1, 5, 7, 3)
    inputs = [normal(seed + 10, 1, 5, 7, 4), normal(seed + 11, 1, 3, 4, 2)]
    weights = (0.5, 2.0)
    layers = _layers(seed)
    ours = [ContentLoss(target, weight) for target, weight in zip(inputs, weights, strict=True)]
    network = Sequential(*layers[:2], ours[0], layers[2], ours[1], layers[3])
    y = network.forward(x)
    dy = normal(seed + 20, *y.shape) if upstream else np.zeros_like(y)
    dx = network.backward(x, dy)
    features = [layer.output for layer in (layers[1], layers[2])]

    def without_sum() -> np.ndarray:
        """Return dx where each module forgets what came from above."""
        return _below(layers[:2], x, weights[0] * (features[0] - inputs[0]))

    def without_losses() -> np.ndarray:
        plain = Sequential(*_layers(seed))
        return plain.backward(x, dy)

    wrong = {"what comes from above is lost: the gradient of the loss is to be added to dy": without_sum}
    if upstream:
        wrong["the gradients of the losses are not added: only dy passes"] = without_losses

    def run(student: Callable, x: np.ndarray, dy: np.ndarray) -> tuple:
        fresh = _layers(seed)
        modules = [_Inside(student(t.copy(), w)) for t, w in zip(inputs, weights, strict=True)]
        inside = Sequential(*fresh[:2], modules[0], fresh[2], modules[1], fresh[3])
        return inside.forward(x), inside.loss, inside.backward(x, dy)

    results = (
        Expected(y, "output of the network"),
        Expected(float(network.loss), "sum of the losses"),
        Expected(dx, "gradient of the image", wrong),
    )
    return Case("ContentLoss", {"x": x, "dy": dy}, results, "two of them in a Sequential", run)


def _layers(seed: int) -> list[Module]:
    """Return four layers, always the same."""

    def conv(number: int, c: int, o: int, **geometry: int) -> Conv2d:
        return Conv2d(
            c, o, 3, **geometry, parameters=(normal(seed + number, 3, 3, c, o), normal(seed + number + 1, o))
        )

    return [conv(30, 3, 4, padding=1), ReLU(), conv(40, 4, 2, stride=2, padding=1), ReLU()]


def _below(layers: list[Module], x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Return the gradient of x for an upstream at the top of the layers."""
    return Sequential(*_layers_again(layers)).backward(x, dy)


def _layers_again(layers: list[Module]) -> list[Module]:
    """Return the layers without the names that a network has given them."""
    for layer in layers:
        layer.name = ""
    return layers
