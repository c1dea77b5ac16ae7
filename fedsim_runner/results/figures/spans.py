"""Spans of time as thick lines, all of a kind as one path: a shape for each would make a page of many too large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

Span = tuple[float, float]  # from, to


def find_spans(marked: NDArray[np.bool_], edges: NDArray[np.float64]) -> list[Span]:
    """Return the times of marked bins; neighbours are one span."""
    steps = np.diff(np.concatenate(([False], marked, [False])).astype(int))
    begins, ends = np.flatnonzero(steps > 0), np.flatnonzero(steps < 0)
    return [(float(edges[begin]), float(edges[end])) for begin, end in zip(begins, ends, strict=True)]


def draw_spans(axes: Axes, spans: Mapping[float, Sequence[Span]], **style: Any) -> None:
    """Draw spans of the x axis, by where they are on the y axis. The limits of the axes stay."""
    x: list[float] = []
    y: list[float] = []
    for place, some in spans.items():
        for begin, end in some:
            x += [begin, end, np.nan]
            y += [place, place, np.nan]
    if x:
        axes.plot(x, y, scalex=False, scaley=False, solid_capstyle="butt", **style)
