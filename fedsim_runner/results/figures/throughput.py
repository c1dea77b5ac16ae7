"""What passed the devices' links and the edges over time, and where queues held packets or had no room for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..link_counters import WAYS, Passed, read_link_counters
from .device_rows import choose_rows, lost_devices, servers
from .event_marks import describe_device_marks, event_caption, mark_events
from .heat_rows import MAX_BINS, draw_heat_rows
from .spans import draw_spans, find_spans
from .style import COLOURS, Drawn, drawing, new_panels, short

# Up to this many devices, each has its own panel; with more, all share one heat map.
MAX_PANELS = 12
MAX_POINTS = 300
# Where in a panel the spans of a direction are, as a share of its height.
LANES = {"up": 0.97, "down": 0.92}
LANE_POINTS = 2.5
ROOM_ABOVE = 1.25
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Throughput:
    """One device or edge: rates by direction in bit/s for each bin, and the bins where bytes waited or were dropped."""

    rates: dict[str, Values]
    waited: dict[str, NDArray[np.bool_]]
    dropped: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class OverTime:
    """All devices that have links, in the report's order, then the edges between sites.

    ``edges`` of the bins: seconds since training began.
    """

    edges: Values
    devices: dict[str, Throughput]


def read_throughput(run_dir: Path, report: Mapping[str, Any]) -> OverTime | None:
    """Return what passed the links of a run, in as many bins as a figure can show; None if nothing was counted."""
    counters = read_link_counters(run_dir)
    # Edges are no devices: their rows alone have them.
    known_names = dict.fromkeys([*(report.get("devices") or {}), *(row["device"] for row in report.get("links") or [])])
    names = [name for name in known_names if any((name, way) in counters for way in WAYS)]
    if not names:
        return None
    zero = report.get("began") or 0.0
    known = [counters[name, way] for name in names for way in WAYS if (name, way) in counters]
    begin = min(float(one.times[0] - one.seconds[0]) for one in known)
    end = max(float(one.times[-1]) for one in known)
    most = MAX_BINS if len(names) > MAX_PANELS else MAX_POINTS
    seconds = (end - begin) / report.get("time_factor", 1.0)  # counters are read once in a wall second
    edges = np.linspace(begin, end, max(1, min(most, int(seconds))) + 1)
    return OverTime(edges - zero, {name: _device(name, counters, edges) for name in names})


def _device(name: str, counters: Mapping[tuple[str, str], Passed], edges: Values) -> Throughput:
    known = {way: counters[name, way] for way in WAYS if (name, way) in counters}
    return Throughput(
        {way: one.rates_bps(edges) for way, one in known.items()},
        {way: _bins(one.times, one.backlog, edges) for way, one in known.items()},
        {way: _bins(one.times, one.overflowed, edges) for way, one in known.items()},
    )


def _bins(times: Values, values: Values, edges: Values) -> NDArray[np.bool_]:
    """Return in which bins any of the values is not 0."""
    places = np.clip(np.searchsorted(edges, times, "left") - 1, 0, len(edges) - 2)
    found = np.zeros(len(edges) - 1, dtype=bool)
    found[places[values > 0]] = True
    return found


@drawing
def draw_throughput(report: Mapping[str, Any], found: OverTime | None) -> Drawn | None:
    """Draw the throughput of each device's link in both directions; None if nothing was counted."""
    if found is None:
        return None
    between = any(name not in report["devices"] for name in found.devices)
    caption = f"What passed the link of each device{' and each edge' if between else ''} since the gate opened, "
    caption += "over the time since training began"
    if len(found.devices) > MAX_PANELS:
        return _draw_rows(report, found, caption)
    factor, unit = _unit(rate.max() for one in found.devices.values() for rate in one.rates.values())
    figure, panels = new_panels(len(found.devices), unit)
    for axes, (device, one) in zip(panels, found.devices.items(), strict=True):
        _panel(axes, device, found.edges, one, factor)
        mark_events(axes, report, device)
    figure.legend(handles=_handles(), ncols=4, loc="outside upper right")
    caption += (
        ". Above each panel, uplink over downlink: pale where bytes waited in the queue at the end of a second, "
        "full where the queue dropped packets for which it had no room."
    )
    return Drawn("throughput", "Throughput", caption + describe_device_marks(report), figure)


