"""The same photograph and painting with several networks, with their weights and with random ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nst_manual.config import run_config
from nst_manual.figures.defaults import NETWORK_NAMES, NETWORKS
from nst_manual.figures.paint import Figure, OnPicture, paint_plan
from nst_manual.figures.plan import Job, Plan, as_list, at_size, options_of, read_images, title_of
from nst_manual.nets import get_network
from nst_manual.store import find_weights

# Layers are called by other names in other networks.
DECIDED = ("network", "weights", "content_layers", "style_layers")


def networks_figure(
    content: Any,
    styles: Any,
    networks: Sequence[str] = NETWORK_NAMES,
    files: Mapping[str, Any] | None = None,
    on_picture: OnPicture | None = None,
    **options: Any,
) -> Figure:
    """Paint the same transfer with several networks.

    Of each network, with the weights that are given, installed or bundled, where there are any; and with
    random ones (He et al. 2015), which carry colours and edges, and nothing larger. Preset and images are the
    same for all; presets name VGG's layers, and layers of the same depth stand for them.

    Parameters
    ----------
    content : path, PIL image or array (H, W, 3) of uint8
    styles : the same, or a list of them
    networks : sequence of str
    files : mapping of str to path, optional
        Network -> weight file.
    on_picture : callable, optional
        See `nst_manual.figures.paint.paint_plan`.
    **options
        Fields of `nst_manual.config.RunConfig`, but for network, weights and layers; their defaults are
        `nst_manual.figures.defaults.NETWORKS`.

    Returns
    -------
    Figure
        Photograph and paintings, then network by network.

    Raises
    ------
    NstError
        A wrong option, a picture that cannot be read, a run that cannot begin.
    """
    return paint_plan(plan_networks(content, styles, networks, files, **options), on_picture)


def plan_networks(
    content: Any,
    styles: Any,
    networks: Sequence[str] = NETWORK_NAMES,
    files: Mapping[str, Any] | None = None,
    **options: Any,
) -> Plan:
    """Return the plan of `networks_figure`."""
    given = options_of(NETWORKS, options, DECIDED)
    files = files or {}
    styles = as_list(styles)
    pictures = read_images(content, styles)
    jobs = []
    for name in (get_network(network).name for network in [*networks, *files]):
        trained = files.get(name) or find_weights(name)
        for weights, words in ((trained, "pretrained"), ("random", "random")):
            caption = f"{name}, {words}"
            if weights is not None and caption not in [job.caption for job in jobs]:
                here = {"network": name, "weights": str(weights)}
                jobs.append(Job(caption, run_config({**given, **here})))
    config = run_config(given)
    columns = even_columns(len(pictures) + len(jobs))
    shown = at_size(pictures, config.size)
    return Plan(content, styles, jobs, columns, title_of(config, ["network"]), shown)


def even_columns(count: int) -> int:
    """Return the columns of so many pictures: about as wide as high, and as few empty places as can be."""
    usual = max(1, round(math.sqrt(1.5 * count)))
    possible = range(max(1, usual - 1), min(count, usual + 2) + 1)
    return min(possible, key=lambda columns: (-count % columns, abs(columns - usual), -columns))
