"""Figures of several runs: the accuracy of all on one pair of axes, and where the time of their rounds went."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from fedsim_runner.contract.units import size_unit

from ..comparison.intervals import half_width
from ..page.metrics import NAMES
from ..tables.time_split import PARTS as ROUND_PARTS
from .learning import learning_axes
from .row_axes import device_axis, device_height
from .style import (
    PARTS,
    Drawn,
    drawing,
    line_style,
    marker_step,
    narrow,
    new_figure,
    new_pair,
    part_legend,
    short,
    time_label,
)

GRID = 200
Curve = list[tuple[float, float]]


def draw_comparison(compared: Mapping[str, Any]) -> dict[str, Drawn]:
    """Draw all figures that there are data for, and return them by name."""
    drawn = (draw_curves(compared), draw_split(compared), draw_traffic(compared))
    return {one.name: one for one in drawn if one is not None}


@drawing
def draw_curves(compared: Mapping[str, Any]) -> Drawn | None:
    """Draw the accuracy of every group over rounds and over time; None if no run has any."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for run in compared["runs"]:
        if run["curve"]:
            groups[run["group"]].append(run)
    if not groups:
        return None
    figure, axes = new_pair(2.9)
    repeated = False
    for index, (name, runs) in enumerate(groups.items()):
        style = line_style(index)
        rounds: list[Curve] = [[(point["round"], point["accuracy"]) for point in run["curve"]] for run in runs]
        times: list[Curve] = [
            [
                (point["elapsed_seconds"], point["accuracy"])
                for point in run["curve"]
                if point["elapsed_seconds"] is not None
            ]
            for run in runs
        ]
        for place, curves in ((axes[0], rounds), (axes[1], [curve for curve in times if curve])):
            if not curves:
                continue
            if len(curves) == 1:
                x, low, middle, high = [x for x, _ in curves[0]], None, [y for _, y in curves[0]], None
            else:
                repeated = True
                x, low, middle, high = _band(curves, place is axes[1])
                place.fill_between(x, low, high, color=style["color"], alpha=0.18, lw=0)
            label = f"{short(name)} ({len(runs)} runs)" if len(runs) > 1 else short(name)
            place.plot(x, middle, **style, markevery=marker_step(len(x), 8), label=label if place is axes[0] else None)
    target = compared["target_accuracy"]
    if target is not None:
        for place in axes:
            place.axhline(target, color="#888888", lw=0.8, ls=(0, (2, 2)), zorder=0.8)
        axes[1].annotate(f"{target:g}", (1, target), xycoords=("axes fraction", "data"), fontsize=7, color="#555555",
                         xytext=(2, 0), textcoords="offset points", va="center")  # fmt: skip
    axes[0].set(ylabel=NAMES[compared["metric"]])
    learning_axes(axes, compared["metric"])
    figure.legend(ncols=1 if narrow() else 3, loc="outside upper left")
    caption = f"{NAMES[compared['metric']]} over rounds and over the time since training began."
    if repeated:
        caption += " Lines: mean of the repeats, where all have a value; bands: its 95 % confidence interval."
    if target is not None:
        caption += f" Dotted: the target accuracy {target:g}."
    return Drawn("accuracy", "Accuracy", caption, figure)


@drawing
def draw_split(compared: Mapping[str, Any]) -> Drawn | None:
    """Draw the mean parts of a round by group; None if no group has them."""
    groups = [group for group in compared["groups"] if group["mean_download_seconds_mean"] is not None]
    if not groups:
        return None
    figure, axes = new_figure(device_height(len(groups)))
    left = [0.0] * len(groups)
    for part in ROUND_PARTS:
        widths = [group[f"mean_{part}_seconds_mean"] or 0.0 for group in groups]
        colour, hatch = PARTS[part]
        axes.barh(range(len(groups)), widths, 0.7, left, color=colour, hatch=hatch, edgecolor="white", lw=0.3)
        left = [sum(pair) for pair in zip(left, widths, strict=True)]
    device_axis(axes, [group["group"] for group in groups])
    axes.set(xlabel=time_label("Mean seconds per round and client"))
    part_legend(figure, ROUND_PARTS)
    caption = "Where the time of a round goes: mean over all clients, rounds and repeats."
    return Drawn("round-time", "Time of a round", caption, figure)


@drawing
def draw_traffic(compared: Mapping[str, Any]) -> Drawn | None:
    """Draw the bytes sent by group; None if none were counted."""
    groups = [group for group in compared["groups"] if group["bytes_sent_mean"] is not None]
    if not groups:
        return None
    factor, unit = size_unit(max(group["bytes_sent_mean"] for group in groups))
    figure, axes = new_figure(device_height(len(groups)))
    axes.barh(
        range(len(groups)),
        [group["bytes_sent_mean"] / factor for group in groups],
        0.6,
        xerr=[(group["bytes_sent_ci95"] or float("nan")) / factor for group in groups],
        color="#8FC7EA",
        error_kw={"elinewidth": 1, "capsize": 2},
    )
    device_axis(axes, [group["group"] for group in groups])
    axes.set(xlabel=f"{unit} sent by all devices together")
    caption = "Bytes at the devices' network interfaces in a whole run."
    if any(group["bytes_sent_ci95"] for group in groups):
        caption += " Error bars: 95 % confidence interval of the mean of the repeats."
    return Drawn("bytes", "Bytes", caption, figure)


def _band(curves: Sequence[Curve], over_time: bool) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return x, and the mean between the ends of its 95 % confidence interval, where all repeats have a value."""
    if over_time:
        begin, end = max(curve[0][0] for curve in curves), min(curve[-1][0] for curve in curves)
        if end <= begin:
            begin, end = min(curve[0][0] for curve in curves), max(curve[-1][0] for curve in curves)
        places = [begin + (end - begin) * index / (GRID - 1) for index in range(GRID)]
    else:
        places = sorted(set.intersection(*({x for x, _ in curve} for curve in curves))) or [x for x, _ in curves[0]]
    low, middle, high = [], [], []
    for x in places:
        values = [_at(curve, x) for curve in curves]
        mean, half = statistics.fmean(values), half_width(values)
        low.append(mean - half)
        middle.append(mean)
        high.append(mean + half)
    return places, low, middle, high


def _at(curve: Curve, x: float) -> float:
    """Return the curve's value at ``x``, interpolated linearly between points."""
    index = bisect_left(curve, (x, -1.0))
    if index == 0:
        return curve[0][1]
    if index == len(curve):
        return curve[-1][1]
    (x0, y0), (x1, y1) = curve[index - 1], curve[index]
    return y0 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
