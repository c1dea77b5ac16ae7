"""The timeline of a plan for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from ..contract.timeline import TimelineEntry, describe_change, describe_time
from ..plan.names import join_names
from .tables import Column, FoldedTable

SHOWN_NAMES = 3


def render_timeline(timeline: Sequence[TimelineEntry]) -> RenderableType:
    """Return a table with a row for each entry: those at a time in its order, then those of rounds, then of states."""
    if not timeline:
        return Text("no events")
    shown = sorted(timeline, key=_order)
    return FoldedTable(
        Column("event", [str(entry.number) for entry in shown], right=True),
        [Column("when", [describe_time(entry) for entry in shown])],
        [Column("devices", [join_names(entry.devices, SHOWN_NAMES) for entry in shown])],
        [Column("what", [describe_change(entry) for entry in shown])],
        [Column("for", ["" if entry.duration_s is None else f"{entry.duration_s:g} s" for entry in shown], right=True)],
    )


def count_entries(timeline: Sequence[TimelineEntry]) -> str:
    """How many entries there are of each kind of time: ``6 at a given time, 2 in a given round``."""
    kinds = (
        ("at a given time", [entry for entry in timeline if entry.at_s is not None and not entry.of_availability]),
        ("in a given round", [entry for entry in timeline if entry.round is not None]),
        ("as a device reaches a state", [entry for entry in timeline if entry.when is not None]),
        ("of availability", [entry for entry in timeline if entry.of_availability]),
    )
    return ", ".join(f"{len(entries)} {kind}" for kind, entries in kinds if entries)


def _order(entry: TimelineEntry) -> tuple[int, float, int]:
    if entry.at_s is not None:
        return 0, entry.at_s, entry.number
    return (1, float(entry.round), entry.number) if entry.round is not None else (2, 0.0, entry.number)
