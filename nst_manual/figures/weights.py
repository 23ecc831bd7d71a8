"""Content against style: the weight of the one in the other, and the layers that make the style.

After the third figure of L. Gatys, A. Ecker, M. Bethge, "A neural algorithm of artistic style" (arXiv
1508.06576), whose loss is

    L = alpha L_content + beta L_style,    L_content = 1/2 sum (F - P)^2,    L_style = sum_l w_l E_l

with w_l = 1 / n for n style layers. A row has the style of the first layer, of the first two, and so on; a
column one ratio alpha / beta. Here, whatever the preset,

    alpha / beta = content weight / style weight

the factors of its two sums, which have the forms that the preset gives them. Of the preset `paper` they are
the forms above, and the ratio is the paper's. Of the others they are means, each layer counts fully, and the
same picture has another ratio (`nst-manual presets A --as B` converts). What else an option does to the
weights comes on top: a representation of style has a unit of its own, and with `--weighting features` both
factors count squared.

Differs from the paper in the network, whose weights the authors rescaled to a mean activation of 1: losses of
content are quadratic in the features and those of style of fourth order, so that a ratio shifts with their
scale. The ratios taken by default are a hundred times the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nst_manual.config import run_config
from nst_manual.figures.defaults import RATIOS, WEIGHTS
from nst_manual.figures.layers import layer_rows, upto_words
from nst_manual.figures.paint import Figure, OnPicture, paint_plan
from nst_manual.figures.plan import Job, Plan, as_list, options_of, read_images, title_of
from nst_manual.options import factors

DECIDED = ("content_weight", "style_layers")


def weights_figure(
    content: Any,
    styles: Any,
    ratios: str | Sequence[float] = RATIOS,
    layers: str | Sequence[Any] | None = None,
    on_picture: OnPicture | None = None,
    **options: Any,
) -> Figure:
    """Paint ratios of content to style against layers of style.

    Parameters
    ----------
    content : path, PIL image or array (H, W, 3) of uint8
    styles : the same, or a list of them
    ratios : str or sequence of float
        Of the columns: content weight / style weight, above 0. The style weight stays the preset's, or the
        one that was given.
    layers : str or sequence, optional
        Of the rows: style layers that are added one by one, with weights where these are given, such as
        "relu1_1,relu2_1:0.5"; without, the preset's.
    on_picture : callable, optional
        See `nst_manual.figures.paint.paint_plan`.
    **options
        Fields of `nst_manual.config.RunConfig`, but for the weight of the content and the layers of the
        style; their defaults are `nst_manual.figures.defaults.WEIGHTS`.

    Returns
    -------
    Figure

    Raises
    ------
    NstError
        A wrong option, a picture that cannot be read, a run that cannot begin.
    """
    return paint_plan(plan_weights(content, styles, ratios, layers, **options), on_picture)


def plan_weights(
    content: Any,
    styles: Any,
    ratios: str | Sequence[float] = RATIOS,
    layers: str | Sequence[Any] | None = None,
    **options: Any,
) -> Plan:
    """Return the plan of `weights_figure`."""
    given = options_of(WEIGHTS, options, DECIDED)
    config = run_config(given)
    columns = factors("--ratios", ratios)
    rows = layer_rows(layers, config, config.settings.style_layers)
    styles = as_list(styles)
    read_images(content, styles)  # a wrong path is told before the work
    weight = config.chosen("style_weight")
    jobs = []
    for number in range(1, len(rows) + 1):
        words = upto_words([name for name, _ in rows[:number]])
        for ratio in columns:
            here = {"style_layers": rows[:number], "content_weight": ratio * weight}
            jobs.append(Job(f"{words}, {power(ratio)}", run_config({**given, **here})))
    title = f"Style layers, content weight / style weight: {title_of(config)}"
    return Plan(content, styles, jobs, len(columns), title)


def power(number: float) -> str:
    """Return "1e-5" or "2.5e-3", the same manner for all."""
    factor, exponent = f"{number:e}".split("e")
    return f"{float(factor):g}e{int(exponent)}"
