"""Bars over time as pixels: of a course with a thousand rounds no single bar can be seen, only what prevails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from .style import PARTS

COLUMNS = 1000
# Pixels of a row: the bar, and half of the gap to the next row on each side.
ROW_PIXELS = 7


def draw_pixels(
    axes: Axes,
    spans: Mapping[tuple[int, str], Sequence[tuple[float, float]]],
    rows: int,
    bar_height: float,
    begin: float,
    end: float,
) -> None:
    """Draw bars, given by row and part as (start, width), as one picture.

    The colour of a pixel is the mean of the colours of its parts, each weighted by its share of the pixel's time.
    """
    edges = np.linspace(begin, end, COLUMNS + 1)
    weights = np.zeros((rows, COLUMNS, 1))
    colours = np.zeros((rows, COLUMNS, 3))
    for (row, part), bars in spans.items():
        covered = _covered(bars, edges)[:, np.newaxis]
        weights[row] += covered
        colours[row] += covered * to_rgb(PARTS[part][0])
    # What no bar covers is white; bars that overlap share their pixel.
    rest = np.clip((edges[1] - edges[0]) - weights, 0.0, None)
    colours = (colours + rest) / (weights + rest)
    margin = round(ROW_PIXELS * (1 - bar_height) / 2)
    picture = np.ones((rows, ROW_PIXELS, COLUMNS, 3))
    picture[:, margin : ROW_PIXELS - margin] = colours[:, np.newaxis]
    axes.imshow(
        np.round(picture.reshape(rows * ROW_PIXELS, COLUMNS, 3) * 255).astype(np.uint8),
        aspect="auto", interpolation="nearest", extent=(begin, end, rows - 0.5, -0.5),
    )  # fmt: skip


def _covered(bars: Sequence[tuple[float, float]], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many seconds between each two edges the bars cover."""
    starts = np.array([start for start, _ in bars])
    ends = starts + np.array([width for _, width in bars])
    moments = np.concatenate((starts, ends))
    order = np.argsort(moments, kind="stable")
    moments = moments[order]
    # How many bars there are at once after each moment; the covered time grows by that many seconds per second.
    depth = np.cumsum(np.repeat((1, -1), len(bars))[order])
    covered = np.concatenate(([0.0], np.cumsum(depth[:-1] * np.diff(moments))))
    return np.diff(np.interp(edges, moments, covered))
