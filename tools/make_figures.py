"""Make `docs/samples.jpg`, the picture at the top of the README: the sample photograph in the four sample
styles.

    python tools/make_figures.py [--out FILE] [--size PIXELS] [--iterations NUMBER]

Everything else is as `run` has it by default, with the bundled weights; a minute or two a picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

import nst_manual as nst
from nst_manual.images import save_image
from nst_manual.samples import CONTENT, STYLES, sample_path

GAP = 10  # pixels between pictures


def main() -> None:
    """Paint, arrange and save."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "samples.jpg")
    arguments.add_argument("--size", type=int, default=256)
    arguments.add_argument("--iterations", type=int, default=100)
    given = arguments.parse_args()
    painted = []
    for style in STYLES:
        result = nst.stylize(
            sample_path(CONTENT),
            sample_path(style),
            network="vgg16",
            size=given.size,
            iterations=given.iterations,
        )
        print(f"{style}: loss {result.loss:.6g} in {result.seconds:.0f} s", flush=True)
        painted.append(result.image)
    given.out.parent.mkdir(exist_ok=True)
    save_image(given.out, arrange(painted))


def arrange(painted: list[Image.Image]):  # noqa: ANN201 - an array (H, W, 3) of uint8
    """Return one picture: the photograph on the left, and a column a style, the painting over what came of
    it.
    """
    import numpy as np

    width, height = painted[0].size
    paintings = [fitted(sample_path(style), width) for style in STYLES]
    top = max(picture.height for picture in paintings)
    columns = len(STYLES) + 1
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, top + GAP + height), "white")
    sheet.paste(fitted(sample_path(CONTENT), width), (0, top + GAP))
    for column, (painting, result) in enumerate(zip(paintings, painted, strict=True), start=1):
        sheet.paste(painting, (column * (width + GAP), top - painting.height))
        sheet.paste(result, (column * (width + GAP), top + GAP))
    return np.asarray(sheet)


def fitted(path: Path, width: int) -> Image.Image:
    """Return a picture at that width."""
    with Image.open(path) as picture:
        height = round(picture.height * width / picture.width)
        return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
