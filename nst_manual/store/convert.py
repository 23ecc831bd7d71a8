"""Any weight file to our own HDF5, for `nst-manual weights convert`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

from nst_manual.errors import OutputError, UsageError, WeightsError
from nst_manual.nets import NETWORKS, Network, get_network
from nst_manual.nets.geometry import parameter_shapes
from nst_manual.nets.preprocessing import Preprocessing
from nst_manual.store.archive import Archive
from nst_manual.store.checksum import identify
from nst_manual.store.find import cache_folder
from nst_manual.store.formats import check_file, open_archive
from nst_manual.store.layouts import Found, find_sources
from nst_manual.store.layouts import identify as identify_network
from nst_manual.store.load import as_preprocessing, choose_preprocessing
from nst_manual.store.own_hdf5 import write


def convert_weights(
    path: str | os.PathLike[str],
    to: str | os.PathLike[str] | None = None,
    network: str | None = None,
    dtype: str = "float32",
    preprocessing: str | Preprocessing | None = None,
    replace: bool = False,
) -> dict:
    """Write a weight file of any format as our own HDF5, with checksums; the old file stays.

    Parameters
    ----------
    path : path
    to : path, optional
        Where the new file goes; it ends in .h5 or .hdf5, and appears whole or not at all. Without, it becomes
        the file that is taken for its network: NETWORK.h5 in the cache.
    network : str, optional
        Whose layers to take; without, that of the file.
    dtype : str
        "float32", "float16" (half the size, rounded to 11 bits) or "float64".
    preprocessing : str or Preprocessing, optional
        What the weights expect of their input, where the file does not say it.
    replace : bool
        Whether a file that is there may be replaced.

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
    path = Path(path)
    if dtype not in ("float16", "float32", "float64"):
        raise UsageError("dtype", f"expected float16, float32 or float64, got {dtype!r}")
    given = as_preprocessing(preprocessing)
    check_file(path)
    if to is not None:
        _check_target(path, Path(to), replace)  # before the work
    identity = identify(path)
    with open_archive(path) as archive:
        table = get_network(network or _looks_like(str(path), identify_network(archive)))
        found, top = _with_top_if_there(str(path), archive, table)
        chosen, words = choose_preprocessing(given, identity, found)
        known = identity.known
        source = f"{path.name}, SHA-256 {identity.sha256}" + (f", {known.url}" if known else "")
        target = Path(to) if to is not None else _in_cache(table.name)
        _check_target(path, target, replace)
        arrays = ((layer, found.read(layer, np.dtype(dtype))) for layer in found.sources)
        licence = known.licence if known else ""
        write(target, arrays, table.name, chosen, source=source, licence=licence)
    return {
        "path": str(target),
        "network": table.name,
        "top": top,
        "layers": len(found.sources),
        "size": target.stat().st_size,
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


def _with_top_if_there(file: str, archive: Archive, table: Network) -> tuple[Found, bool]:
    """Return the layers with those of the classifier, or without them where they are not all there."""
    try:
        return find_sources(file, archive, table, parameter_shapes(table)), True
    except WeightsError:
        return find_sources(file, archive, table, parameter_shapes(table.without_top())), False


def _in_cache(network: str) -> Path:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(folder), f"cannot be made, {error.strerror or error}") from error
    return folder / f"{network}.h5"


def _check_target(path: Path, to: Path, replace: bool) -> None:
    """Raise `OutputError` unless the new file has the right ending and replaces nothing that is to stay."""
    try:
        _check_place(path, to, replace)
    except OutputError:
        raise
    except (OSError, ValueError) as error:  # a name that no file can have
        cause = getattr(error, "strerror", None) or error
        raise OutputError(str(to), f"cannot be written, {cause}") from error


def _check_place(path: Path, to: Path, replace: bool) -> None:
    """Raise what `_check_target` does, or `OSError` or `ValueError` for names that no file can have."""
    os.lstat(to.parent)  # raises where `exists` would only say no
    with contextlib.suppress(FileNotFoundError):
        os.lstat(to)
    if to.suffix.lower() not in (".h5", ".hdf5"):
        raise OutputError(str(to), f"expected a name that ends in .h5 or .hdf5, got {to.suffix!r}")
    if to.exists() and to.samefile(path):
        raise OutputError(str(to), "is the file that is converted", "choose another name")
    if to.is_dir():
        raise OutputError(str(to), "is a directory")
    if to.exists() and not replace:
        raise OutputError(str(to), "is there already", "--force replaces it")
