"""`bench`: seconds and memory, beside PyTorch's."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from nst_manual.cli.options import with_options
from nst_manual.config import RunConfig
from nst_manual.nets import NETWORKS

FRAMEWORKS = ("torch",)
DEFAULT_NETWORK = "vgg19"
OPTIONS = ("pooling", "dtype", "algorithm", "plain", "preset", "content_layers", "style_layers", "threads")
OPTIONS += ("device", "tf32")


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(with_options(RunConfig, OPTIONS)(bench))


def bench(
    framework: Annotated[
        str | None, typer.Option("--with", metavar="torch", help="Compare with.", show_default=False)
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="HxW", help="Image size in pixels; one number: a square.")
    ] = "512",
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
    repeat: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Turns of each. [dim]\\[default: 5; 1 with --end-to-end][/dim]",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--torch-variant",
            metavar="NAME",
            help="Also measure PyTorch with: inplace, channels-last, compile, bfloat16, or all of them.",
            show_default=False,
        ),
    ] = None,
    end_to_end: Annotated[
        bool, typer.Option("--end-to-end", help="Measure whole runs of L-BFGS, with a log.")
    ] = False,
    iterations: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", help="Of --end-to-end. [dim]\\[default: 30][/dim]", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    *,
    options: dict[str, Any],
) -> None:
    """Measure an evaluation of loss and gradient: the median of several, and the peak memory.

    Each subject has a process of its own, and they take turns. For a network without installed weights,
    random ones are taken, since the time does not depend on them. On a GPU (--device cuda) PyTorch computes
    there too, with TF32 or without as --tf32 says.
    """
    options |= {"network": network, "weights": weights}
    settings = _settings(framework, size, repeat, variant or [], end_to_end, iterations, options)

    from nst_manual.bench.compare import compare
    from nst_manual.cli.bench_table import print_report

    report = compare(settings)
    if as_json:
        print(json.dumps(report))
    else:
        print_report(report)


def _settings(
    framework: str | None,
    size: str,
    repeat: str | None,
    variants: list[str],
    end_to_end: bool,
    iterations: str | None,
    options: dict[str, Any],
) -> Any:
    """Return the settings of the comparison; raise `UsageError`."""
    from nst_manual.bench.settings import DEFAULT_VARIANT, VARIANTS, Settings
    from nst_manual.config import run_config
    from nst_manual.errors import UsageError, unknown_name
    from nst_manual.options import image_size, whole

    if framework is not None and framework not in FRAMEWORKS:
        raise unknown_name("--with", framework, FRAMEWORKS)
    if framework is None and variants:
        raise UsageError("--torch-variant", "has a meaning only beside --with torch")
    if iterations is not None and not end_to_end:
        raise UsageError("--iterations", "has a meaning only beside --end-to-end")
    for name in variants:
        if name not in (*VARIANTS, "all"):
            raise unknown_name("--torch-variant", name, (*VARIANTS, "all"))
    pixels = image_size(size)
    options = options | {"network": options["network"] or DEFAULT_NETWORK}
    config = run_config(
        options | {"size": max(pixels)}
    )  # raises for an unknown network before it is looked for
    _expect_to_fit(config, pixels)
    options["device"] = _device(config)
    if framework:
        _expect_torch()
    if config.weights is None and not _has_weights(config.network):
        options["weights"] = "random"
    config = run_config(options | {"size": max(pixels)})
    return Settings(
        config,
        pixels,
        (VARIANTS if "all" in variants else (DEFAULT_VARIANT, *variants)) if framework else (),
        "all" in variants,
        whole(1)("--repeat", repeat if repeat is not None else 1 if end_to_end else 5),
        whole(1)("--iterations", 30 if iterations is None else iterations) if end_to_end else None,
    )


def _expect_to_fit(config: RunConfig, size: tuple[int, int]) -> None:
    """Raise `UsageError` for an unknown layer, or a size too small for one, before any process is started."""
    from nst_manual.nets import get_network
    from nst_manual.nets.geometry import layers

    wanted = [*config.weighted_layers("content"), *config.weighted_layers("style")]
    layers(get_network(config.network).covering(wanted), size)


def _device(config: RunConfig) -> str:
    """Return "cpu" or "cuda"; raise `UsageError` where there is no GPU, before any process is started."""
    from nst_manual.backend import open_device
    from nst_manual.objective.network import check_device

    device, _ = open_device(config.device)
    check_device(config, device)
    return device


def _has_weights(network: str) -> bool:
    from nst_manual.store.find import find_weights

    return find_weights(network) is not None


def _expect_torch() -> None:
    """Raise `UsageError` where PyTorch is missing, before any process is started."""
    import importlib.util

    from nst_manual.errors import UsageError

    if importlib.util.find_spec("torch") is None:
        raise UsageError("--with torch", "PyTorch is not installed", "pip install torch")
