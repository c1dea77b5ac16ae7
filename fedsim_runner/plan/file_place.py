"""Where in the experiment file something stands that does not fit the lab."""

from __future__ import annotations

from ..spec.device_settings import experiment_document
from ..spec.experiment import Device, Experiment
from ..yamlfile.spec_errors import PathPart


def place_of(experiment: Experiment, *path: PathPart) -> str:
    """Return the beginning of a message about a value: its file and line, or the option that gave it."""
    document = experiment_document(experiment, [])
    document.report(path, "")
    (error,) = document.errors
    return f"{error.file}:{error.line}: " if error.line else f"{error.file}: "


def place_of_device(experiment: Experiment, device: Device) -> str:
    """Return the same about a device: the type of its entry in the file's list."""
    return place_of(experiment, "devices", device.entry, "type")
