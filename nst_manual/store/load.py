"""Load a network's weights: nothing, the word "random" or a path in; arrays and preprocessing out."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np

from nst_manual.errors import UsageError, WeightsError
from nst_manual.store.checksum import identify
from nst_manual.store.find import find_weights
from nst_manual.store.form import CAFFE_BGR, Shapes, Weights
from nst_manual.store.he import random_weights
from nst_manual.store.known import KNOWN


def load_weights(
    weights: str | os.PathLike[str] | None,
    network: str,
    shapes: Shapes,
    seed: int = 0,
    dtype: str | np.dtype = "float32",
) -> Weights:
    """Return the weights of exactly the layers named, all of them or none.

    Parameters
    ----------
    weights : None, "random" or path
        None takes the network's default: what `find_weights` finds. "random" draws them (He et al. 2015).
    network : str
        For messages and for the default.
    shapes : mapping
        Layer name -> (shape of the kernel (kh, kw, in / groups, out) or matrix (in, out), shape of the bias
        (out,)). Only these layers are read.
    seed : int
        Of random weights.
    dtype : str or numpy.dtype
        Of the arrays returned; a file may hold float16, float32 or float64.

    Raises
    ------
    WeightsError
        There are no weights; the file is missing, empty, damaged, has the wrong checksum, or is another
        network's: a layer is not there, has another shape, or has values that are not finite.
    UsageError
        `weights` is none of the three.
    """
    if isinstance(weights, str) and weights == "random":
        return random_weights(shapes, seed, dtype)
    if weights is None:
        path = _default(network, shapes)
    elif isinstance(weights, (str, os.PathLike)):
        path = Path(weights)
    else:
        raise UsageError("weights", f'expected None, "random" or a path, got {type(weights).__name__}')

    from nst_manual.store import keras_hdf5

    check_file(path)
    identity = identify(path)
    content = keras_hdf5.read(path, network, shapes, np.dtype(dtype))
    warnings = list(content.warnings)
    preprocessing = content.preprocessing or (identity.known and identity.known.preprocessing)
    if identity.warning:
        warnings.insert(0, f"{path}: {identity.warning}")
    if not identity.trusted:
        taken = (
            "as the file says"
            if preprocessing
            else "taken to be in Keras's convention (BGR, means subtracted)"
        )
        warnings.insert(0, f"{path}: checksum unknown, {taken}")
    return Weights(
        content.arrays, preprocessing or CAFFE_BGR, os.fspath(path), identity.sha256, tuple(warnings)
    )


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


def check_file(path: Path) -> None:
    """Raise `WeightsError` unless the path is a readable file that is not empty; never waits for a FIFO."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise WeightsError(str(path), "no such file") from error
    except (OSError, ValueError) as error:
        raise WeightsError(
            str(path), f"cannot be read, {getattr(error, 'strerror', None) or error}"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise WeightsError(str(path), "is a directory, expected a weight file")
    if not stat.S_ISREG(status.st_mode):
        raise WeightsError(str(path), "is not a regular file")
    if status.st_size == 0:
        raise WeightsError(str(path), "is empty")
    if not os.access(path, os.R_OK):
        raise WeightsError(str(path), "cannot be read, permission denied")
