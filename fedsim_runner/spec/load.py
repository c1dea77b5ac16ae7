"""Experiment file -> `Draft`: the experiment it describes, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..catalog.engines import engine_facts
from ..catalog.entries import DeviceTypeEntry, ProfileEntry
from ..catalog.load import load_catalog
from ..catalog.name_rules import explain_wrong_name
from ..yamlfile.document import Document, parse, read_text
from ..yamlfile.spec_errors import PathPart, SpecErrors
from .data_section import DataSectionReader, take_data_tree
from .device_list import Definitions, build_devices, check_roles, resolve_definitions
from .draft import Draft
from .experiment import CourseLimits, Experiment
from .federatedscope_tree import check_config
from .schema import DeviceEntry, ExperimentFile, FederatedScopeSection
from .validation_messages import explain, path_in

_AT_CONFIG: tuple[PathPart, ...] = ("federatedscope", "config")

# Experiment files with these suffixes are also inventories; the plugin that reads them is in plugins/inventory.
INVENTORY_SUFFIXES = (".fedsim.yaml", ".fedsim.yml")
INVENTORY_PLUGIN = "fedsim.testbed.experiment"

ModelT = TypeVar("ModelT", bound=BaseModel)


def read_draft(path: Path) -> Draft:
    """Read an experiment file. Only the file itself is checked: no data set is opened and no engine consulted.

    Raises:
        SpecErrors: the file cannot be read, or is so broken as YAML that nothing in it can be checked.
    """
    return parse_draft(read_text(path), path)


def parse_draft(text: str, path: Path) -> Draft:
    """Read an experiment's text. ``path`` names the file in errors; relative paths in the text start at its folder.

    Mistakes are kept in the draft, so that later checks can add theirs.

    Raises:
        SpecErrors: it is so broken as YAML that nothing in it can be checked.
    """
    document = parse(text, str(path))
    raw = document.value()
    if path.name.endswith(INVENTORY_SUFFIXES) and raw.get("plugin") == INVENTORY_PLUGIN:
        del raw["plugin"]  # for Ansible, which reads the same file as an inventory
    _report_empty_values(raw, (), document)
    try:
        checked = Checked(ExperimentFile.model_validate(raw))
    except ValidationError as error:
        explain(error, ExperimentFile, document)
        checked = _salvage_file(raw)
    # The valid parts are checked further even when others are invalid, so that all mistakes are listed together.
    return _build(checked, document, text, path)


@dataclass(frozen=True)
class Checked:
    """The valid part of a file's content; ``invalid`` has the paths of the rest."""

    file: ExperimentFile
    devices: tuple[DeviceEntry | None, ...] | None = None
    invalid: frozenset[tuple[PathPart, ...]] = field(default=frozenset())

    @property
    def entries(self) -> Sequence[DeviceEntry | None]:
        return self.file.devices if self.devices is None else self.devices

    def has_invalid(self, *keys: str) -> bool:
        """Whether any device, or one of these keys of any device, is invalid."""
        if None in self.entries or ("devices",) in self.invalid:
            return True
        return any(path[0] == "devices" and path[-1] in keys for path in self.invalid if path)

    def has_invalid_at(self, number: int, *keys: str) -> bool:
        """Whether one of these keys of one device is invalid."""
        return any(("devices", number, key) in self.invalid for key in keys)

    def definitions(self) -> Definitions:
        """The file's own device types and profiles; None for each that has an invalid part."""
        types: dict[str, DeviceTypeEntry | None] = dict(self.file.device_types)
        profiles: dict[str, ProfileEntry | None] = dict(self.file.network.profiles)
        for path in self.invalid:
            if path[:1] == ("device_types",) and len(path) > 1:
                types[str(path[1])] = None
            elif path[:2] == ("network", "profiles") and len(path) > 2:
                profiles[str(path[2])] = None
        return Definitions(types, profiles)


