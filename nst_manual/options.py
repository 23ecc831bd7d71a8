"""What an option is, in one place, and how a value given for it is checked.

`nst_manual.config` lists the options; the command line, the Python functions and the messages read them from
there.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from nst_manual.errors import UsageError, unknown_name


def option(
    default: Any,
    parse: Callable[[str, Any], Any],
    help: str,  # noqa: A002 - the word that command lines use
    group: str,
    metavar: str,
    shown: str | None = None,
) -> Any:
    """Return a dataclass field that carries all that is known of an option.

    Parameters
    ----------
    default : object
        None where the preset or the network decides.
    parse : callable
        (flag, value as text or as itself) -> checked value; raises `UsageError`.
    help, group, metavar : str
        For the command line.
    shown : str, optional
        What `--help` gives as the default, where it is not the value itself.
    """
    return dataclasses.field(
        default=default,
        metadata={"parse": parse, "help": help, "group": group, "metavar": metavar, "shown": shown},
    )


def flag(name: str) -> str:
    """Return the command-line spelling of a field's name."""
    return "--" + name.replace("_", "-")


def parse_all(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values checked and converted, for the fields of a dataclass of options.

    None stands for "not given". Raises `UsageError` for unknown names, with the nearest one suggested.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    parsed = {}
    for name, value in values.items():
        if name not in fields:
            raise unknown_name("option", name, fields)
        if value is not None:
            parsed[name] = fields[name].metadata["parse"](flag(name), value)
    return parsed


# -- kinds of value ---------------------------------------------------------------------------------


def whole(least: int, most: int | None = None) -> Callable[[str, Any], int]:
    """Return the parser of whole numbers of a range."""

    def parse(name: str, value: Any) -> int:
        span = f"from {least} to {most}" if most is not None else f"of at least {least}"
        wanted = f"expected a whole number {span}, got {value!r}"
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            raise UsageError(name, wanted) from None
        fraction = not isinstance(value, str) and number != value  # int() cuts it off without a word
        if _is_truth(value) or fraction or number < least or (most is not None and number > most):
            raise UsageError(name, wanted)
        return number

    return parse


def real(least: float, above: bool = False) -> Callable[[str, Any], float]:
    """Return the parser of finite numbers of at least (or above) a bound."""

    def parse(name: str, value: Any) -> float:
        wanted = f"expected a number {'above' if above else 'of at least'} {least:g}, got {value!r}"
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise UsageError(name, wanted) from None
        if _is_truth(value) or not math.isfinite(number) or number < least or (above and number == least):
            raise UsageError(name, wanted)
        return number

    return parse


def memory(name: str, value: Any) -> int:
    """Parse an amount of memory in bytes: "4GB", "1.5 GiB", "800MB" or a number; 1 GB is 1024^3 bytes."""
    wanted = f"expected an amount of memory such as 4GB or 800MB, got {value!r}"
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]?)(?:i?b)?\s*", str(value).lower())
    if _is_truth(value) or not match:
        raise UsageError(name, wanted)
    found = int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))
    if found < 1:
        raise UsageError(name, wanted)
    return found


def choice(*names: str) -> Callable[[str, Any], str]:
    """Return the parser of one of some names."""

    def parse(name: str, value: Any) -> str:
        if value not in names:
            raise unknown_name(name, str(value), names)
        return value

    return parse


def switch(name: str, value: Any) -> bool:
    """Parse a flag."""
    if not isinstance(value, bool):
        raise UsageError(name, f"expected True or False, got {value!r}")
    return value


def text(name: str, value: Any) -> str:
    """Parse text, a path among others."""
    value = value if isinstance(value, str) else str(value)
    if not value or "\0" in value:
        raise UsageError(name, f"expected a text without zero bytes, got {value!r}")
    return value


def picture(name: str, value: Any) -> Any:
    """Parse the path of a picture, or take a picture as it is."""
    return text(name, value) if isinstance(value, str) else value


