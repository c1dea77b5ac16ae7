"""What of an experiment is impossible where nothing has limits or links. Pure."""

from __future__ import annotations

from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .experiment import Experiment

NOTHING_THERE = "without Docker there are neither links nor containers to which that could happen"


def report_impossible(experiment: Experiment, document: Document) -> None:
    """Report what needs limits, links or containers, each with its line. ``document``: the experiment's file."""
    if experiment.time == "dilated":
        message = "without Docker nothing is limited, so nothing can be scaled"
        document.report(("time",), message, "run it with Docker, or write time: real")
    if any(not entry.of_availability for entry in experiment.timeline):
        document.report(("events",), NOTHING_THERE, "run it with Docker, or remove events")
    if any(entry.of_availability for entry in experiment.timeline):
        for path in _available_paths(document):
            document.report(path, NOTHING_THERE, "run it with Docker, or remove available")


def _available_paths(document: Document) -> list[tuple[PathPart, ...]]:
    """Where devices say when they are available; of an experiment that no file describes there is only one place."""
    entries = document.get(("devices",)) or ()
    numbers = [number for number, entry in enumerate(entries) if isinstance(entry, dict) and "available" in entry]
    return [("devices", number, "available") for number in numbers] or [("devices",)]
