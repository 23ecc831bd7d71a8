"""The one form that weights have after loading, and the checks that every layer of every format passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.nets.preprocessing import Preprocessing

# Layer name -> (shape of the kernel or matrix, shape of the bias).
Shapes = Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]


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
