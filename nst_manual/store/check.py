"""What a weight file is and whether it is sound, for `nst-manual weights check`."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from nst_manual.errors import WeightsError
from nst_manual.store.checksum import identify
from nst_manual.store.formats import check_file, open_archive
from nst_manual.store.layouts import described
from nst_manual.store.layouts import identify as identify_network
from nst_manual.store.load import choose_preprocessing

MAX_TENSOR = 1 << 30  # bytes; VGG's largest, fc6, has 411 MB


def check_weights(path: str | os.PathLike[str]) -> dict:
    """Read all of a file and say what is in it.

    Returns
    -------
    dict
        `path`, `format`, `network` (whose layers these are, or None), `layers` (name -> {"weight": shape,
        "bias": shape or None, "dtype": str}, shapes as the file has them), `finite` (bool), `not_finite`
        (names of layers), `sha256`, `known` (name of the published file that it is, "bundled", or None),
        `preprocessing` (dict of `Preprocessing`), `input` (the same in words, and how it is known),
        `warnings` (list of str).

    Raises
    ------
    WeightsError
        The file is missing, empty, damaged, of no format that is known, or a known one with another checksum.
    """
    path = Path(path)
    check_file(path)
    identity = identify(path)
    file = str(path)
    with open_archive(path) as archive:
        sure = identity.trusted or archive.verified
        warnings = [] if sure and not identity.warning else [identity.warning or "checksum unknown"]
        networks = identify_network(archive)
        found = described(file, archive)
        if not found.sources:
            raise WeightsError(
                file, "has no kernel of a layer", "expected e.g. conv1_1, features.0.weight, fc6"
            )
        rows, not_finite = {}, []
        for layer, source in found.sources.items():
            for name in source.tensors:
                tensor = archive.tensors[name]
                size = math.prod(tensor.shape) * tensor.dtype.itemsize
                if size > MAX_TENSOR:
                    raise WeightsError(file, f"{layer} declares {size} bytes in {name}")
                if not np.isfinite(tensor.read()).all():
                    not_finite.append(layer)
            weight = archive.tensors[source.weight]
            bias = source.bias or next(iter(source.norm), None)
            rows[layer] = {
                "weight": list(weight.shape),
                "bias": list(archive.tensors[bias].shape) if bias else None,
                "dtype": str(weight.dtype),
            }
        preprocessing, words = choose_preprocessing(None, identity, found)
        known = identity.known.name if identity.known else "bundled" if identity.trusted else None
        return {
            "path": file,
            "format": archive.format,
            "network": networks[0] if networks else None,
            "layers": rows,
            "finite": not not_finite,
            "not_finite": sorted(set(not_finite)),
            "sha256": identity.sha256,
            "known": known,
            "preprocessing": asdict(preprocessing),
            "input": words,
            "warnings": [*warnings, *archive.warnings],
        }
