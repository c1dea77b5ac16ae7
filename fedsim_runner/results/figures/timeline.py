"""The rounds as bars over time, one row per device; and the mean of each part of a round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from .style import PARTS, Drawn, device_axis, device_height, drawing, narrow, new_figure, part_legend

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
    figure = _draw(report, None)
    if figure is None:
        return None
    caption = (
        "What each device did in every round, over the time since training began. Grey lines: a round begins. "
        "The server's row shows evaluation."
    )
    if any(row["update"] == "late" for row in report["device_rounds"]):
        caption += " Triangles: an update that arrived after its round's deadline and was dropped."
    if report.get("lost_clients"):
        caption += " Crosses: the client was lost."
    return Drawn("timeline", f"Timeline of {len(rounds)} rounds", caption, figure)


@drawing
def draw_timeline_detail(report: Mapping[str, Any]) -> Drawn | None:
    """Draw some rounds in the middle of a course that has many; None otherwise."""
    timed = [entry["round"] for entry in report.get("rounds") or [] if entry.get("began_at") is not None]
    if len(timed) <= DETAIL_FROM:
        return None
    first = (len(timed) - DETAIL_ROUNDS) // 2
    chosen = timed[first : first + DETAIL_ROUNDS]
    figure = _draw(report, chosen)
    if figure is None:
        return None
    caption = f"The same in detail: rounds {chosen[0]} to {chosen[-1]}, in the middle of the course."
    return Drawn("timeline-near", f"Rounds {chosen[0]} to {chosen[-1]} in detail", caption, figure)


@drawing
def draw_breakdown(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the mean seconds per round and device; None if they are unknown."""
    devices = report.get("devices") or {}
    names = [name for name, entry in devices.items() if entry.get("mean_download_seconds") is not None]
    if not names:
        return None
    figure, axes = new_figure(device_height(len(names)))
    parts = ("download", "handling", "compute", "upload", "waiting")
    left = [0.0] * len(names)
    for part in parts:
        widths = [devices[name].get(f"mean_{part}_seconds") or 0.0 for name in names]
        colour, hatch = PARTS[part]
        axes.barh(range(len(names)), widths, BAR_HEIGHT, left, color=colour, hatch=hatch, edgecolor="white", lw=0.3)
        left = [sum(pair) for pair in zip(left, widths, strict=True)]
    for index, name in enumerate(names):
        last = devices[name].get("straggler_rounds")
        if last:
            text = f" last in {last} of {devices[name]['rounds']}{'' if narrow() else ' rounds'}"
            axes.text(left[index], index, text, va="center", fontsize=7 if len(names) <= 20 else 5.5)
    device_axis(axes, names)
    axes.set_xlim(0, max(left) * (1.45 if narrow() else 1.28))
    axes.set(xlabel="Mean seconds per round")
    part_legend(figure, parts)
    caption = (
        "Mean time of a round by device: transfer of the model to the device (download) and of its update back "
        "(upload), training (compute), packing and unpacking of messages (handling), and waiting for the others."
    )
    return Drawn("breakdown", "Where the time of a round goes", caption, figure)


def _draw(report: Mapping[str, Any], chosen: Sequence[int] | None) -> Any:
    rounds = [
        entry
        for entry in report.get("rounds") or []
        if entry.get("began_at") is not None and (chosen is None or entry["round"] in chosen)
    ]
    numbers = {entry["round"] for entry in rounds}
    rows = [row for row in report.get("device_rounds") or [] if row["round"] in numbers]
    if not rows:
        return None
    present = {row["device"] for row in rows}
    devices = report["devices"]
    server = [name for name, entry in devices.items() if entry.get("role") == "server"][:1]
    names = [*server, *(name for name in devices if name in present)]
    places = {name: index for index, name in enumerate(names)}
    spans = _spans(rows, rounds, places)
    if server:
        spans.update(_evaluation(rounds))
    figure, axes = new_figure(device_height(len(names)))
    pixels = sum(len(bars) for bars in spans.values()) > MAX_VECTOR_BARS
    for (place, part), bars in spans.items():
        colour, hatch = PARTS[part]
        axes.broken_barh(
            bars,
            (place - BAR_HEIGHT / 2, BAR_HEIGHT),
            facecolors=colour,
            hatch=hatch if chosen is not None or not pixels else "",
            edgecolor="none" if not hatch else "#777777",
            linewidth=0,
            rasterized=pixels,
        )
    begins = [entry["began_at"] for entry in rounds]
    if len(begins) <= 80:
        for begin in begins:
            axes.axvline(begin, color="#888888", lw=0.5, zorder=0.9)
    _marks(axes, report, rows, places, chosen is None)
    device_axis(axes, names)
    axes.grid(axis="x", visible=False)
    finish = max(end for bars in spans.values() for end in (start + width for start, width in bars))
    axes.set_xlim(min(begins) if chosen is not None else 0, finish * 1.005)
    axes.set(xlabel="Time since training began (s)")
    if chosen is not None:
        for entry in rounds:
            axes.text(entry["began_at"], -0.62, f" round {entry['round']}", fontsize=7, va="bottom", color="#444444")
    part_legend(figure, PARTS)
    return figure


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
