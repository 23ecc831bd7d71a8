"""How far float32 is from float64: each convolution algorithm at each layer, and the gradient of the image.

    python tools/measure_accuracy.py [--network vgg16] [--size 256] [--content PHOTO] [--style PAINTING]

Layers: every convolution of the network, up to the last that a default loss looks at, is given the output
that the layer before it has in float64, rounded to float32; the error is ||y - y64|| / ||y64||, and the same
for dx of a random upstream gradient. Gradient: the objective with default losses, at the photograph, each
algorithm and (where it is installed) PyTorch in float32 against ours in float64. The weights are the bundled
ones.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from nst_manual.check import relative_error
from nst_manual.config import objective_config
from nst_manual.errors import UsageError
from nst_manual.images import to_network
from nst_manual.kernels.conv import ALGORITHMS
from nst_manual.nn import Conv2d
from nst_manual.objective import Objective
from nst_manual.samples import CONTENT, DEFAULT_STYLE, sample_path


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


def gradient_errors(content: str, style: str, options: dict) -> dict[str, float]:
    """Return the error of the image's gradient in float32, by algorithm and for PyTorch."""
    exact = Objective(content, [style], dtype="float64", **options)
    image = to_network(exact.content, "float64")
    gradient = exact(image)[1]
    found = {}
    for algorithm in ("auto", *ALGORITHMS):
        if algorithm != "direct":  # hours
            objective = Objective(content, [style], algorithm=algorithm, **options)
            found[algorithm] = relative_error(objective(image)[1], gradient)
    try:
        from nst_manual.check.torch_objective import TorchObjective

        found["PyTorch"] = relative_error(
            TorchObjective(content, [style], **options)(image.astype("float32"))[1], gradient
        )
    except UsageError as missing:
        print(missing)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="vgg16")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--content", default=str(sample_path(CONTENT)))
    parser.add_argument("--style", default=str(sample_path(DEFAULT_STYLE)))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    options = {"network": arguments.network, "size": arguments.size}
    objective_config(options)  # a wrong option is told at once
    plain = Objective(
        arguments.content, [arguments.style], dtype="float64", plain=True, algorithm="matmul", **options
    )
    result = {
        "layers": layer_errors(plain),
        "gradient": gradient_errors(arguments.content, arguments.style, options),
    }
    if arguments.json:
        print(json.dumps(result))
        return
    for row in result["layers"]:
        parts = (
            f"{name} {e['forward']:.1e} {e['backward']:.1e}" for name, e in row.items() if name != "layer"
        )
        print(f"{row['layer']:10s} forward, backward:  " + "   ".join(parts))
    print("gradient of the image: " + "   ".join(f"{k} {v:.2e}" for k, v in result["gradient"].items()))


if __name__ == "__main__":
    main()
