"""Our network beside another framework's, row by row: where they part, and by how much.

Errors are ||a - b|| / ||b||, with b the other framework's. Each row has two kinds of them:

    own chain     a from our network, b from the other: image in, every row fed by the one before it, a random
                  upstream gradient on top. The errors of all rows on the way are in it.
    same input    a from our row, fed the other framework's input and the other's upstream gradient. Only the
                  row's own error is in it, and so only this one has a bound, and decides.

Rows in branches are compared one by one as well; a row that joins them is compared as such.

**The bound of a row.** With u half the spacing of the numbers at 1 (float32: 6e-8, float64: 1.1e-16), a sum
of K products is off by at most K u of the sum of their sizes, and, as rounding errors go up as often as down,
by some sqrt(K) u (N. Higham, T. Mary, "A new approach to probabilistic rounding error analysis", SIAM J. Sci.
Comput. 41, 2019). The widest row of VGG, 3 x 3 positions of 512 channels, has K = 4608 and sqrt(K) u = 4e-6
in float32. Products are summed in blocks, which leaves less: between two frameworks, 2e-7 to 9e-7 have been
measured at VGG's layers. Hence

    float32, sums                   3e-6
    float32, Winograd's algorithm   1e-5    its transforms add and subtract numbers of different size: 5e-7 to
                                            5e-6 measured (`nst_manual.kernels.conv_winograd`)
    float32, ReLU and max-pool      5e-7    they choose, and add the few windows that meet in a pixel
    float64                         1e-11   measured: 2e-15, by Winograd's algorithm 1e-14

A mistake of those that are made (a kernel not turned, a scale forgotten, a border lost) is far above.

**Why the own chain has no bound.** A ReLU lets a value through or not, a max-pool sends the gradient to one
pixel or to its neighbour. Where our value is 1e-7 on one side of the fence and the other's on the other side,
the gradient takes another path there, and differs by its whole size. One such place among the 260,000 of
VGG-19's relu3_2 at 128 x 128 pixels made the error of all gradients below it 6e-3, when those above had
4e-6. `choices_changed` counts these places. In float64 they hardly occur.

**The whole objective.** Loss and image gradient of a preset, with content, Gram and total-variation terms,
ours as it runs (fused unless `plain`). Its gradient is one of the own chain: in float32 its bound says no
more than that it is the same function, and float64 is the place to look closer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from nst_manual.check.diagnosis import finite, relative_error
from nst_manual.check.layers import FRAMEWORKS, Chain, OurLayers, network_of, run_chain, wiring
from nst_manual.check.votes import votes
from nst_manual.config import RunConfig
from nst_manual.errors import unknown_name
from nst_manual.images import read_image, resize, to_uint8
from nst_manual.nets.geometry import layers as geometry
from nst_manual.nn import Conv2d, MaxPool2d, Module, ReLU
from nst_manual.objective import Objective
from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path

BOUNDS = {
    "float32": {"sum": 3e-6, "winograd": 1e-5, "choice": 5e-7},
    "float64": {"sum": 1e-11, "winograd": 1e-11, "choice": 1e-11},
}
LOSS_BOUNDS = {"float32": 1e-4, "float64": 1e-10}
IMAGE_GRADIENT_BOUNDS = {"float32": 3e-2, "float64": 1e-8}
NOISE = (
    10  # of the image that is compared, in units of pixels: at the photograph itself the content loss is 0
)


def compare(
    config: RunConfig, size: tuple[int, int], frameworks: Sequence[str], *, costs: bool = True
) -> dict[str, Any]:
    """Return the report of a comparison with one framework or several.

    Parameters
    ----------
    config : RunConfig
        Network, weights, preset, dtype, algorithm, threads; its `size` is not used.
    size : (int, int)
        Height and width of the image in pixels.
    frameworks : sequence of str
        Keys of `nst_manual.check.layers.FRAMEWORKS`, each once.

    costs : bool
        Measure seconds and memory too (`nst_manual.check.compare_cost`).

    Returns
    -------
    dict
        "diverges", "frameworks" (one object each), and with more than one "votes" (`nst_manual.check.votes`).
        An object has "framework", "network", "layers" (of each row: "name", "output_error" and
        "gradient_error" of the own chain, "local_error" and "local_gradient_error" on the same input,
        "bound", "algorithm", "choices_changed", "diverges"), "preprocess" (the same of the row before them),
        "first_divergence" (a name or None), "loss_error", "image_gradient_error" and "losses" (errors by
        name) of the objective. Errors that are not finite are None.

    Raises
    ------
    UsageError
        Unknown framework, one that is not installed, or an image too small for the network.
    WeightsError
        The weights cannot be read.
    """
    for name in frameworks:
        if name not in FRAMEWORKS:
            raise unknown_name("--with", name, FRAMEWORKS)
    config = dataclasses.replace(config, size=max(size), style_size=None)
    geometry(network_of(config), size)  # raises where the image is too small
    others = {name: FRAMEWORKS[name](config) for name in frameworks}
    ours = OurLayers(config)
    pictures = [_sample(name, size) for name in (CONTENT, DEFAULT_STYLE)]
    objective = Objective(pictures[0], [pictures[1]], config=config)
    rng = np.random.default_rng(config.seed)
    image = (pictures[0] + rng.normal(0, NOISE, (1, *size, 3))).astype(config.dtype)
    dy = rng.standard_normal(ours.output_shape(image.shape)).astype(config.dtype)
    with ExitStack() as stack:
        for layers in (ours, *others.values()):
            stack.enter_context(layers.session(config.threads))
        inputs = wiring(config)
        our_chain, our_choices = run_chain(ours, inputs, image, dy), dict(ours.choices)
        answer = objective(image)
        reports, chains = [], []
        for name, layers in others.items():
            chains.append(run_chain(layers, inputs, image, dy))
            compared = _rows(ours, our_chain, our_choices, chains[-1], config.dtype)
            their_objective = _objective(name, pictures, config)
            whole = _whole(objective.losses, answer, their_objective(image), their_objective.losses)
            reports.append(_report(name, config, size, ours.note, compared, whole))
        report: dict[str, Any] = {"diverges": any(found["diverges"] for found in reports)}
        report["frameworks"] = reports
        if len(others) > 1:
            bounds = [row["bound"] for row in compared]
            exact = BOUNDS[config.dtype]["sum"]
            report["votes"] = votes({"ours": ours, **others}, chains[0], bounds, exact)
    if costs:
        _add_costs(reports, config, size)
    return report


def local_bound(module: Module, dtype: str) -> float:
    """Return the largest error on the same input that is rounding; a convolution has run before."""
    bounds = BOUNDS[dtype]
    if isinstance(module, (ReLU, MaxPool2d)):
        return bounds["choice"]
    if isinstance(module, Conv2d) and module.chosen.startswith("winograd"):
        return bounds["winograd"]
    return bounds["sum"]


def _rows(
    ours: OurLayers, our_chain: Chain, our_choices: dict[int, np.ndarray], chain: Chain, dtype: str
) -> list[dict[str, Any]]:
    """Return the errors of each row, of the preprocessing first."""
    found = []
    for index, name in enumerate(ours.names):
        y, pullback = ours.run(index, *chain.read(index))
        dx = _flat(pullback(chain.gradients[index + 1]))
        module = ours.module(index)
        local = relative_error(y, chain.values[index + 1]), relative_error(dx, _flat(chain.pulled[index]))
        bound = local_bound(module, dtype)
        changed = None
        if index in our_choices:
            changed = int(np.sum(our_choices[index] != ours.choices[index]))
        found.append(
            {
                "name": name,
                "output_error": finite(relative_error(our_chain.values[index + 1], chain.values[index + 1])),
                "gradient_error": finite(
                    relative_error(_flat(our_chain.pulled[index]), _flat(chain.pulled[index]))
                ),
                "local_error": finite(local[0]),
                "local_gradient_error": finite(local[1]),
                "bound": bound,
                "algorithm": module.chosen if isinstance(module, Conv2d) else "",
                "choices_changed": changed,
                "diverges": not max(local) <= bound,
            }
        )
    return found


def _flat(gradients: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the gradients of a row's inputs as one array; nearly always there is one."""
    return gradients[0] if len(gradients) == 1 else np.concatenate([dx.ravel() for dx in gradients])