def paths(name: str, value: Any) -> tuple[Any, ...]:
    """Parse one path or several: "a.png,b.png", or a sequence of paths, pictures or arrays."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise UsageError(name, f"expected one path or more, got {value!r}")
    return tuple(text(name, part) if isinstance(part, str) else part for part in parts)


def numbers(name: str, value: Any) -> tuple[float, ...]:
    """Parse finite non-negative numbers, of which one is above zero: "1,2" or a sequence."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        parts = list(parts)
    except TypeError:
        parts = [parts]
    found = tuple(real(0)(name, part) for part in parts)
    if not found or not any(found):
        raise UsageError(name, f"expected at least one number above 0, got {value!r}")
    return found


def wholes(least: int, most: int) -> Callable[[str, Any], tuple[int, ...]]:
    """Return the parser of one whole number of a range or several: "100,50" or a sequence."""

    def parse(name: str, value: Any) -> tuple[int, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            parts = [parts]
        if not parts:
            raise UsageError(name, f"expected one whole number or more, got {value!r}")
        return tuple(whole(least, most)(name, part) for part in parts)

    return parse


def factors(name: str, value: Any) -> tuple[float, ...]:
    """Parse finite numbers above zero: "1,0.5" or a sequence."""
    found = numbers(name, value)
    return tuple(real(0, above=True)(name, number) for number in found)


def share(name: str, value: Any) -> float:
    """Parse a number of at least 0 and below 1."""
    number = real(0)(name, value)
    if number >= 1:
        raise UsageError(name, f"expected a number of at least 0 and below 1, got {value!r}")
    return number


def interval(name: str, value: Any) -> tuple[float, ...]:
    """Parse two finite numbers, the lower one first: "0,255" or a pair; "none" and an empty one are ()."""
    if isinstance(value, str) and value == "none":
        return ()
    if isinstance(value, tuple | list) and not value:
        return ()
    wanted = UsageError(name, f"expected LOW,HIGH with LOW below HIGH, or none, got {value!r}")
    try:
        low, high = (float(part) for part in (value.split(",") if isinstance(value, str) else value))
    except (TypeError, ValueError):
        raise wanted from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise wanted
    return low, high


def layers(name: str, value: Any) -> tuple[tuple[str, float | None], ...]:
    """Parse layers with optional weights: "relu3_1,relu4_1:0.5", names, or pairs (name, weight)."""
    wanted = UsageError(name, f"expected layer names, got {value!r}", "such as relu3_1,relu4_1:0.5")
    if isinstance(value, str):
        value = value.split(",")
    elif isinstance(value, Mapping):
        value = value.items()
    found = []
    try:
        pairs = [_layer(item) if isinstance(item, str) else tuple(item) for item in value]
    except TypeError:
        raise wanted from None
    if not pairs or any(len(pair) != 2 or not isinstance(pair[0], str) or not pair[0] for pair in pairs):
        raise wanted
    for layer, weight in pairs:
        found.append((layer, None if weight is None else real(0)(f"{name} {layer}", weight)))
    names = [layer for layer, _ in found]
    if len(set(names)) < len(names):
        raise UsageError(name, f"names a layer twice: {', '.join(names)}")
    return tuple(found)


def _is_truth(value: Any) -> bool:
    """Whether the value is True or False, Python's or NumPy's, which count as numbers elsewhere."""
    return type(value).__name__ in ("bool", "bool_")


def _layer(item: str) -> tuple[str, str | None]:
    """Return ("relu4_1", "0.5") for "relu4_1:0.5", ("relu4_1", None) for the name alone."""
    layer, colon, weight = item.strip().partition(":")
    return layer.strip(), weight.strip() if colon else None


def image_size(text: str) -> tuple[int, int]:
    """Return (height, width) of "512x384", or of one number for both; raise `UsageError`."""
    match = re.fullmatch(r"(\d{1,6})(?:[x,](\d{1,6}))?", text.strip().lower())
    if not match or int(match[1]) < 1 or int(match[2] or 1) < 1:
        raise UsageError("--size", f"expected HEIGHTxWIDTH in pixels, such as 512x384, got {text!r}")
    return int(match[1]), int(match[2] or match[1])
