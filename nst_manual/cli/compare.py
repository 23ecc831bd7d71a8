"""`compare`: every row's output and gradient beside another framework's."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from nst_manual.cli.options import with_options
from nst_manual.config import RunConfig
from nst_manual.nets import NETWORKS

# the keys of nst_manual.check.layers.FRAMEWORKS, which imports NumPy
FRAMEWORKS = {"torch": "pip install torch", "jax": 'pip install "jax[cpu]"'}
DEFAULT_NETWORK = "vgg19"
OPTIONS = (
    *("pooling", "dtype", "algorithm", "plain", "preset", "content_layers", "style_layers"),
    *("threads", "seed"),
)


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(with_options(RunConfig, OPTIONS)(compare))


def compare(
    framework: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="torch|jax",
            help="Compare with. Given twice, each row is put to the vote.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="HxW", help="Image size in pixels; one number: a square.")
    ] = "128",
    network: Annotated[
        str, typer.Option(metavar="NAME", help=f"One of {', '.join(NETWORKS)}.")
    ] = DEFAULT_NETWORK,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help='A weight file, or "random". [dim]\\[default: the network\'s file, else random][/dim]',
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    *,
    options: dict[str, Any],
) -> None:
    """Compare every row of a network with the same row of PyTorch or JAX: its output and its gradient.

    The loss and the image gradient of the preset are compared too. Names the first row that differs by more
    than rounding; the exit code is 1 if there is one, or if the losses are two functions.
    """
    frameworks = _frameworks(framework or [])
    config, pixels = _config(size, options | {"network": network, "weights": weights})

    from nst_manual.check.compare import compare as run

    report = run(config, pixels, frameworks)
    if as_json:
        print(json.dumps(report["frameworks"][0] if len(frameworks) == 1 else report, allow_nan=False))
    else:
        from nst_manual.cli.compare_table import print_report

        print_report(report)
    if report["diverges"]:
        raise typer.Exit(1)


def _frameworks(names: list[str]) -> list[str]:
    """Return the frameworks, each once; raise `UsageError` for one that is unknown or not installed."""
    import importlib.util

    from nst_manual.errors import UsageError, unknown_name

    if not names:
        raise UsageError("compare", "nothing to compare with", "compare --with torch, or --with jax, or both")
    for name in names:
        if name not in FRAMEWORKS:
            raise unknown_name("--with", name, FRAMEWORKS)
        if importlib.util.find_spec(name) is None:
            called = {"torch": "PyTorch", "jax": "JAX"}[name]
            raise UsageError(f"--with {name}", f"{called} is not installed", FRAMEWORKS[name])
    return list(dict.fromkeys(names))


def _config(size: str, options: dict[str, Any]) -> tuple[Any, tuple[int, int]]:
    """Return the options, checked, and height and width; random weights where the network has none."""
    from nst_manual.config import run_config
    from nst_manual.options import image_size
    from nst_manual.store.find import find_weights

    pixels = image_size(size)
    options = options | {"size": max(pixels)}
    config = run_config(options)  # raises for an unknown network before its weights are looked for
    if config.weights is None and find_weights(config.network) is None:
        config = run_config(options | {"weights": "random"})
    return config, pixels
