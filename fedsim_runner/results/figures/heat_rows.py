"""The usage of many devices over time: a row of colours for each, or for some below the spread of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .device_rows import Rows
from .event_marks import mark_events_in_rows
from .row_axes import device_axis, new_rows
from .spans import Span, draw_spans
from .style import COLOURS, GREY, HEAT, time_label

MAX_BINS = 160
MARK, MARK_POINTS = COLOURS[1], 1.6
Table = NDArray[np.floating[Any]]
Series = Mapping[str, tuple[Table, Table]]


def draw_heat_rows(
    report: Mapping[str, Any],
    series: Series,
    scales: Mapping[str, float],
    rows: Rows,
    unit: str,
    marked: Mapping[str, Sequence[Span]] | None = None,
) -> Any:
    """Return a figure of values over time.

    Args:
        report: whose events are marked.
        series: times and values by device.
        scales: what each device's values are divided by.
        marked: times by device that have a line through its row.
    """
    begin = min(times[0] for times, _ in series.values())
    end = max(times[-1] for times, _ in series.values())
    # Values are a wall second apart.
    bins = max(1, min(MAX_BINS, int((end - begin) / report.get("time_factor", 1.0))))
    width = (end - begin) / bins or 1.0
    binned = {
        name: _binned(times, values, begin, width, bins) / scales[name] for name, (times, values) in series.items()
    }
    figure, above, axes = new_rows(rows)
    if above is not None:
        _draw_spread(above, np.array([binned[name] for name in rows.ranked]), begin + width * (np.arange(bins) + 0.5))
        figure.legend(ncols=3, loc="outside upper left", columnspacing=1.2, handlelength=1.6)
        above.set(ylabel=unit, xlim=(begin, begin + bins * width))
    image = axes.imshow(
        np.array([binned[name] for name in rows.names]), aspect="auto", cmap=HEAT, interpolation="none", vmin=0,
        extent=(begin, begin + bins * width, len(rows.names) - 0.5, -0.5),
    )  # fmt: skip
    device_axis(axes, rows.names, rows.groups)
    axes.set_ylim(len(rows.names) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.set(xlabel=time_label("Time since training began (s)"))
    if marked is not None:
        lines = {float(place): marked[name] for place, name in enumerate(rows.names)}
        draw_spans(axes, lines, color=MARK, lw=MARK_POINTS, zorder=5)
    mark_events_in_rows(axes, report, {name: place for place, name in enumerate(rows.names)})
    bar = figure.colorbar(image, ax=axes, pad=0.05 if rows.groups else 0.01, fraction=0.04)
    bar.set_label(unit)
    bar.outline.set_edgecolor(GREY)
    return figure


def _draw_spread(axes: Axes, table: Table, times: Table) -> None:
    """Draw the median of all devices, where 8 of 10 are, and the largest."""
    seen = ~np.isnan(table).all(axis=0)
    if not seen.any():
        return
    low, middle, high = np.nanquantile(table[:, seen], (0.1, 0.5, 0.9), axis=0)
    times = times[seen]
    axes.fill_between(times, low, high, color=COLOURS[0], alpha=0.2, lw=0, label="8 of 10 clients")
    axes.plot(times, middle, color=COLOURS[0], label="median")
    axes.plot(times, np.nanmax(table[:, seen], axis=0), color=COLOURS[1], lw=0.9, label="largest")
    axes.set_ylim(0)


def _binned(times: Table, values: Table, begin: float, width: float, bins: int) -> Table:
    """Return the mean value of each bin; NaN where there is none."""
    places = np.minimum(bins - 1, ((times - begin) / width).astype(int))
    counts = np.bincount(places, minlength=bins)
    sums = np.bincount(places, values, minlength=bins)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
