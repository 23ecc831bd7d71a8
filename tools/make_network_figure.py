"""Make `docs/networks.jpg`: the sample photograph painted by different networks, pretrained and random.

    python tools/make_network_figure.py [--out FILE] [--size PIXELS] [--iterations NUMBER]
                                        [--weights NETWORK=FILE]...

The preset and the paintings are the same for all; a network has the weights that come with the project, those
that are installed, or those that are given, and random ones (He et al. 2015) beside them. Half a minute to
a minute and a half a picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import nst_manual as nst
from nst_manual.images import contact_sheet, read_image, save_image, scale_to
from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path
from nst_manual.store import find_weights

NETWORKS = ("vgg16", "vgg19", "squeezenet", "alexnet", "googlenet", "googlenet-caffe")
PRESET = "gatys"


def main() -> None:
    """Paint, arrange and save."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "networks.jpg")
    arguments.add_argument("--size", type=int, default=256)
    arguments.add_argument("--iterations", type=int, default=100)
    arguments.add_argument("--weights", action="append", default=[], metavar="NETWORK=FILE")
    given = arguments.parse_args()
    files = dict(item.split("=", 1) for item in given.weights)
    pictures = [
        (words, scale_to(read_image(sample_path(name), words), given.size))
        for words, name in (("photograph", CONTENT), ("painting", DEFAULT_STYLE))
    ]
    for network in NETWORKS:
        trained = files.get(network) or find_weights(network)
        for weights in (trained, "random"):
            if weights is None:
                print(f"{network}: no weights are installed; random ones only", flush=True)
                continue
            result = nst.stylize(
                sample_path(CONTENT),
                sample_path(DEFAULT_STYLE),
                network=network,
                weights=str(weights),
                preset=PRESET,
                size=given.size,
                iterations=given.iterations,
            )
            words = "random" if weights == "random" else "pretrained"
            print(f"{network}, {words}: loss {result.loss:.6g} in {result.seconds:.0f} s", flush=True)
            pictures.append((f"{network}, {words}", np.asarray(result.image)))
    save_image(given.out, contact_sheet(pictures, columns=5))


if __name__ == "__main__":
    main()
