"""Command-line options made of the fields of a config dataclass: no default or help stands twice."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any

import typer

from nst_manual.options import flag


def with_options(cls: type, names: Collection[str] | None = None) -> Callable[[Callable], Callable]:
    """Give a command an option for each field of `cls`, or for those of `names`: its argument `options`, None
    where not given.

    Values arrive as text and are checked by the config, which says the same to Python callers. The decorated
    function takes `options` as its last argument and by keyword.
    """

    def decorate(command: Callable) -> Callable:
        given = [
            p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "options"
        ]

        def wrapped(**values: Any) -> None:
            command(**{p.name: values.pop(p.name) for p in given}, options=values)

        parameters = [
            _parameter(field) for field in dataclasses.fields(cls) if names is None or field.name in names
        ]
        parameters += [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in given]
        wrapped.__signature__ = inspect.Signature(parameters)
        wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        return wrapped

    return decorate


def output_option(help: str, default: str) -> Any:  # noqa: A002 - the word that command lines use
    """Return the annotation of `--output`."""
    option = typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help=f"{help} [dim]\\[default: {default}][/dim]",
        show_default=False,
        rich_help_panel="Output",
    )
    return Annotated[str | None, option]


# Of a run that is made again or gone on with.
Moved = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONTENT STYLE...]",
        help="Photograph and paintings, if they are elsewhere now.",
        show_default=False,
    ),
]


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a command that were given: a switch that is not set is none of them."""
    return {name: value for name, value in options.items() if value not in (None, False)}


def _parameter(field: dataclasses.Field) -> inspect.Parameter:
    """Return one option as typer wants it."""
    about = field.metadata
    is_switch = field.default is False
    shown = about["shown"] or str(field.default)
    option = typer.Option(
        flag(field.name),
        # typer would put a default of ours in parentheses, as if it were a remark
        help=about["help"] + ("" if is_switch else f" [dim]\\[default: {shown}][/dim]"),
        metavar=about["metavar"],
        show_default=False,
        rich_help_panel=about["group"],
    )
    kind = bool if is_switch else str | None
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if is_switch else None,
        annotation=Annotated[kind, option],
    )
