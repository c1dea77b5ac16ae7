"""How the labels of the data were distributed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .device_rows import MAX_ROWS
from .row_axes import device_axis, device_height
from .style import GREY, HEAT, Drawn, drawing, narrow, new_figure, short

MAX_WRITTEN_DEVICES = 20
MAX_WRITTEN_CLASSES = 16
MAX_WRITTEN_CLASSES_NARROW = 10
MAX_TICKS, MAX_TICKS_NARROW = 40, 20
MAX_LETTERS, MAX_LETTERS_NARROW = 90, 40
SPLITS = {"dirichlet": "Dirichlet", "iid": "IID"}


@drawing
def draw_labels(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the samples of the training split by device and label; None if they are unknown."""
    labels = report.get("labels") or {}
    counts = training_counts(labels)
    classes = labels.get("classes") or []
    if not counts or not classes:
        return None
    picture = [[row.get(label, 0) for label in classes] for row in counts.values()]
    named = len(counts) <= MAX_ROWS
    figure, axes = new_figure(device_height(min(len(counts), MAX_ROWS)) + 0.1)
    image = axes.imshow(picture, aspect="auto", cmap=HEAT, interpolation="none", vmin=0)
    if named:
        device_axis(axes, list(counts))
    else:
        axes.set(ylabel=f"{len(counts)} devices, in the order of the tables")
    axes.set_ylim(len(counts) - 0.5, -0.5)
    axes.grid(visible=False)
    step = max(1, -(-len(classes) // (MAX_TICKS_NARROW if narrow() else MAX_TICKS)))
    names = [short(name) for name in classes[::step]]
    crowded = sum(len(name) for name in names) > (MAX_LETTERS_NARROW if narrow() else MAX_LETTERS)
    axes.set_xticks(
        range(0, len(classes), step), names, rotation=45 if crowded else 0, ha="right" if crowded else "center"
    )
    axes.set(xlabel="Label")
    bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.04)
    bar.set_label("Samples")
    bar.outline.set_edgecolor(GREY)
    written = MAX_WRITTEN_CLASSES_NARROW if narrow() else MAX_WRITTEN_CLASSES
    if len(counts) <= MAX_WRITTEN_DEVICES and len(classes) <= written:
        middle = max(max(row) for row in picture) / 2
        for y, row in enumerate(picture):
            for x, value in enumerate(row):
                axes.text(
                    x,
                    y,
                    str(value),
                    ha="center",
                    va="center",
                    fontsize=6.5,
                    color="black" if value > middle else "white",
                )
    caption = "Training samples of each label that each device holds."
    if labels.get("split"):
        alpha = f", alpha {labels['alpha']:g}" if labels["split"] == "dirichlet" and labels.get("alpha") else ""
        caption += f" Split: {SPLITS.get(labels['split'], labels['split'])}{alpha}."
    if not named:
        caption += " The numbers are in labels.csv."
    return Drawn("labels", "How the labels were distributed", caption, figure)


def training_counts(labels: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the number of training samples by device and label."""
    devices = labels.get("devices") or {}
    return {device: splits["train"] for device, splits in devices.items() if splits.get("train")}
