"""Which devices have a row of their own in a figure: all of them, or, of many, those that a reader asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..tables.time_split import BUSY

# Up to this many devices besides the server, each has a row.
MAX_ROWS = 40
# Of more: so many of the slowest (or largest), in the middle, and of the fastest (or smallest); and of the lost.
ENDS, MIDDLE, LOST = 8, 3, 6


@dataclass(frozen=True)
class Rows:
    """The devices that a figure shows, from top to bottom.

    Attributes:
        groups: where only some are shown: what a group of rows has in common, its first row and its last.
        ranked: all devices by value, largest first, without those whose value is unknown or that stand first.
    """

    names: tuple[str, ...]
    groups: tuple[tuple[str, int, int], ...]
    ranked: tuple[str, ...]
    total: int

    @property
    def complete(self) -> bool:
        return len(self.names) == self.total

    def describe(self) -> str:
        """Return what the caption says about the choice; empty if there was none."""
        if self.complete:
            return ""
        words = ", ".join(word for word, _, _ in self.groups)
        return f" Rows: {len(self.names)} of {self.total} devices ({words})."


def choose_rows(
    values: Mapping[str, float | None],
    words: tuple[str, str, str],
    *,
    first: Collection[str] = (),
    lost: Collection[str] = (),
) -> Rows:
    """Choose rows from the devices in the order of ``values``.

    Args:
        values: what devices are ranked by; None is unknown.
        words: what the rows with the largest, middle and smallest values are called.
        first: devices that have a row in any case, on top.
        lost: devices of which some have a row although their value says nothing.
    """
    ranked = sorted((name for name in values if values[name] is not None and name not in first),
                    key=lambda name: -(values[name] or 0.0))  # fmt: skip
    if sum(name not in first for name in values) <= MAX_ROWS:
        return Rows(tuple(values), (), tuple(ranked), len(values))
    middle = (len(ranked) - MIDDLE) // 2
    groups: list[tuple[str, list[str]]] = [
        ("", [name for name in values if name in first]),
        (words[0], ranked[:ENDS]),
        (words[1], ranked[middle : middle + MIDDLE]),
        (words[2], ranked[-ENDS // 2 :]),
        ("lost", [name for name in values if name in lost][:LOST]),
    ]
    if not ranked:  # the first ones are as good as others
        groups[1:4] = [("first", list(values)[:ENDS])]
    return _rows(groups, ranked, len(values))


def _rows(groups: Iterable[tuple[str, Sequence[str]]], ranked: Sequence[str], total: int) -> Rows:
    names: list[str] = []
    spans = []
    for word, members in groups:
        fresh = [name for name in members if name not in names]
        if fresh and word:
            spans.append((word, len(names), len(names) + len(fresh) - 1))
        names += fresh
    return Rows(tuple(names), tuple(spans), tuple(ranked), total)


def rows_by_time(report: Mapping[str, Any], names: Iterable[str] | None = None) -> Rows:
    """Choose by the mean seconds in which a device was busy in a round; the server, if it is among them, comes first.

    Args:
        names: the candidates; None: all devices.
    """
    devices = report.get("devices") or {}
    values = {name: busy_seconds(devices[name]) for name in (devices if names is None else names)}
    return choose_rows(values, ("slowest", "median", "fastest"), first=servers(report), lost=lost_devices(report))


def busy_seconds(entry: Mapping[str, Any]) -> float | None:
    """Return a device's mean seconds of transfer and compute in a round; None if unknown."""
    known = [value for part in BUSY if (value := entry.get(f"mean_{part}_seconds")) is not None]
    return sum(known) if known else None


def servers(report: Mapping[str, Any]) -> list[str]:
    """Return the name of the server, if it is known."""
    return [name for name, entry in (report.get("devices") or {}).items() if entry.get("role") == "server"][:1]


def lost_devices(report: Mapping[str, Any]) -> list[str]:
    """Return the devices that did not reach the end of the course."""
    lost = [one["device"] for one in report.get("lost_clients") or []]
    ended = [name for name, entry in (report.get("devices") or {}).items() if entry.get("state") == "failed"]
    return list(dict.fromkeys([*lost, *ended]))
