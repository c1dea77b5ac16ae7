"""The valid part of an experiment file that failed validation, so that later checks can list their mistakes, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..catalog.entries import DeviceTypeEntry, ProfileEntry
from ..yamlfile.spec_errors import PathPart
from .definitions import Definitions
from .event_entries import EventEntry
from .schema import DeviceEntry, ExperimentFile
from .validation_messages import path_in

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Checked:
    """The valid part of a file's content; ``invalid`` has the paths of the rest."""

    file: ExperimentFile
    devices: tuple[DeviceEntry | None, ...] | None = None
    valid_events: tuple[EventEntry | None, ...] | None = None
    invalid: frozenset[tuple[PathPart, ...]] = field(default=frozenset())

    @property
    def entries(self) -> Sequence[DeviceEntry | None]:
        return self.file.devices if self.devices is None else self.devices

    @property
    def events(self) -> Sequence[EventEntry | None]:
        """The events, without the invalid keys of each; None: nothing is left of it."""
        return self.file.events if self.valid_events is None else self.valid_events

    def has_invalid(self, *keys: str) -> bool:
        """Whether any device, or one of these keys of any device, is invalid."""
        if None in self.entries or ("devices",) in self.invalid:
            return True
        return any(path[0] == "devices" and path[-1] in keys for path in self.invalid if path)

    def has_invalid_at(self, number: int, *keys: str) -> bool:
        """Whether one of these keys of one device is invalid."""
        return any(("devices", number, key) in self.invalid for key in keys)

    def event_is_sound(self, number: int) -> bool:
        """Whether no key of this event is invalid."""
        return not any(path[:2] == ("events", number) for path in self.invalid)

    def definitions(self) -> Definitions:
        """The file's own device types and profiles; None for each that has an invalid part."""
        types: dict[str, DeviceTypeEntry | None] = dict(self.file.device_types)
        profiles: dict[str, ProfileEntry | None] = dict(self.file.network.profiles)
        top_profiles: dict[str, ProfileEntry | None] = dict(self.file.network_profiles)
        for path in self.invalid:
            if path[:1] == ("device_types",) and len(path) > 1:
                types[str(path[1])] = None
            elif path[:2] == ("network", "profiles") and len(path) > 2:
                profiles[str(path[2])] = None
            elif path[:1] == ("network_profiles",) and len(path) > 1:
                top_profiles[str(path[1])] = None
        return Definitions(types, profiles, top_profiles)


def salvage_file(raw: dict[str, Any]) -> Checked:
    """Keep the valid parts of a file that failed validation; its mistakes have already been reported."""
    invalid: set[tuple[PathPart, ...]] = set()
    devices = _salvage_list("devices", DeviceEntry, raw.get("devices"), {}, invalid)
    events = _salvage_list("events", EventEntry, raw.get("events", []), {"devices": []}, invalid)
    needed = {"name": "unnamed", "devices": [], "federatedscope": {}}
    file, removed = _salvage(ExperimentFile, {**raw, "devices": [], "events": []}, needed)
    return Checked(file or ExperimentFile.model_validate(needed), devices, events, frozenset(invalid | removed))


def _salvage_list(
    key: str, model: type[ModelT], listed: object, needed: dict[str, Any], invalid: set[tuple[PathPart, ...]]
) -> tuple[ModelT | None, ...]:
    """Keep the valid keys of each entry of a list; the paths of the others are added to ``invalid``."""
    if not isinstance(listed, list):
        invalid.add((key,))
        return ()
    entries: list[ModelT | None] = []
    for number, item in enumerate(listed):
        # Whole keys are dropped: half of a written-out network would only cause false alarms.
        entry, removed = _salvage(model, item, needed, depth=1)
        entries.append(entry)
        invalid |= {(key, number, *path) for path in removed}
        if entry is None:
            invalid.add((key, number))
    return tuple(entries)


def _salvage(
    model: type[ModelT], raw: Any, needed: dict[str, Any], depth: int | None = None
) -> tuple[ModelT | None, set[tuple[PathPart, ...]]]:
    """Validate without the invalid parts, whose paths are returned; ``needed`` stands in for required keys.

    The removed paths are cut off at ``depth`` keys (None: exactly what is wrong).
    """
    invalid: set[tuple[PathPart, ...]] = set()
    value = raw
    # Each pass removes at least one level of invalid values.
    for _ in range(8):
        if not isinstance(value, dict):
            return None, invalid
        value = {**needed, **value}
        try:
            return model.model_validate(value), invalid
        except ValidationError as error:
            wrong = {path_in(value, details["loc"]) for details in error.errors(include_url=False)}
        invalid |= wrong
        if any(not _has(value, path) and len(path) == 1 for path in wrong):
            return None, invalid  # a required key is missing and nothing can stand in for it
        removed = {(path if _has(value, path) else path[:-1])[:depth] for path in wrong}
        value = _without(value, removed, ())
    return None, invalid


def _has(value: Any, path: Sequence[PathPart]) -> bool:
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def _without(value: Any, removed: set[tuple[PathPart, ...]], path: tuple[PathPart, ...]) -> Any:
    if isinstance(value, dict):
        return {
            key: _without(below, removed, (*path, key)) for key, below in value.items() if (*path, key) not in removed
        }
    return value
