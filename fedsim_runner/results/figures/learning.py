"""Accuracy and loss over rounds and over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..page.metrics import ACCURACIES, LOSSES, NAMES, find_metric
from .event_marks import event_caption, mark_events
from .style import Drawn, drawing, line_style, marker_step, narrow, new_pair, time_label


@drawing
def draw_accuracy(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the accuracy; None if no round has one."""
    return _draw(report, "accuracy", "Accuracy", ACCURACIES)


@drawing
def draw_loss(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the loss; None if no round has one."""
    return _draw(report, "loss", "Loss", LOSSES)


def _draw(report: Mapping[str, Any], name: str, title: str, keys: Sequence[str]) -> Drawn | None:
    rounds = list(report.get("rounds") or [])
    key = find_metric(rounds, keys)
    if key is None:
        return None
    known = [entry for entry in rounds if entry.get(key) is not None]
    timed = [entry for entry in known if entry.get("elapsed_seconds") is not None]
    figure, axes = new_pair(2.3)
    style = {**line_style(0), "markevery": marker_step(len(known))}
    axes[0].plot([entry["round"] for entry in known], [entry[key] for entry in known], **style)
    axes[1].plot([entry["elapsed_seconds"] for entry in timed], [entry[key] for entry in timed], **style)
    axes[0].set(ylabel=NAMES[key])
    learning_axes(axes, key)
    mark_events(axes[1], report)
    caption = f"{NAMES[key]} after each evaluated round, over rounds and over the time since training began."
    caption += event_caption(report, availability=False)
    return Drawn(name, title, caption, figure)


def learning_axes(axes: Sequence[Axes], key: str) -> None:
    """Set labels and limits of a pair of axes: over rounds, over time."""
    axes[0].set(xlabel="Round")
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes[1].set(xlabel=time_label("Time since training began (s)"))
    axes[1].set_xlim(left=0)
    if narrow():
        axes[1].set_ylabel(axes[0].get_ylabel())  # the axes are stacked
    if key.endswith("_acc"):
        low, high = axes[0].get_ylim()
        axes[0].set_ylim(max(low, -0.02), min(high, 1.02))
    elif (limits := axes[0].get_ylim())[0] > 0:
        axes[0].set_ylim(0, 1.05 * limits[1])  # room for markers, also where all values are nearly the same
