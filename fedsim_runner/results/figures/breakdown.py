"""The mean of each part of a round by device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from ..tables.time_split import PARTS as ROUND_PARTS
from .device_rows import Rows, rows_by_time
from .row_axes import add_bars, device_axis, new_rows, ranked_curve
from .style import PARTS, Drawn, drawing, narrow, part_legend, time_label

BAR_HEIGHT = 0.72


@drawing
def draw_breakdown(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the mean seconds per round and device; None if they are unknown."""
    devices = report.get("devices") or {}
    known = [name for name, entry in devices.items() if entry.get("mean_download_seconds") is not None]
    if not known:
        return None
    shown = rows_by_time(report, known)
    figure, above, axes = new_rows(shown)
    if above is not None:
        _draw_all(above, devices, shown)
    names = shown.names
    left = [0.0] * len(names)
    for part in ROUND_PARTS:
        widths = [devices[name].get(f"mean_{part}_seconds") or 0.0 for name in names]
        bars = [(left[index], index, width, BAR_HEIGHT) for index, width in enumerate(widths) if width]
        add_bars(axes, bars, part, edge="white")
        left = [sum(pair) for pair in zip(left, widths, strict=True)]
    for index, name in enumerate(names):
        last = devices[name].get("straggler_rounds")
        if last:
            text = f" last in {last} of {devices[name]['rounds']}{'' if narrow() else ' rounds'}"
            axes.text(left[index], index, text, va="center", fontsize=7 if len(names) <= 20 else 5.5)
    device_axis(axes, names, shown.groups)
    axes.set_xlim(0, max(left) * (1.45 if narrow() else 1.28))
    axes.set(xlabel=time_label("Mean seconds per round"))
    part_legend(figure, ROUND_PARTS)
    caption = (
        "Mean time of a round by device: transfer of the model to the device (download) and of its update back "
        "(upload), training (compute), packing and unpacking of messages (handling), and waiting for the others."
    )
    if not shown.complete:
        caption = f"{caption} Above: all devices in order of their time.{shown.describe()}"
    table = "" if shown.complete else "time-of-devices"
    return Drawn("breakdown", "Where the time of a round goes", caption, figure, table=table)


def _draw_all(axes: Axes, devices: Mapping[str, Mapping[str, Any]], shown: Rows) -> None:
    """Draw every device that has times, slowest first, as one area per part."""
    ranked = shown.ranked
    below = [0.0] * len(ranked)
    for part in ROUND_PARTS:
        upper = [
            low + (devices[name].get(f"mean_{part}_seconds") or 0.0) for low, name in zip(below, ranked, strict=True)
        ]
        places, bottom = ranked_curve(below)
        colour, hatch = PARTS[part]
        axes.fill_between(places, bottom, ranked_curve(upper)[1], facecolor=colour, hatch=hatch or None, lw=0)
        below = upper
    axes.set(xlabel="All devices, slowest first", ylabel=time_label("Seconds per round"))
    axes.set_xlim(1, len(ranked))
    axes.set_ylim(0)
