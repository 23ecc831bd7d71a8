"""Any weight file to our own HDF5, for `nst-manual weights convert`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nst_manual.errors import OutputError, UsageError, WeightsError
from nst_manual.nets import NETWORKS, get_network
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.store.checksum import identify
from nst_manual.store.form import Preprocessing
from nst_manual.store.formats import check_file, open_archive
from nst_manual.store.layouts import Found, find_sources
from nst_manual.store.layouts import identify as identify_network
from nst_manual.store.load import as_preprocessing, choose_preprocessing
from nst_manual.store.own_hdf5 import write


def convert_weights(
    path: str | os.PathLike[str],
    to: str | os.PathLike[str],
    network: str | None = None,
    dtype: str = "float32",
    preprocessing: str | Preprocessing | None = None,
) -> dict:
    """Write a weight file of any format as our own HDF5, with checksums; the old file stays.

    Parameters
    ----------
    path, to : path
        The file, and where the new one goes; it ends in .h5 or .hdf5, and appears whole or not at all.
    network : str, optional
        Whose layers to take; without, that of the file.
    dtype : str
        "float32", "float16" (half the size, rounded to 11 bits) or "float64".
    preprocessing : str or Preprocessing, optional
        What the weights expect of their input, where the file does not say it.

    Returns
    -------
    dict
        `path`, `network`, `top` (whether the classifier is in it), `layers` (number), `size` in bytes,
        `preprocessing` and `input` (in words).

    Raises
    ------
    WeightsError
        The file is damaged, or has not all convolutions of a network that is known.
    OutputError
        The new file cannot be written, or would replace the old one.
    """
    path, to = Path(path), Path(to)
    if dtype not in ("float16", "float32", "float64"):
        raise UsageError("dtype", f"expected float16, float32 or float64, got {dtype!r}")
    if to.suffix.lower() not in (".h5", ".hdf5"):
        raise OutputError(str(to), f"expected a name that ends in .h5 or .hdf5, got {to.suffix!r}")
    given = as_preprocessing(preprocessing)
    check_file(path)
    if to.exists() and to.samefile(path):
        raise OutputError(str(to), "is the file that is converted", "choose another name")
    identity = identify(path)
    with open_archive(path) as archive:
        table = get_network(network or _looks_like(str(path), identify_network(archive)))
        found, top = _with_top_if_there(str(path), archive, table)
        chosen, words = choose_preprocessing(given, identity, found)
        known = identity.known
        source = f"{path.name}, SHA-256 {identity.sha256}" + (f", {known.url}" if known else "")
        licence = (known.licence if known else "") or ""
        write(to, _arrays(found, dtype), table.name, chosen, source=source, licence=licence)
    return {
        "path": str(to),
        "network": table.name,
        "top": top,
        "layers": len(found.sources),
        "size": to.stat().st_size,
        "preprocessing": chosen,
        "input": words,
    }


def _looks_like(file: str, networks: list[str]) -> str:
    if len(networks) == 1:
        return networks[0]
    if networks:
        raise WeightsError(file, f"may be of {' or '.join(networks)}", "say which with --network")
    raise WeightsError(
        file, "has the convolutions of no network that is known", f"known: {', '.join(NETWORKS)}"
    )


def _with_top_if_there(file: str, archive, table) -> tuple[Found, bool]:  # noqa: ANN001
    """Return the layers with those of the classifier, or without them where they are not all there."""
    try:
        return find_sources(file, archive, table, parameter_shapes(table)), True
    except WeightsError:
        return find_sources(file, archive, table, parameter_shapes(table.without_top())), False


def _arrays(found: Found, dtype: str) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    for layer in found.sources:
        yield layer, found.read(layer, np.dtype(dtype))
