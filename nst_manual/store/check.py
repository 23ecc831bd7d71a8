"""What a weight file is and whether it is sound, for `nst-manual weights check`."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.checksum import identify
from nst_manual.store.form import CAFFE_BGR, guess_network
from nst_manual.store.load import check_file

MAX_LAYER = 1 << 30  # bytes; VGG's largest, fc6, has 411 MB


def check_weights(path: str | os.PathLike[str]) -> dict:
    """Read all of a file and say what is in it.

    Returns
    -------
    dict
        `path`, `format`, `network` (whose layers these are, or None), `layers` (name -> {"weight": shape,
        "bias": shape, "dtype": str}), `finite` (bool), `not_finite` (names of layers), `sha256`, `known`
        (name of the published file that it is, "bundled", or None), `preprocessing` (dict of
        `Preprocessing`), `warnings` (list of str).

    Raises
    ------
    WeightsError
        The file is missing, empty, damaged, not HDF5, or a known one with another checksum.
    """
    from nst_manual.store import hdf5, keras_hdf5

    path = Path(path)
    check_file(path)
    identity = identify(path)
    file = str(path)
    warnings = [] if identity.trusted else [identity.warning or "checksum unknown"]
    with hdf5.open_hdf5(path) as opened:
        layout = "Keras HDF5"
        if hdf5.has_group(opened, "model_weights"):
            layout += ", whole model"
        elif any(hdf5.has_group(opened, name) for name in ("layers", "_layer_checkpoint_dependencies")):
            layout += ", Keras 3 (.weights.h5)"
        layers, more = keras_hdf5.find_layers(file, opened)
        warnings += more
        if not layers:
            raise WeightsError(
                file, "has no layer with a name that is known", "e.g. block1_conv1, conv1_1, fc6"
            )
        rows, not_finite = {}, []
        for name in sorted(layers):
            for part, dataset in zip(("weight", "bias"), layers[name], strict=True):
                size = math.prod(dataset.shape) * dataset.dtype.itemsize
                if size > MAX_LAYER:
                    raise WeightsError(file, f"{name} declares a {part} of {size} bytes")
                hdf5.check_dataset(file, f"{name} ({part})", dataset)
                if not np.isfinite(hdf5.read_dataset(dataset, dataset.dtype.newbyteorder("="))).all():
                    not_finite.append(name)
            kernel, bias = layers[name]
            rows[name] = {"weight": list(kernel.shape), "bias": list(bias.shape), "dtype": str(kernel.dtype)}
        preprocessing = keras_hdf5.read_preprocessing(file, opened)
    if preprocessing is None:
        preprocessing = identity.known.preprocessing if identity.known else CAFFE_BGR
    known = identity.known.name if identity.known else "bundled" if identity.trusted else None
    return {
        "path": file,
        "format": layout,
        "network": guess_network({name: tuple(row["weight"]) for name, row in rows.items()}),
        "layers": rows,
        "finite": not not_finite,
        "not_finite": sorted(set(not_finite)),
        "sha256": identity.sha256,
        "known": known,
        "preprocessing": asdict(preprocessing),
        "warnings": warnings,
    }
