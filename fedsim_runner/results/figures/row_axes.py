"""Axes with one row per device, and above them, where not every device has a row, axes for an overview of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from .device_rows import Rows
from .style import PARTS, new_figure, short

OVERVIEW_IN = 1.5
ROWS_IN_FULL_SIZE = 20  # more are closer together, in smaller letters
# Left end, middle, width and height of a horizontal bar, in the units of the axes.
Bar = tuple[float, float, float, float]


def new_rows(rows: Rows) -> tuple[Figure, Axes | None, Axes]:
    """Return a figure, axes for an overview of all devices if not every device has a row, and axes for the rows."""
    height = device_height(len(rows.names))
    if rows.complete:
        figure, axes = new_figure(height)
        return figure, None, axes
    figure, (above, axes) = new_figure(OVERVIEW_IN + height, 2, 1, height_ratios=[OVERVIEW_IN, height])
    return figure, above, axes


def device_axis(axes: Axes, names: Sequence[str], groups: Iterable[tuple[str, int, int]] = ()) -> None:
    """Put devices on the y axis from top to bottom; groups of rows are named at the right: what, first, last."""
    # Texts, since a tick costs ten times as much; the layout has to know only the longest of them.
    axes.set_yticks([])
    size = 6 if len(names) > ROWS_IN_FULL_SIZE else 7.5
    place = axes.get_yaxis_transform()
    shown = [short(name) for name in names]
    longest = sorted(shown, key=len)[-3:]
    for row, name in enumerate(shown):
        text = axes.text(-0.008, row, name, transform=place, va="center_baseline", ha="right", fontsize=size)
        text.set_in_layout(name in longest)
    axes.set_ylim(len(names) - 0.4, -0.6)
    for word, first, last in groups:
        if first > 0:
            axes.axhline(first - 0.5, color="#888888", lw=0.5, clip_on=False)
        axes.text(1.01, (first + last) / 2, word, transform=place, rotation=90, va="center",
                  ha="left", fontsize=6.5, color="#444444")  # fmt: skip


def device_height(count: int) -> float:
    """Return the height in inches of a figure with one row per device."""
    return 1.1 + (0.24 if count <= ROWS_IN_FULL_SIZE else 0.145) * max(count, 2)


def add_bars(axes: Axes, bars: Iterable[Bar], part: str, edge: str = "none") -> None:
    """Add horizontal bars of one part of a round.

    All bars are one artist and one path: a patch for each takes minutes where there are hundreds of devices.
    """
    corners = [
        ((x, y - height / 2), (x + width, y - height / 2), (x + width, y + height / 2), (x, y + height / 2))
        for x, y, width, height in bars
    ]
    if corners:
        colour, hatch = PARTS[part]
        path = Path.make_compound_path_from_polys(np.array(corners))
        axes.add_patch(PathPatch(path, facecolor=colour, hatch=hatch or None, edgecolor=edge, lw=0.3))


def ranked_curve(values: Sequence[float], points: int = 120) -> tuple[list[float], list[float]]:
    """Return places and means of about ``points`` groups of neighbours: a curve over all devices in order of rank."""
    step = max(1, len(values) // points)
    groups = [values[at : at + step] for at in range(0, len(values), step)]
    return [at * step + (len(group) + 1) / 2 for at, group in enumerate(groups)], [sum(g) / len(g) for g in groups]
