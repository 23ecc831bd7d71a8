"""What a style weight has to be multiplied by for each representation to pull as Gram matrices do.

    python tools/measure_style_units.py

For the sample photograph and each sample painting, with vgg16 at 256 pixels: the norm of the gradient of the
style losses at the photograph, that of Gram matrices over that of the representation, and the geometric mean.
`nst_manual.presets.STYLE_UNITS` has it to one digit. Half a minute.
"""

from __future__ import annotations

import numpy as np

import nst_manual as nst
from nst_manual.presets import STYLE_REPRESENTATIONS, STYLE_UNITS
from nst_manual.samples import CONTENT, STYLES, sample_path


def main() -> None:
    """Measure and print."""
    lengths: dict[str, list[float]] = {}
    for name in STYLE_REPRESENTATIONS:
        lengths[name] = []
        for style in STYLES:
            objective = nst.Objective(
                sample_path(CONTENT),
                [sample_path(style)],
                network="vgg16",
                preset="gatys",
                content_weight=0,
                style_weight=1000,
                style_representation=name,
            )
            _, dx = objective(objective.content[None])
            lengths[name].append(float(np.linalg.norm(dx)))
        ratios = np.array(lengths["gram"]) / lengths[name]
        mean = np.exp(np.log(ratios).mean())
        each = " ".join(f"{ratio:6.2f}" for ratio in ratios)
        print(f"{name:20s}{each}   mean {mean:6.2f}   in use {STYLE_UNITS[name]:g}", flush=True)


if __name__ == "__main__":
    main()
