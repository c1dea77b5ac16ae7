"""How the accuracy is spread over the clients, round by round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..page.metrics import NAMES
from .learning import learning_axes
from .style import COLOURS, Drawn, drawing, line_style, marker_step, new_pair

FEWEST_CLIENTS = 2


@drawing
def draw_clients(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the mean, the 10th percentile and the extremes; None unless several clients reported an accuracy."""
    key = (report.get("fairness") or {}).get("accuracy")
    rounds = [
        entry
        for entry in report.get("rounds") or []
        if entry.get("client_accuracy_mean") is not None and entry["clients_evaluated"] >= FEWEST_CLIENTS
    ]
    if key is None or not rounds:
        return None
    figure, axes = new_pair(2.3)
    step = marker_step(len(rounds))
    for one, places in zip(axes, ("round", "elapsed_seconds"), strict=True):
        known = [entry for entry in rounds if entry.get(places) is not None]
        at = [entry[places] for entry in known]
        lowest, mean, p10, highest = (
            [entry[f"client_accuracy_{name}"] for entry in known] for name in ("lowest", "mean", "p10", "highest")
        )
        one.fill_between(at, lowest, highest, color=COLOURS[0], alpha=0.15, lw=0, label="lowest to highest")
        one.plot(at, mean, **{**line_style(0), "markevery": step}, label="mean")
        one.plot(at, p10, **{**line_style(1), "markevery": step}, label="10th percentile")
    axes[0].set(ylabel=NAMES[key])
    learning_axes(axes, key)
    axes[0].legend(loc="lower right")
    caption = (
        f"{NAMES[key]} of the clients, each on its own data: mean, 10th percentile, and the range of all. "
        "Every client counts alike."
    )
    return Drawn("clients", "Accuracy of the clients", caption, figure, table="results-of-clients")
