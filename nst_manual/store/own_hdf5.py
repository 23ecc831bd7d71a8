"""Our own HDF5: what `weights convert` writes, with checksums that tell a single wrong byte.

    conv1_1/weight          kernel (kh, kw, in / groups, out); of fc6, matrix (in, out)
    conv1_1/bias
    inception3a/1x1/weight  groups in groups
    attributes              format, network, order, mean, scale, std, source, licence; sums, sum

`sums` is JSON, tensor -> SHA-256 of its bytes, little-endian; `sum` is the SHA-256 of all other attributes,
`sums` among them. A reader of Keras's files reads it as well.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nst_manual.atomic import replacing
from nst_manual.errors import WeightsError
from nst_manual.nets.preprocessing import Preprocessing
from nst_manual.store.hdf5 import attribute

if TYPE_CHECKING:
    import h5py

FORMAT = "nst_manual weights 1"
TEXTS = ("format", "network", "order", "source", "licence", "sums")
NUMBERS = ("mean", "scale", "std")
SMALL = 1 << 22  # values of an array that is packed as well as can be


def own_sums(file: str, opened: h5py.File) -> dict[str, str] | None:
    """Return tensor -> SHA-256 of its bytes, of a file that we have written; None for others.

    Raises
    ------
    WeightsError
        The attributes are not those that were written.
    """
    if attribute(opened, "format") != FORMAT:
        return None
    found = {name: attribute(opened, name) for name in (*TEXTS, *NUMBERS)}
    if attribute(opened, "sum") != _sum(found):
        raise WeightsError(file, "checksum mismatch in its attributes", "fetch it again, or convert it again")
    return json.loads(str(found["sums"]))


def verified(file: str, name: str, array: np.ndarray, sums: Mapping[str, str]) -> None:
    """Raise `WeightsError` unless an array has the sum that it was written with."""
    if tensor_sum(array) != sums[name]:
        raise WeightsError(file, f"checksum mismatch in {name}", "fetch it again, or convert it again")


def tensor_sum(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes, little-endian, in C order."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return hashlib.sha256(memoryview(little).cast("B")).hexdigest()


def write(
    path: Path,
    arrays: Iterable[tuple[str, tuple[np.ndarray, np.ndarray]]],
    network: str,
    preprocessing: Preprocessing,
    *,
    source: str = "",
    licence: str = "",
) -> None:
    """Write layers to a file, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
    arrays : iterable of (str, (array, array))
        Layer, (kernel, bias), one after the other; only one need be in memory.
    network : str
    preprocessing : Preprocessing
    source, licence : str
        Where the weights come from; kept in the file.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    import h5py

    # the format of HDF5 1.10 has checksums in its metadata
    # the temporary file is locked already
    with (
        replacing(path) as temporary,
        h5py.File(temporary, "w", libver=("v110", "v110"), locking=False) as file,
    ):
        sums = {}
        for layer, pair in arrays:
            group = file.create_group(layer)
            for part, array in zip(("weight", "bias"), pair, strict=True):
                stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
                group.create_dataset(
                    part,
                    data=stored,
                    chunks=_chunks(stored),
                    shuffle=True,
                    compression="gzip",
                    compression_opts=9 if array.size < SMALL else 4,  # 9 takes ten times as long
                    track_times=False,  # they would make every file another one
                )
                sums[f"{layer}.{part}"] = tensor_sum(array)
        values: dict[str, Any] = {
            "format": FORMAT,
            "network": network,
            "order": preprocessing.order,
            "mean": np.asarray(preprocessing.mean, "<f8"),
            "scale": np.float64(preprocessing.scale),
            "std": np.asarray(preprocessing.std, "<f8"),
            "source": source,
            "licence": licence,
            "sums": json.dumps(sums),
        }
        file.attrs.update(values)
        file.attrs["sum"] = _sum(values)


def _chunks(array: np.ndarray) -> tuple[int, ...]:
    """Return the parts in which an array is packed: one position of a kernel, some rows of a matrix."""
    if array.ndim == 4:
        return (1, 1, *array.shape[2:])
    rows = max(1, min(array.shape[0], (1 << 18) // max(1, math.prod(array.shape[1:]))))
    return (rows, *array.shape[1:])


def _sum(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the attributes, written out."""
    parts = [f"{name}={values.get(name) or ''}" for name in TEXTS]
    parts += [f"{name}={np.asarray(values.get(name), float).tobytes().hex()}" for name in NUMBERS]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