def _draw_rows(report: Mapping[str, Any], found: OverTime, caption: str) -> Drawn:
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    edges = {(row["device"], row["direction"]): row["rate_asked_bps"] for row in report.get("links") or []}
    asked: dict[str, dict[str, Any]] = {
        device: {
            way: report["devices"][device].get(f"rate_{way}_bps")
            if device in report["devices"]
            else edges.get((device, way))
            for way in one.rates
        }
        for device, one in found.devices.items()
    }
    share = all(rate for rates in asked.values() for rate in rates.values())
    server = servers(report)
    busiest = {
        device: np.maximum.reduce(
            [rate / (asked[device][way] / 100 if share else 1.0) for way, rate in one.rates.items()]
        )
        for device, one in found.devices.items()
        if share or device not in server  # beside what passes a server's link, that of clients cannot be seen
    }
    factor, unit = (1.0, "% of the link's rate") if share else _unit(one.max() for one in busiest.values())
    peaks: dict[str, float | None] = {device: float(one.max()) for device, one in busiest.items()}
    shown = choose_rows(peaks, ("highest", "median", "lowest"), first=server, lost=lost_devices(report))
    dropped = {
        device: find_spans(np.logical_or.reduce(list(one.dropped.values())), found.edges)
        for device, one in found.devices.items()
        if device in busiest
    }
    series = {device: (middles, one) for device, one in busiest.items()}
    figure = draw_heat_rows(report, series, dict.fromkeys(series, factor), shown, unit, dropped)
    caption += ": the busier direction, as a share of its rate." if share else f": the busier direction ({unit})."
    if not share and server:
        caption += " The server is only in the table."
    if any(dropped[device] for device in shown.names):
        caption += " Orange lines: a queue dropped packets for which it had no room."
    if not shown.complete:
        caption += f" Above: all clients; below: in the order of their highest value.{shown.describe()}"
    caption += event_caption(report)
    return Drawn("throughput", "Throughput", caption, figure, table="" if shown.complete else "counted-links")


def _panel(axes: Axes, device: str, edges: Values, one: Throughput, factor: float) -> None:
    top = max(float(rate.max()) for rate in one.rates.values()) / factor or 1.0
    for way, colour in zip(WAYS, COLOURS, strict=False):
        if way not in one.rates:
            continue
        rate = one.rates[way] / factor
        axes.step(edges, np.append(rate, rate[-1:]), where="post", color=colour, lw=1.0)
        waited, dropped = find_spans(one.waited[way], edges), find_spans(one.dropped[way], edges)
        lane = {"transform": axes.get_xaxis_transform(), "color": colour, "lw": LANE_POINTS}
        draw_spans(axes, {LANES[way]: waited}, alpha=0.3, **lane)
        draw_spans(axes, {LANES[way]: dropped}, **lane)
    axes.set_title(short(device), fontsize=7.5)
    axes.set_ylim(0, top * ROOM_ABOVE)
    axes.set_xlim(edges[0], edges[-1])
    axes.locator_params(axis="both", nbins=4)
    axes.tick_params(labelsize=6.5)


def _handles() -> list[Line2D]:
    lines = [Line2D([], [], color=colour, lw=1.0, label=way) for way, colour in zip(WAYS, COLOURS, strict=False)]
    return [
        *lines,
        Line2D([], [], color=COLOURS[0], lw=LANE_POINTS, alpha=0.3, label="queued"),
        Line2D([], [], color=COLOURS[0], lw=LANE_POINTS, label="dropped"),
    ]


def _unit(rates: Iterable[float]) -> tuple[float, str]:
    return (1e6, "Mbit/s") if max(rates) >= 1e6 else (1e3, "kbit/s")
