"""Which results of a round are its accuracy and its loss, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# The first one that the run has is drawn: preferably on the test split, else on validation or training data.
ACCURACIES = ("test_acc", "val_acc", "train_acc")
LOSSES = ("test_avg_loss", "val_avg_loss", "test_loss", "val_loss", "train_avg_loss")
NAMES = {
    "test_acc": "Test accuracy",
    "val_acc": "Validation accuracy",
    "train_acc": "Training accuracy",
    "test_avg_loss": "Mean test loss",
    "val_avg_loss": "Mean validation loss",
    "train_avg_loss": "Mean training loss",
    "test_loss": "Test loss",
    "val_loss": "Validation loss",
    "train_loss": "Training loss",
}


def find_metric(rounds: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str | None:
    """Return the first of ``keys`` that any round has a value for."""
    return next((key for key in keys if any(entry.get(key) is not None for entry in rounds)), None)
