"""Coarse to fine: what an optimiser remembers, brought from one size of the image to another.

M positions before, M' now; a function that is a mean over positions, of images that show the same:

x' = R x                         R: interpolation, as the image is enlarged
g' = r R g         r = M / M'    a pixel is a smaller share of the mean: of the sum of g . dx the same is left

So is what is in pixel values (a velocity, a step of L-BFGS) interpolated as it is, what is in the gradient's
unit multiplied by r, its squares by r^2, a rate in pixel values a unit of gradient divided by r; s . y stays
the same. What must not be negative is clipped at 0, which an interpolation with lobes needs.

K. Crowson's style-transfer-pytorch carries over the averages of Adam in this way. Differs from it in r, which
it does not have: there each size begins with second moments that are r^-2 times too large (4 for sqrt 2), and
with a b2 near 1 the steps stay about r times too short for as long as the run lasts.

For losses that are sums over positions r is 1; the optimiser sees only a function. An r that is wrong makes
the first steps too short or too long, until newer gradients count.

Whether it helps: measured with vgg16 and the preset gatys at 96, 136 and 192 pixels, 20 iterations each, as
the last loss against that of optimisers that begin anew at each size. L-BFGS: 0.75, 0.92 and 0.97 for three
paintings. Momentum, one painting: 1.01 (2.3 without r). Adam, two: 1.6 and 1.9 (2.6 and 3.1 without r), since
the large gradients that a run begins with still count in its second moments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nst_manual.backend import array_module, beside
from nst_manual.errors import UsageError
from nst_manual.optim.base import Resize, check_keys


def bilinear(images: Any, size: tuple[int, int]) -> Any:
    """Return images at another size, interpolated between the centres of pixels.

    Reducing, it takes the nearest pixels alone: it is for enlarging. Beyond the outermost centres the image
    goes on as it is there. Of a constant image every pixel stays what it is, to the bit.

    Parameters
    ----------
    images : array (N, h, w, C)
        NumPy or CuPy, of floats.
    size : (int, int)
        (H, W), pixels.

    Returns
    -------
    array (N, H, W, C)
        Of the same type.
    """
    for axis, length in zip((1, 2), size, strict=True):
        images = _along(images, axis, length)
    return images


def _along(images: Any, axis: int, length: int) -> Any:
    """Return images with another length along one axis."""
    xp, before = array_module(images), images.shape[axis]
    if length == before:
        return images
    places = xp.clip((xp.arange(length) + 0.5) * (before / length) - 0.5, 0, before - 1)
    first = xp.floor(places).astype(int)
    weight = (places - first).astype(images.dtype).reshape((-1, *[1] * (images.ndim - axis - 1)))
    low = images.take(first, axis)
    return low + weight * (images.take(xp.minimum(first + 1, before - 1), axis) - low)


class Carried:
    """An optimiser's state, until the image is known to whose size it is to be brought.

    Parameters
    ----------
    name : str
        Of the optimiser, for messages.
    state : dict
        What its `state()` has returned at another size.
    keys : iterable of str
        What such a state has; "x" among them, an image (1, h, w, C).
    resize : callable
        Array (1, h, w, C), (H, W) -> array (1, H, W, C).

    Raises
    ------
    UsageError
        The state is another optimiser's.
    """

    def __init__(self, name: str, state: dict[str, Any], keys: Iterable[str], resize: Resize) -> None:
        check_keys(name, state, keys)
        self.name, self.resize, self.shape = name, resize, state["x"].shape
        self.state = {key: state[key].copy() if hasattr(state[key], "copy") else state[key] for key in keys}

    def gradient_scale(self, x: Any) -> float:
        """Return r = M / M', how many times as large a gradient is at the size of x (1, H, W, C).

        Raises
        ------
        UsageError
            x is no image, or has other channels.
        """
        shape = self.shape
        if not (len(shape) == x.ndim == 4 and (shape[0], shape[3]) == (x.shape[0], x.shape[3])):
            expected = f"another size of the images {shape} whose state was carried over"
            raise UsageError(self.name, f"expected {expected}, got shape {x.shape}")
        return shape[1] * shape[2] / (x.shape[1] * x.shape[2])

    def at(self, x: Any, array: Any, power: int = 0) -> Any:
        """Return one of the state's arrays at the size of x, a new array of x's shape and type.

        Parameters
        ----------
        x : array (1, H, W, C)
        array : array
            As many elements as the state's image.
        power : int
            Of the gradient's unit: 0 for pixel values, 1 for gradients, 2 for their squares.
        """
        xp, scale = array_module(x), self.gradient_scale(x)
        array = beside(array, x).reshape(self.shape)
        if self.shape != x.shape:
            array = self.resize(array, x.shape[1:3])
        array = xp.array(array, x.dtype) * scale**power
        return xp.maximum(array, 0) if power == 2 else array
