"""Make the pictures of `docs/gallery.md` by the commands that stand in it.

    python tools/make_gallery.py [WORD...]

Runs every line of the page that begins with `nst-manual`, from the top of the checkout; with words, those
that contain one of them. Before that, makes the drawing and the masks out of the sample photograph. All of it
takes half an hour on two processors.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from nst_manual.images import save_image
from nst_manual.samples import CONTENT, sample_path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gallery.md"
FOLDER = ROOT / "docs" / "gallery"

# The tower in the sample photograph, in its pixels (x, y).
TOWER = [(205, 28), (198, 32), (196, 60), (94, 112), (122, 135), (84, 178), (100, 235), (62, 268), (82, 300)]
TOWER += [(72, 335), (120, 345), (206, 368), (300, 392), (372, 338), (345, 320), (340, 270), (352, 252)]
TOWER += [(322, 238), (328, 178), (296, 160), (320, 124), (218, 62), (215, 32)]


def drawing() -> np.ndarray:
    """Return the photograph as a line drawing (H, W, 3): an extended difference of Gaussians.

    H. Winnemoeller, J. Kyprianidis, S. Olsen, "XDoG: an extended difference-of-Gaussians compendium" (2012).
    """
    with Image.open(sample_path(CONTENT)) as photograph:
        grey = np.asarray(photograph.convert("L"), float)
    difference = gaussian_filter(grey, 1.0) - 0.985 * gaussian_filter(grey, 1.6)
    lines = np.where(difference > 0.6, 1.0, 1 + np.tanh(0.5 * (difference - 0.6)))
    return np.repeat(np.clip(255 * lines, 0, 255)[..., None], 3, axis=2)


def regions() -> np.ndarray:
    """Return two flat colours (H, W, 3): dark where the tower is, light elsewhere."""
    with Image.open(sample_path(CONTENT)) as photograph:
        picture = Image.new("RGB", photograph.size, (235, 225, 200))
    ImageDraw.Draw(picture).polygon(TOWER, fill=(40, 40, 90))
    return np.asarray(picture)


def tower() -> np.ndarray:
    """Return a soft mask (H, W, 3): white where the tower is."""
    mask = Image.fromarray(regions()).convert("L").point(lambda value: 255 if value < 128 else 0)
    return np.asarray(mask.filter(ImageFilter.GaussianBlur(2)).convert("RGB"))


def main() -> None:
    """Make the inputs, then run the commands."""
    words = sys.argv[1:]
    FOLDER.mkdir(exist_ok=True)
    for name, make in (("drawing", drawing), ("regions", regions), ("tower", tower)):
        save_image(FOLDER / f"{name}.png", make())
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    commands = [line.strip() for line in lines if line.strip().startswith("nst-manual ")]
    for command in commands:
        if words and not any(word in command for word in words):
            continue
        print(f"$ {command}", flush=True)
        arguments = shlex.split(command)[1:]
        subprocess.run([sys.executable, "-m", "nst_manual", *arguments], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
