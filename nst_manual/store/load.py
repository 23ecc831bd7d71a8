"""Load a network's weights: nothing, the word "random" or a path in; arrays and preprocessing out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from nst_manual.errors import UsageError, WeightsError, unknown_name
from nst_manual.nets import Network
from nst_manual.nets.preprocessing import CAFFE_BGR, PREPROCESSINGS, Preprocessing
from nst_manual.store.checksum import Identity, identify
from nst_manual.store.find import find_weights
from nst_manual.store.form import Shapes, Weights
from nst_manual.store.formats import check_file, open_archive
from nst_manual.store.he import random_weights
from nst_manual.store.known import KNOWN
from nst_manual.store.layouts import Found, find_sources


def load_weights(
    weights: str | os.PathLike[str] | None,
    network: str | Network,
    shapes: Shapes,
    seed: int = 0,
    dtype: str | np.dtype = "float32",
    preprocessing: str | Preprocessing | None = None,
) -> Weights:
    """Return the weights of exactly the layers named, all of them or none.

    Parameters
    ----------
    weights : None, "random" or path
        None takes the network's default: what `find_weights` finds. "random" draws them (He et al. 2015). A
        file may be of any format in `nst_manual.store.formats`.
    network : str or Network
    shapes : mapping
        Layer name -> (shape of the kernel (kh, kw, in / groups, out) or matrix (in, out), shape of the bias
        (out,)), in the order of the network. Only these layers are read.
    seed : int
        Of random weights.
    dtype : str or numpy.dtype
        Of the arrays returned; a file may hold float16, bfloat16, float32 or float64.
    preprocessing : str or Preprocessing, optional
        What the weights expect of their input, by a name of `PREPROCESSINGS`. Without, what the file says,
        what is known of it by its checksum, else what files that name their layers so expect - with a
        warning.

    Raises
    ------
    WeightsError
        There are no weights; the file is missing, empty, damaged, has the wrong checksum, or is another
        network's: a layer is not there, has another shape, or has values that are not finite.
    UsageError
        `weights` is none of the three; `preprocessing` is unknown.
    """
    given = as_preprocessing(preprocessing)
    name = network if isinstance(network, str) else network.name
    if isinstance(weights, str) and weights == "random":
        drawn = random_weights(shapes, seed, dtype)
        return Weights(drawn.arrays, given or drawn.preprocessing, drawn.source, None)
    if weights is None:
        path = _default(name, shapes)
    elif isinstance(weights, (str, os.PathLike)):
        path = Path(weights)
    else:
        raise UsageError("weights", f'expected None, "random" or a path, got {type(weights).__name__}')

    check_file(path)
    identity = identify(path)
    with open_archive(path) as archive:
        found = find_sources(str(path), archive, network, shapes)
        arrays = {layer: found.read(layer, np.dtype(dtype)) for layer in shapes}
        taken, words = choose_preprocessing(given, identity, found)
    warnings = [*archive.warnings, *found.warnings]
    if identity.warning:
        warnings.insert(0, f"{path}: {identity.warning}")
    if not identity.trusted and not archive.verified:
        warnings.insert(0, f"{path}: checksum unknown; input {words}")
    return Weights(arrays, taken, os.fspath(path), identity.sha256, tuple(warnings))


def as_preprocessing(preprocessing: str | Preprocessing | None) -> Preprocessing | None:
    """Return what a name of `PREPROCESSINGS` stands for; raise `UsageError` where there is none."""
    if not isinstance(preprocessing, str):
        return preprocessing
    if preprocessing not in PREPROCESSINGS:
        raise unknown_name("preprocessing", preprocessing, PREPROCESSINGS)
    return PREPROCESSINGS[preprocessing]


def choose_preprocessing(
    given: Preprocessing | None, identity: Identity, found: Found
) -> tuple[Preprocessing, str]:
    """Return what a file expects of its input, and in words how that is known."""
    opinions = (
        (given, "as asked for"),
        (found.archive.preprocessing, "as the file says"),
        (identity.known and identity.known.preprocessing, "as published"),
        (identity.named and identity.named.preprocessing, "as of the published file of that name"),
        (found.archive.convention, f"guessed, as of other files of {found.archive.format}"),
        (found.preprocessing or CAFFE_BGR, f"guessed, since {found.words}; --preprocessing changes it"),
    )
    taken, words = next((preprocessing, words) for preprocessing, words in opinions if preprocessing)
    return taken, f"taken as {taken.words} ({words})"


def _default(network: str, shapes: Shapes) -> Path:
    top = any(len(kernel_shape) == 2 for kernel_shape, _ in shapes.values())
    if path := find_weights(network, top):
        return path
    names = [known.name for known in KNOWN.values() if known.network == network and known.top >= top]
    get = f"`nst-manual weights get {names[0]}`, or " if names else "--weights FILE, or "
    raise WeightsError(
        "weights",
        f"there are none for {network}{' with its classifier' if top else ''}",
        f"{get}`--weights random`",
    )
