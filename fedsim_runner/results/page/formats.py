"""Values as people read them, for the pages' templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fedsim_runner.contract import units

__all__ = ["FILTERS", "flat"]

UNKNOWN = "–"


def plain(value: object, digits: int = 4) -> str:
    """A number, or a dash where there is none."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else UNKNOWN


def seconds(value: object) -> str:
    """Seconds with what digits matter."""
    return units.seconds(value, 3, UNKNOWN)


def amount(value: object) -> str:
    """Bytes."""
    return units.size(value, UNKNOWN)


def rate(value: object) -> str:
    """Bit per second."""
    return units.rate(value) if isinstance(value, int | float) else "no limit"


def percent(value: object, digits: int = 0) -> str:
    """A share of 1."""
    return f"{value * 100:.{digits}f} %" if isinstance(value, int | float) else UNKNOWN


def both(up: object, down: object, factor: float, unit: str) -> str:
    """A value of either direction: once if they are the same."""
    if not isinstance(up, int | float) or not isinstance(down, int | float):
        return UNKNOWN
    first, second = f"{up * factor:g}", f"{down * factor:g}"
    return f"{first} {unit}" if first == second else f"{first} / {second} {unit}"


def milliseconds_both(up: object, down: object) -> str:
    """Microseconds of either direction as milliseconds."""
    return both(up, down, 0.001, "ms")


def loss_both(up: object, down: object) -> str:
    """Probabilities of either direction, which are often tiny."""
    return both(up, down, 100, "%")


def text(value: object) -> str:
    """Anything else, or a dash."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested data, each with its path."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(not isinstance(item, Mapping | list) for item in value):
        yield path, ", ".join(map(text, value))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from flat(item, f"{path}[{index}]")
    else:
        yield path, text(None if value in ({}, []) else value)


FILTERS: dict[str, Any] = {
    "seconds": seconds,
    "plain": plain,
    "rate": rate,
    "percent": percent,
    "milliseconds_both": milliseconds_both,
    "loss_both": loss_both,
    "amount": amount,
    "text": text,
}
