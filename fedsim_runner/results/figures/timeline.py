"""The rounds as bars over time, one row per device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from .device_rows import Rows, rows_by_time, servers
from .event_marks import event_caption, mark_events_in_rows
from .row_axes import Bar, add_bars, device_axis, device_height
from .style import PARTS, Drawn, drawing, new_figure, part_legend, time_label
from .time_pixels import draw_pixels

# More bars than this are drawn as pixels inside the figure: a page must not exceed a few megabytes.
MAX_VECTOR_BARS = 2500
# For a course with more rounds, some in the middle are also shown in detail.
DETAIL_FROM = 6
DETAIL_ROUNDS = 3
BAR_HEIGHT = 0.72

Spans = dict[tuple[int, str], list[tuple[float, float]]]


@drawing
def draw_timeline(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the whole course; None if the split of its rounds is unknown."""
    rounds = report.get("rounds") or []
    drawn = _draw(report, None)
    if drawn is None:
        return None
    figure, shown, pixels = drawn
    caption = (
        "What each device did in every round, over the time since training began. Grey lines: a round begins. "
        f"The server's row shows evaluation.{shown.describe()}"
    )
    if pixels:
        caption += " The bars are narrower than a pixel, which has the mean colour of what happened in its time."
    if any(row["update"] == "late" for row in report["device_rounds"]):
        caption += " Triangles: an update that arrived after the end of its round and was dropped."
    if report.get("lost_clients"):
        caption += " Crosses: the client was lost."
    caption += event_caption(report)
    table = "" if shown.complete else "time-of-devices"
    return Drawn("timeline", f"Timeline of {len(rounds)} rounds", caption, figure, table=table)


@drawing
def draw_timeline_detail(report: Mapping[str, Any]) -> Drawn | None:
    """Draw some rounds in the middle of a course that has many; None otherwise."""
    timed = [entry["round"] for entry in report.get("rounds") or [] if entry.get("began_at") is not None]
    if len(timed) <= DETAIL_FROM:
        return None
    first = (len(timed) - DETAIL_ROUNDS) // 2
    chosen = timed[first : first + DETAIL_ROUNDS]
    drawn = _draw(report, chosen)
    if drawn is None:
        return None
    figure, _, _ = drawn
    caption = f"The same in detail: rounds {chosen[0]} to {chosen[-1]}, in the middle of the course."
    return Drawn("timeline-near", f"Rounds {chosen[0]} to {chosen[-1]} in detail", caption, figure)


def _draw(report: Mapping[str, Any], chosen: Sequence[int] | None) -> tuple[Any, Rows, bool] | None:
    rounds = [
        entry
        for entry in report.get("rounds") or []
        if entry.get("began_at") is not None and (chosen is None or entry["round"] in chosen)
    ]
    numbers = {entry["round"] for entry in rounds}
    tasks = [row for row in report.get("device_rounds") or [] if row["round"] in numbers]
    if not tasks:
        return None
    present = {row["device"] for row in tasks}
    server = servers(report)
    shown = rows_by_time(report, [*server, *(name for name in report["devices"] if name in present)])
    places = {name: index for index, name in enumerate(shown.names)}
    tasks = [row for row in tasks if row["device"] in places]
    spans = _spans(tasks, rounds, places)
    if server:
        spans.update(_evaluation(rounds))
    figure, axes = new_figure(device_height(len(places)))
    finish = max(begin + width for bars in spans.values() for begin, width in bars)
    start = min(entry["began_at"] for entry in rounds) if chosen is not None else 0.0
    pixels = sum(len(bars) for bars in spans.values()) > MAX_VECTOR_BARS
    if pixels:
        draw_pixels(axes, spans, len(places), BAR_HEIGHT, start, finish)
    else:
        for part in PARTS:
            add_bars(axes, _bars(spans, part), part)
    begins = [entry["began_at"] for entry in rounds]
    if len(begins) <= 80:
        for begin in begins:
            axes.axvline(begin, color="#888888", lw=0.5, zorder=0.9)
    _marks(axes, report, tasks, places, chosen is None)
    device_axis(axes, shown.names, shown.groups)
    axes.grid(axis="x", visible=False)
    axes.set_xlim(start, finish + 0.005 * (finish - start))
    axes.set(xlabel=time_label("Time since training began (s)"))
    if chosen is None:
        mark_events_in_rows(axes, report, places)
    if chosen is not None:
        for entry in rounds:
            axes.text(entry["began_at"], -0.62, f" round {entry['round']}", fontsize=7, va="bottom", color="#444444")
    part_legend(figure, PARTS)
    return figure, shown, pixels


def _bars(spans: Spans, part: str) -> list[Bar]:
    return [
        (begin, place, width, BAR_HEIGHT)
        for (place, name), bars in spans.items()
        if name == part
        for begin, width in bars
    ]


def _spans(rows: Iterable[Mapping[str, Any]], rounds: Iterable[Mapping[str, Any]], places: Mapping[str, int]) -> Spans:
    spans: Spans = defaultdict(list)
    by_number = {entry["round"]: entry for entry in rounds}
    for row in rows:
        place = places[row["device"]]
        moments = {name: row[f"{name}_at"] for name in ("sent", "arrived", "train", "trained", "answered", "delivered")}
        entry = by_number[row["round"]]
        for part, begin, end in (
            ("waiting", entry["began_at"], _earlier(moments["sent"], entry.get("ended_at"))),
            ("download", moments["sent"], moments["arrived"]),
            ("handling", moments["arrived"], moments["train"]),
            ("compute", moments["train"], moments["trained"]),
            ("handling", moments["trained"], moments["answered"]),
            ("upload", moments["answered"], moments["delivered"]),
            ("waiting", moments["delivered"], entry.get("ended_at")),
        ):
            if begin is not None and end is not None and end > begin:
                spans[place, part].append((begin, end - begin))
    return spans


def _earlier(moment: float | None, end: float | None) -> float | None:
    return moment if moment is None or end is None else min(moment, end)


def _evaluation(rounds: Iterable[Mapping[str, Any]]) -> Spans:
    """Return the bars of the server, which is the first row; its evaluation follows the aggregation."""
    bars = [
        (entry["ended_at"] + (entry.get("aggregation_seconds") or 0.0), entry["evaluation_seconds"])
        for entry in rounds
        if entry.get("ended_at") is not None and entry.get("evaluation_seconds")
    ]
    return {(0, "evaluation"): bars} if bars else {}


def _marks(
    axes: Axes,
    report: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
    places: Mapping[str, int],
    with_lost: bool,
) -> None:
    late = [(row["delivered_at"], places[row["device"]]) for row in rows if row["update"] == "late"]
    late = [point for point in late if point[0] is not None]
    if late:
        axes.plot(*zip(*late, strict=True), "^", color="black", ms=4, zorder=5)
    zero = report.get("began")
    for lost in report.get("lost_clients") or []:
        if with_lost and zero is not None and lost.get("t") is not None and lost["device"] in places:
            axes.plot(
                [max(0.0, lost["t"] - zero)], [places[lost["device"]]], "x", color="black", ms=5, mew=1.5, zorder=5
            )
