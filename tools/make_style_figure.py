"""Make `docs/representations.jpg`: the sample photograph painted by every representation of style.

    python tools/make_style_figure.py [--out FILE] [--size PIXELS] [--iterations NUMBER] [NAME...]

Representations measure in different units. So that pictures can be compared, the weight of each is such that
at the photograph its loss is as large as that of Gram matrices is there. A minute a picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import nst_manual as nst
from nst_manual.config import DEFAULT_PRESET
from nst_manual.images import contact_sheet, read_image, save_image, scale_to
from nst_manual.presets import STYLE_REPRESENTATIONS, get_preset
from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path


def main() -> None:
    """Paint, arrange and save."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("names", nargs="*", metavar="NAME", help="representations; all without")
    arguments.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1] / "docs" / "representations.jpg"
    )
    arguments.add_argument("--size", type=int, default=256)
    arguments.add_argument("--iterations", type=int, default=100)
    arguments.add_argument("--network", default="vgg16")
    given = arguments.parse_args()
    pictures = [
        (words, scale_to(read_image(sample_path(name), words), given.size))
        for words, name in (("photograph", CONTENT), ("painting", DEFAULT_STYLE))
    ]
    paths = sample_path(CONTENT), sample_path(DEFAULT_STYLE)
    options = {"network": given.network, "size": given.size}
    wanted = style_loss(paths, options, "gram")
    weight = get_preset(DEFAULT_PRESET).style_weight
    for name in given.names or STYLE_REPRESENTATIONS:
        factor = wanted / style_loss(paths, options, name)
        result = nst.stylize(
            *paths,
            **options,
            style_representation=name,
            style_weight=weight * factor,
            iterations=given.iterations,
        )
        print(
            f"{name}: weight {weight * factor:.3g}, loss {result.loss:.6g}, {result.seconds:.0f} s",
            flush=True,
        )
        pictures.append((name, np.asarray(result.image)))
    save_image(given.out, contact_sheet(pictures, columns=4))


def style_loss(paths: tuple[Path, Path], options: dict, name: str) -> float:
    """Return the style loss of the photograph."""
    objective = nst.Objective(paths[0], [paths[1]], **options, style_representation=name)
    objective.measure(objective.content[None])
    return sum(loss for key, loss in objective.losses.items() if key.startswith("style/"))


if __name__ == "__main__":
    main()
