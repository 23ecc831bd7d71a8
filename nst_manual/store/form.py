"""The one form that weights have after loading, and the checks that every layer of every format passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nst_manual.errors import WeightsError

# Layer name -> (shape of the kernel or matrix, shape of the bias).
Shapes = Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of its input: y = (x[..., order] * scale - mean) / std, x in RGB, 0..255.

    Attributes
    ----------
    order : str
        "RGB" or "BGR": the order of channels after conversion from RGB.
    mean : tuple of 3 floats
        In `order`, in units after scaling.
    scale : float
        Factor on pixels 0..255: 1/255 for networks that expect 0..1.
    std : tuple of 3 floats
        Divisor after the mean, in `order`.
    """

    order: str
    mean: tuple[float, float, float]
    scale: float = 1.0
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def words(self) -> str:
        """The same for people: "BGR 0..255, minus 103.939 116.779 123.68"."""
        largest = f"{255 * self.scale:.6g}"
        text = f"{self.order} 0..{largest}, minus {' '.join(f'{mean:g}' for mean in self.mean)}"
        divided = f", over {' '.join(f'{std:g}' for std in self.std)}"
        return text + (divided if self.std != (1.0, 1.0, 1.0) else "")


# The mean colour of ImageNet as the VGG networks were trained with it in Caffe, and as Keras took it over.
CAFFE_BGR = Preprocessing("BGR", (103.939, 116.779, 123.68))
# The mean over Caffe's own mean image, of its AlexNet; and what its GoogLeNet was trained with.
CAFFE_ALEXNET = Preprocessing("BGR", (104.007, 116.669, 122.679))
CAFFE_GOOGLENET = Preprocessing("BGR", (104.0, 117.0, 123.0))
# CAFFE_BGR where MatConvNet has turned the first kernels.
MATCONVNET = Preprocessing("RGB", (123.68, 116.779, 103.939))
# Mean and deviation of ImageNet in 0..1; and -1..1, with which torchvision's GoogLeNet was trained.
TORCHVISION = Preprocessing("RGB", (0.485, 0.456, 0.406), 1 / 255, (0.229, 0.224, 0.225))
HALF = Preprocessing("RGB", (0.5, 0.5, 0.5), 1 / 255, (0.5, 0.5, 0.5))

# By the names that `--preprocessing` knows.
PREPROCESSINGS = {
    "caffe": CAFFE_BGR,
    "caffe-alexnet": CAFFE_ALEXNET,
    "caffe-googlenet": CAFFE_GOOGLENET,
    "matconvnet": MATCONVNET,
    "torchvision": TORCHVISION,
    "half": HALF,
}


@dataclass(frozen=True)
class Weights:
    """The parameters of a network.

    Attributes
    ----------
    arrays : dict
        "conv1_1" -> (kernel (kh, kw, in / groups, out), bias (out,)); "fc6" -> (matrix (in, out), bias
        (out,)).
    preprocessing : Preprocessing
    source : str
        The file's path, or e.g. "random (He, seed 0)".
    sha256 : str or None
        Of the file; None for random weights.
    warnings : tuple of str
        What the user should know before trusting the file.
    """

    arrays: dict[str, tuple[np.ndarray, np.ndarray]]
    preprocessing: Preprocessing
    source: str
    sha256: str | None
    warnings: tuple[str, ...] = ()


def check_shape(file: str, layer: str, part: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise `WeightsError` unless the shapes are equal; `part` is "weight" or "bias"."""
    if tuple(found) == tuple(expected):
        return
    hint = None
    if len(found) == 4 and (found[2], found[3], found[1], found[0]) == tuple(expected):
        hint = "the kernels are stored as (out, in, kh, kw); expected is (kh, kw, in, out)"
    elif len(found) == 2 and tuple(reversed(found)) == tuple(expected):
        hint = "the matrix is stored as (out, in); expected is (in, out)"
    raise WeightsError(
        file, f"{layer} has a {part} of shape {tuple(found)}, expected {tuple(expected)}", hint
    )


def check_finite(file: str, layer: str, part: str, array: np.ndarray) -> None:
    """Raise `WeightsError` if a value is NaN or infinite."""
    finite = np.isfinite(array)
    if finite.all():
        return
    first = tuple(int(i) for i in np.argwhere(~finite)[0])
    raise WeightsError(
        file,
        f"{layer} has {np.count_nonzero(~finite)} of {array.size} values in its {part} that are not finite, "
        f"the first is {array[first]} at {first}",
        "the file is damaged, or training diverged",
    )


def check_layers(
    file: str,
    network: str,
    found: Iterable[str],
    wanted: Iterable[str],
    looks: Sequence[str] = (),
    examples: str = "",
) -> None:
    """Raise `WeightsError` if a wanted layer is not among those found, or if they are another network's.

    Parameters
    ----------
    file, network : str
        For messages.
    found, wanted : iterable of str
        Names of layers.
    looks : sequence of str
        Networks whose layers these may be: VGG-19 has every layer of VGG-16, in the same shapes.
    examples : str
        What the file has instead, where it has no layer that is known.
    """
    found = set(found)
    missing = [name for name in wanted if name not in found]
    other = looks[0] if looks and network not in looks else None
    if not missing and not other:
        return
    causes, hint = [], None
    if missing:
        listed = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        causes.append(f"has no {listed}, which {network} needs")
    if other:
        causes.append(f"its layers are those of {other}, expected {network}")
        hint = f"use --network {other}, or a file of {network}"
    elif not found:
        causes.append(f"none of its layers has a name that is known; it has {examples or 'no tensors'}")
    elif all(name.startswith("fc") for name in missing):
        hint = "the classifier was left off (notop); take a file that has it"
    raise WeightsError(file, "; ".join(causes), hint)
