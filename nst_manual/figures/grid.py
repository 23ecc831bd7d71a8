"""One option against another: a picture for each pair of their values.

    grid_figure("photo.jpg", "painting.jpg", rows=("style_weight", [10, 100]), columns=("seed", [0, 1]))

Losses of different weights, layers or networks do not compare, so no losses are shown.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from nst_manual.config import RunConfig, run_config
from nst_manual.errors import UsageError, unknown_name
from nst_manual.figures.defaults import GRID
from nst_manual.figures.paint import Figure, OnPicture, paint_plan
from nst_manual.figures.plan import Job, Plan, as_list, options_of, read_images, title_of

Axis = tuple[str, Sequence[Any]]  # an option, and its values
STRIP = 6  # pictures of one option side by side, or one below the other; more of them stand in rows
NOTHING = "default"  # a value that leaves the option as it is where it is not given


def grid_figure(
    content: Any,
    styles: Any,
    rows: Axis | None = None,
    columns: Axis | None = None,
    on_picture: OnPicture | None = None,
    **options: Any,
) -> Figure:
    """Paint a picture for each value of one option and each of another.

    Parameters
    ----------
    content : path, PIL image or array (H, W, 3) of uint8
    styles : the same, or a list of them
    rows, columns : (str, sequence), optional
        A field of `nst_manual.config.RunConfig` and its values; one of the two may be absent. The value
        "default", or None, stands for "not given".
    on_picture : callable, optional
        See `nst_manual.figures.paint.paint_plan`.
    **options
        Fields of `nst_manual.config.RunConfig` for all pictures; their defaults are
        `nst_manual.figures.defaults.GRID`.

    Returns
    -------
    Figure

    Raises
    ------
    NstError
        An unknown option or a wrong value, before anything is painted; a picture that cannot be read; a run
        that cannot begin.
    """
    return paint_plan(plan_grid(content, styles, rows, columns, **options), on_picture)


def plan_grid(
    content: Any, styles: Any, rows: Axis | None = None, columns: Axis | None = None, **options: Any
) -> Plan:
    """Return the plan of `grid_figure`."""
    axes = [_checked(flag, axis) for flag, axis in (("--rows", rows), ("--columns", columns)) if axis]
    if not axes:
        raise UsageError("grid", "expected --rows or --columns", "such as --rows style-weight=10,100,1000")
    names = [name for name, _ in axes]
    if len(set(names)) < len(names):
        raise UsageError("--columns", f"names the same option as --rows, {spelled(names[0])}")
    given = options_of(GRID, options)
    jobs = []
    for down in _choices(axes[0]) if rows else [{}]:
        for across in _choices(axes[-1]) if columns else [{}]:
            here = down | across
            caption = ", ".join(f"{spelled(name)} {shown(value)}" for name, value in here.items())
            said = {name: None if value == NOTHING else value for name, value in here.items()}
            jobs.append(Job(caption, run_config(given | said)))
    styles = as_list(styles)
    read_images(content, styles)  # a wrong path is told before the work
    width = len(axes[-1][1]) if columns else 1
    if len(axes) == 1 and len(jobs) > STRIP:  # in rows of one length, as nearly as that goes
        width = math.ceil(len(jobs) / math.ceil(len(jobs) / STRIP))
    return Plan(content, styles, jobs, width, title_of(jobs[0].config, names))


def parse_axis(flag: str, text: str) -> Axis:
    """Return the option and the values of "style-weight=10,100".

    With a semicolon anywhere, semicolons separate the values and commas are part of them:
    "style-layers=relu1_1;relu1_1,relu2_1", and "style-layers=relu1_1,relu2_1;" for one value alone.

    Raises
    ------
    UsageError
        Not of this form, an unknown option, or an empty value.
    """
    name, equals, values = text.partition("=")
    if not equals:
        raise UsageError(flag, f"expected OPTION=VALUE,VALUE,..., got {text!r}")
    parts = values.removesuffix(";").split(";") if ";" in values else values.split(",")
    return _checked(flag, (name.strip(), [part.strip() for part in parts]))


def spelled(name: str) -> str:
    """Return a field's name as the command line spells it."""
    return name.replace("_", "-")


def shown(value: Any) -> str:
    """Return a value as the command line spells it."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ",".join(map(shown, value))
    return str(value)


def _checked(flag: str, axis: Axis) -> Axis:
    """Return an axis with the name of its field, and with truth values for those of a switch."""
    name, values = axis
    fields = {spelled(field.name): field for field in dataclasses.fields(RunConfig)}
    spelling = spelled(name.removeprefix("--"))
    if spelling not in fields:
        raise unknown_name(flag, spelling, fields)
    field = fields[spelling]
    if isinstance(values, str) or not len(values) or any(isinstance(v, str) and not v for v in values):
        raise UsageError(flag, f"expected a value or several for {spelling}, got {values!r}")
    if field.default is False:
        truth = {"true": True, "false": False}
        values = [truth.get(v.lower(), v) if isinstance(v, str) else v for v in values]
    return field.name, list(values)


def _choices(axis: Axis) -> list[dict[str, Any]]:
    """Return {option: value} for each value."""
    name, values = axis
    return [{name: value} for value in values]