def _whole(
    our_losses: dict[str, float],
    ours: tuple[float, np.ndarray],
    theirs: tuple[float, np.ndarray],
    their_losses: dict[str, float],
) -> dict[str, Any]:
    """Return the errors of the objective: its gradient, its loss, and each of its losses."""
    losses = {name: relative_error(our_losses[name], loss) for name, loss in their_losses.items()}
    return {
        "image_gradient_error": relative_error(ours[1], theirs[1]),
        "loss_error": relative_error(ours[0], theirs[0]),
        "losses": {name: finite(error) for name, error in losses.items()},
    }


def _report(
    name: str,
    config: RunConfig,
    size: tuple[int, int],
    note: str,
    compared: list[dict[str, Any]],
    whole: dict[str, Any],
) -> dict[str, Any]:
    """Return what the report has of a framework."""
    from importlib.metadata import version

    bounds = {"loss": LOSS_BOUNDS[config.dtype], "image_gradient": IMAGE_GRADIENT_BOUNDS[config.dtype]}
    same_function = all(whole[f"{key}_error"] <= bound for key, bound in bounds.items())
    first = next((row["name"] for row in compared if row["diverges"]), None)
    return {
        "framework": name,
        "network": config.network,
        "layers": compared[1:],
        "first_divergence": first,
        "image_gradient_error": finite(whole["image_gradient_error"]),
        "loss_error": finite(whole["loss_error"]),
        "losses": whole["losses"],
        "objective_bounds": bounds,
        "objective_diverges": not same_function,
        "diverges": first is not None or not same_function,
        "preprocess": compared[0],
        "size": list(size),
        "dtype": config.dtype,
        "preset": config.preset,
        "pooling": config.chosen("pooling"),
        "weights": note,
        "threads": config.threads,
        "versions": {module: version(module) for module in ("numpy", name)},
    }


def _objective(name: str, pictures: list[np.ndarray], config: RunConfig) -> Any:
    """Return a framework's objective."""
    if name == "torch":
        from nst_manual.check.torch_objective import TorchObjective as Made
    else:
        from nst_manual.check.jax_objective import JaxObjective as Made
    return Made(pictures[0], [pictures[1]], config=config)


def _add_costs(reports: list[dict[str, Any]], config: RunConfig, size: tuple[int, int]) -> None:
    """Put seconds and memory into the reports, ours measured once for all of them."""
    from nst_manual.check.compare_cost import measure

    ours = measure("ours", config, size)
    for report in reports:
        report["ours"] = ours
        report[report["framework"]] = measure(report["framework"], config, size)


def _sample(name: str, size: tuple[int, int]) -> np.ndarray:
    """Return a sample picture (H, W, 3) of uint8, stretched to the size: nobody will look at it."""
    return to_uint8(resize(read_image(sample_path(name), name), size))
