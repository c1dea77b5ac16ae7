"""Values in a form for people, for the pages' templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fedsim_runner.contract import units

__all__ = ["FILTERS", "flat"]

UNKNOWN = "–"


def plain(value: object, digits: int = 4) -> str:
    """Return a number, or a dash if there is none."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else UNKNOWN


def seconds(value: object) -> str:
    """Return seconds with as many digits as matter."""
    return units.seconds(value, 3, UNKNOWN)


def amount(value: object) -> str:
    """Return bytes."""
    return units.size(value, UNKNOWN)


def rate(value: object) -> str:
    """Return bits per second."""
    return units.rate(value) if isinstance(value, int | float) else "no limit"


def percent(value: object, digits: int = 0) -> str:
    """Return a share in 0..1 as a percentage."""
    return f"{value * 100:.{digits}f} %" if isinstance(value, int | float) else UNKNOWN


def both(up: object, down: object, factor: float, unit: str) -> str:
    """Return the values of both directions, or a single one if they are the same."""
    if not isinstance(up, int | float) or not isinstance(down, int | float):
        return UNKNOWN
    first, second = f"{up * factor:g}", f"{down * factor:g}"
    return f"{first} {unit}" if first == second else f"{first} / {second} {unit}"


def milliseconds_both(up: object, down: object) -> str:
    """Return the microseconds of both directions as milliseconds."""
    return both(up, down, 0.001, "ms")


def milliseconds(value: object) -> str:
    """Return microseconds as milliseconds."""
    return f"{value / 1000:.2f} ms" if isinstance(value, int | float) else UNKNOWN


def measured_rate(value: object) -> str:
    """Return bits per second, of which only the first digits mean anything."""
    return units.rate(float(f"{value:.4g}")) if isinstance(value, int | float) else UNKNOWN


def loss_both(up: object, down: object) -> str:
    """Return the probabilities of both directions, which are often tiny."""
    return both(up, down, 100, "%")


def text(value: object) -> str:
    """Return any other value as text, or a dash."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested data, each with its path."""
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
    "milliseconds": milliseconds,
    "measured_rate": measured_rate,
    "amount": amount,
    "text": text,
}