def _build(checked: Checked, document: Document, text: str, path: Path) -> Draft:
    """Build the experiment from the valid part; what is wrong is reported in the document."""
    file = checked.file
    catalog = load_catalog()
    wrong = explain_wrong_name(file.name)
    if wrong:
        document.report(("name",), *wrong)
    choices = resolve_definitions(catalog, checked.definitions(), document, path.parent)
    nameless = {number for number in range(len(checked.entries)) if checked.has_invalid_at(number, "name", "count")}
    devices = build_devices(checked.entries, choices, document, nameless)
    clients = None
    if not checked.has_invalid("role", "count"):
        entries = [entry for entry in checked.entries if entry is not None]
        check_roles(entries, document)
        clients = sum(entry.count for entry in entries if entry.role == "client")
    config: dict[str, Any] = {}
    data_tree: dict[str, Any] | None = None
    tree = _find_config_tree(file.federatedscope, checked, document, path.parent)
    if tree is not None:
        values = tree.value()
        # An unknown seed contradicts no other.
        seed = file.seed if ("seed",) not in checked.invalid else values.get("seed", 0)
        data_tree = take_data_tree(file.data, values, tree, path.parent)
        config = check_config(values, tree, seed, clients)
    data = DataSectionReader(file.data, document, tree, path.parent).source(
        any(engine_facts(device.engine).natural_shape for device in devices)
    )
    experiment = Experiment(
        name=str(file.name),
        seed=file.seed,
        devices=devices,
        course=_build_course(file, document, clients),
        data=replace(data, tree=data_tree),
        config=config,
        link_backend=file.network.backend,
        allow_unshaped=file.network.allow_unshaped,
        cpu_factor=None if file.cpu_factor is None else float(file.cpu_factor),
        federatedscope_source=file.federatedscope.source,
        patches_off=tuple(sorted(name for name, enabled in file.federatedscope.patches.items() if not enabled)),
        path=path,
        source=text,
    )
    known = not checked.has_invalid("role", "count", "name", "type") and clients is not None
    return Draft(experiment, document, tree, known)


def _build_course(file: ExperimentFile, document: Document, clients: int | None) -> CourseLimits:
    course = file.course
    if "min_clients" in course.model_fields_set:
        if course.on_client_failure == "abort":
            document.report(
                ("course", "min_clients"),
                "means nothing with on_client_failure: abort",
                "write on_client_failure: continue, or remove it",
            )
        elif clients is not None and course.min_clients > clients:
            document.report(("course", "min_clients"), f"{course.min_clients} are more than the {clients} clients")
    if course.round_deadline is not None and course.round_deadline >= course.timeout:
        document.report(("course", "round_deadline"), "must be shorter than course.timeout")
    return CourseLimits(
        float(course.timeout),
        float(course.silence_timeout),
        course.on_client_failure,
        course.min_clients,
        None if course.round_deadline is None else float(course.round_deadline),
    )


def _find_config_tree(
    section: FederatedScopeSection, checked: Checked, document: Document, folder: Path
) -> Document | None:
    """Find FederatedScope's tree, in the experiment file or its own; None if in neither. Errors go to one list."""
    at: tuple[PathPart, ...] = ("federatedscope",)
    if section.config is not None:
        if section.config_file is not None:
            message = "given together with config: only one of them may be used"
            document.report((*at, "config_file"), message, "remove one of them")
        return document.below(_AT_CONFIG)
    if section.config_file is None:
        if not any(path[:1] == at for path in checked.invalid):
            document.report(at, "no configuration", "give config, with federate.total_round_num, or config_file")
        return None
    try:
        try:
            other = folder / Path(section.config_file).expanduser()
        except RuntimeError:
            document.report((*at, "config_file"), f"{section.config_file}: there is no such user here")
            return None
        tree = parse(read_text(other), str(other))
    except SpecErrors as errors:
        for error in errors.errors:
            if error.line:
                document.errors.append(error)
            else:
                document.report((*at, "config_file"), f"{section.config_file}: {error.message}", error.hint)
        return None
    document.errors.extend(tree.errors)
    tree.errors = document.errors
    return tree


def _report_empty_values(value: Any, path: tuple[PathPart, ...], document: Document) -> None:
    """Report keys without a value: probably unfinished lines. FederatedScope's own tree may hold nulls."""
    if path == _AT_CONFIG:
        return
    if isinstance(value, dict):
        for key in list(value):
            if value[key] is None:
                document.report((*path, key), "has no value", "give one, or remove the key")
                del value[key]
            else:
                _report_empty_values(value[key], (*path, key), document)
    elif isinstance(value, list):
        for number, below in enumerate(value):
            _report_empty_values(below, (*path, number), document)


def _salvage_file(raw: dict[str, Any]) -> Checked:
    """Keep the valid parts of a file that failed validation; its mistakes have already been reported."""
    listed = raw.get("devices")
    invalid: set[tuple[PathPart, ...]] = set()
    devices: list[DeviceEntry | None] = []
    if not isinstance(listed, list):
        invalid.add(("devices",))
    for number, item in enumerate(listed if isinstance(listed, list) else []):
        # Whole keys are dropped: half of a written-out network would only cause false alarms.
        entry, removed = _salvage(DeviceEntry, item, {}, depth=1)
        devices.append(entry)
        invalid |= {("devices", number, *path) for path in removed}
    needed = {"name": "unnamed", "devices": [], "federatedscope": {}}
    file, removed = _salvage(ExperimentFile, {**raw, "devices": []}, needed)
    if "federatedscope" not in raw:
        removed.add(("federatedscope",))
    return Checked(file or ExperimentFile.model_validate(needed), tuple(devices), frozenset(invalid | removed))


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
