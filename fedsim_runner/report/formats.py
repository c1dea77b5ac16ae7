"""Values as people read them, for the pages' templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..artifacts.summary import size

__all__ = ["FILTERS", "flat"]

UNKNOWN = "–"


def seconds(value: object) -> str:
    """Seconds with what digits matter."""
    if not isinstance(value, int | float):
        return UNKNOWN
    return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s" if value >= 0.1 or value == 0 else f"{value:.4f} s"


def plain(value: object, digits: int = 4) -> str:
    """A number, or a dash where there is none."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else UNKNOWN


def rate(value: object) -> str:
    """Bit per second."""
    if not isinstance(value, int | float):
        return "no limit"
    for factor, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if value >= factor:
            return f"{value / factor:g} {unit}"
    return f"{value:g} bit/s"


def milliseconds(value: object) -> str:
    """Microseconds as milliseconds."""
    return f"{value / 1000:g} ms" if isinstance(value, int | float) else UNKNOWN


def percent(value: object, digits: int = 0) -> str:
    """A share of 1."""
    return f"{value * 100:.{digits}f} %" if isinstance(value, int | float) else UNKNOWN


def loss(value: object) -> str:
    """A probability that is often tiny."""
    return f"{value * 100:g} %" if isinstance(value, int | float) else UNKNOWN


def amount(value: object) -> str:
    """Bytes."""
    return size(value).replace("-", UNKNOWN) if not isinstance(value, int | float) else size(value)


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
    "milliseconds": milliseconds,
    "percent": percent,
    "loss": loss,
    "amount": amount,
    "text": text,
}
