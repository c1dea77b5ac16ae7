"""Events of the experiment as marks in a figure over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory

COLOUR = "#7A3E9D"
MAX_NUMBERS = 25  # more numbers cannot be read
MAX_MARKS = 250
FONT_PT = 6
LETTER_PT = 0.62 * FONT_PT  # a digit's width
CAPTION = " Violet lines: an event began, with its number in the table of events; shaded until it was taken back."
AVAILABILITY = "availability"  # what the rows of devices that come and go are of

Row = Mapping[str, Any]


def event_caption(report: Mapping[str, Any], availability: bool = True) -> str:
    """What a caption says of the marks; empty where there are none. ``availability``: whether those of it are shown."""
    rows = report.get("events") or []
    shown = [row for row in rows if availability or row.get("of") != AVAILABILITY]
    return CAPTION if any(row.get("began_at") is not None for row in shown) else ""


def describe_device_marks(report: Mapping[str, Any]) -> str:
    """As :func:`event_caption`, where each device has axes of its own."""
    return (
        " Violet lines: an event of the device began; shaded until it was taken back." if event_caption(report) else ""
    )


def mark_events(axes: Axes, report: Mapping[str, Any], device: str | None = None) -> None:
    """Draw a line across the axes where each event began, and shade the time until it was taken back.

    ``device``: only its events, without their numbers; None: all but those of availability. The limits of the axes
    stay.
    """
    rows = _in_sight(axes, report)
    if device is not None:
        rows = [row for row in rows if device in _devices(row)]
    else:  # of many devices that come and go, some would be offline at any time
        rows = [row for row in rows if row.get("of") != AVAILABILITY]
    for row in rows:
        if row.get("ended_at") is not None:
            axes.axvspan(row["began_at"], row["ended_at"], color=COLOUR, alpha=0.1, lw=0, zorder=2)
        axes.axvline(row["began_at"], color=COLOUR, lw=0.7, ls=(0, (2, 2)), zorder=4)
    if device is None:
        _number(axes, rows)


def mark_events_in_rows(axes: Axes, report: Mapping[str, Any], places: Mapping[str, int]) -> None:
    """Mark events in the rows of their devices alone; ``places``: the row of each device."""
    rows = _in_sight(axes, report)
    lines, shades = [], []
    for row in rows:
        for place in (places[name] for name in _devices(row) if name in places):
            lines.append((row["began_at"], place))
            if row.get("ended_at") is not None:
                shades.append(Rectangle((row["began_at"], place - 0.5), row["ended_at"] - row["began_at"], 1.0))
    if lines:
        times, middles = zip(*lines, strict=True)
        below, above = [place - 0.5 for place in middles], [place + 0.5 for place in middles]
        axes.vlines(times, below, above, color=COLOUR, lw=1.0, zorder=6)
        axes.add_collection(PatchCollection(shades, facecolor=COLOUR, alpha=0.16, lw=0, zorder=4), autolim=False)
    _number(axes, [row for row in rows if any(name in places for name in _devices(row))])


def _in_sight(axes: Axes, report: Mapping[str, Any]) -> list[Row]:
    first, last = axes.get_xlim()
    axes.set_xlim(first, last)  # marks do not widen them
    rows = [row for row in report.get("events") or [] if row.get("began_at") is not None]
    return [row for row in rows if row["began_at"] <= last and (row.get("ended_at") or row["began_at"]) >= first][
        :MAX_MARKS
    ]


def _number(axes: Axes, rows: Iterable[Row]) -> None:
    first, last = axes.get_xlim()
    shown = [row for row in rows if first <= row["began_at"] <= last]
    if len(shown) > MAX_NUMBERS:
        return
    figure = axes.get_figure(root=True)
    width_pt = axes.get_position().width * (figure.get_figwidth() if figure is not None else 1.0) * 72
    per_pt = (last - first) / width_pt
    where = blended_transform_factory(axes.transData, axes.transAxes)
    style: dict[str, Any] = {"transform": where, "fontsize": FONT_PT, "color": COLOUR, "ha": "center", "va": "bottom"}
    for at, text in place_numbers([(row["began_at"], row["event"]) for row in shown], per_pt):
        axes.text(at, 1.0, text, **style)


def place_numbers(events: Iterable[tuple[float, int]], per_pt: float) -> list[tuple[float, str]]:
    """Return where numbers of events stand, and what is written there; those that would overlap share a place.

    Args:
        events: when each began, and its number.
        per_pt: of the time axis, what a point of the page is.
    """
    groups: list[list[tuple[float, int]]] = []
    for event in sorted(events):
        groups.append([event])
        while len(groups) > 1 and _edge(groups[-2], 0.5, per_pt) > _edge(groups[-1], -0.5, per_pt):
            last = groups.pop()
            groups[-1] += last
    return [(_middle(group), _written(group)) for group in groups]


def _edge(group: Sequence[tuple[float, int]], side: float, per_pt: float) -> float:
    """Where the text of a group ends, with a letter's room beside it; ``side``: 0.5 right, -0.5 left."""
    return _middle(group) + side * (len(_written(group)) + 1) * LETTER_PT * per_pt


def _middle(group: Sequence[tuple[float, int]]) -> float:
    return (group[0][0] + group[-1][0]) / 2


def _written(group: Sequence[tuple[float, int]]) -> str:
    """``3-7,28``: numbers, those without a gap as a range."""
    parts: list[list[int]] = []
    for number in sorted(number for _, number in group):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(some[0]) if len(some) == 1 else f"{some[0]}-{some[-1]}" for some in parts)


def _devices(row: Row) -> list[str]:
    return str(row.get("devices") or "").split()
