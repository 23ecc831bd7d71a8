"""How far float32 is from float64: each convolution algorithm at each layer, and the gradient of the image.

    python tools/measure_accuracy.py [--network vgg16] [--weights FILE] [--preset gatys] [--size 256]
                                     [--content PHOTO] [--style PAINTING] [--inputs 5]

Layers: every convolution of the network, up to the last that a default loss looks at, is given the output
that the layer before it has in float64, rounded to float32; the error is ||y - y64|| / ||y64||, and the same
for dx of a random upstream gradient. Gradient: the objective at the photograph and at noisy copies of it,
each algorithm and (where it is installed) PyTorch in float32 against ours in float64: the root mean square of
the errors, and their median.

The error of the gradient is not spread evenly. Nearly all of it comes from single values beside zero that a
ReLU takes for positive in one precision and not in the other, some 1e-4 of the gradient each; how many of
them there are is a matter of luck, and of the errors of the layers. So one input alone says little.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from nst_manual.check import relative_error
from nst_manual.config import objective_config
from nst_manual.errors import UsageError
from nst_manual.images import to_network
from nst_manual.kernels.conv import algorithms_on
from nst_manual.nn import Conv2d
from nst_manual.objective import Objective
from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path

ALGORITHMS = algorithms_on("cpu")


def layer_errors(objective: Objective) -> list[dict]:
    """Return the errors of each algorithm at each convolution of a plain objective in float64."""
    rng = np.random.default_rng(0)
    x = to_network(objective.content, "float64")
    rows = []
    for module in objective.network:
        y = module.forward(x)
        if isinstance(module, Conv2d):
            dy = rng.standard_normal(y.shape)
            dx = module.backward(x, dy)
            row = {"layer": module.name}
            for name, algorithm in ALGORITHMS.items():
                if module.supported_by(name):
                    w, b = (array.astype("float32") for array in (module.weight, module.bias))
                    narrow = x.astype("float32")
                    # what rounding the input does is not the algorithm's error
                    exact = ALGORITHMS["matmul"].forward(
                        narrow.astype(float), w.astype(float), b.astype(float), *module.geometry
                    )
                    forward = algorithm.forward(narrow, w, b, *module.geometry)
                    backward = algorithm.input_gradient(dy.astype("float32"), w, x.shape, *module.geometry)
                    row[name] = {
                        "forward": relative_error(forward, exact),
                        "backward": relative_error(backward, dx),
                    }
            rows.append(row)
        x = y
        module.clear_state()
    return rows


def gradient_errors(content: str, style: str, options: dict, inputs: int) -> dict[str, dict[str, float]]:
    """Return the errors of the image's gradient in float32, by algorithm and for PyTorch."""
    exact = Objective(content, [style], dtype="float64", **options)
    images = _inputs(exact.content, inputs)
    gradients = [exact(image.astype(float))[1].copy() for image in images]
    found = {}
    for algorithm in ("auto", *ALGORITHMS):
        if algorithm != "direct":  # hours
            objective = Objective(content, [style], algorithm=algorithm, **options)
            found[algorithm] = _errors(objective, images, gradients)
    try:
        from nst_manual.check.torch_objective import TorchObjective

        found["PyTorch"] = _errors(TorchObjective(content, [style], **options), images, gradients)
    except UsageError as missing:
        print(missing)
    return found


def _inputs(content: np.ndarray, count: int) -> list[np.ndarray]:
    """Return the photograph (1, H, W, 3) in float32, and copies with noise."""
    rng, image = np.random.default_rng(0), to_network(content)
    noisy = [np.clip(image + rng.normal(0, 12, image.shape), 0, 255) for _ in range(count - 1)]
    return [image, *(array.astype("float32") for array in noisy)]


def _errors(objective: Any, images: list[np.ndarray], gradients: list[np.ndarray]) -> dict[str, float]:
    """Return the root mean square and the median of the errors of an objective's gradients."""
    errors = [
        relative_error(objective(image)[1], exact) for image, exact in zip(images, gradients, strict=True)
    ]
    return {"rms": float(np.sqrt(np.mean(np.square(errors)))), "median": float(np.median(errors))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="vgg16")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--content", default=str(sample_path(CONTENT)))
    parser.add_argument("--style", default=str(sample_path(DEFAULT_STYLE)))
    parser.add_argument("--weights")
    parser.add_argument("--preset", default="gatys")
    parser.add_argument("--inputs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    options = {name: getattr(arguments, name) for name in ("network", "weights", "preset", "size")}
    objective_config(options)  # a wrong option is told at once
    plain = Objective(
        arguments.content, [arguments.style], dtype="float64", plain=True, algorithm="matmul", **options
    )
    result = {
        "layers": layer_errors(plain),
        "gradient": gradient_errors(arguments.content, arguments.style, options, arguments.inputs),
    }
    if arguments.json:
        print(json.dumps(result))
        return
    for row in result["layers"]:
        parts = (
            f"{name} {e['forward']:.1e} {e['backward']:.1e}" for name, e in row.items() if name != "layer"
        )
        print(f"{row['layer']:10s} forward, backward:  " + "   ".join(parts))
    for name, found in result["gradient"].items():
        print(f"gradient of the image, {name:10s} rms {found['rms']:.2e}   median {found['median']:.2e}")


if __name__ == "__main__":
    main()
