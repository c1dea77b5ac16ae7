"""Experiment file -> `Draft`: the experiment it describes, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..catalog.data_sets import FEDERATEDSCOPE
from ..catalog.engines import engine_facts
from ..catalog.load import load_catalog
from ..catalog.name_rules import explain_wrong_name
from ..contract.timeline import TimelineEntry
from ..contract.topology import Topology
from ..yamlfile.document import Document, parse, read_text
from ..yamlfile.overrides import Override
from ..yamlfile.spec_errors import PathPart, SpecErrors
from .availability.timeline import availability_timeline
from .course_limits import build_course
from .data_section import DataSectionReader
from .default_course import default_course, describe_default
from .definitions import Choices, resolve_definitions
from .device_data import have_own_files, read_device_data
from .device_list import build_devices, check_roles, describe_other_cores, device_names
from .device_selectors import DeviceSelectors
from .device_settings import (
    check_device_settings,
    describe_device_settings,
    report_client_sections,
    take_client_sections,
)
from .dilation import check_time
from .draft import Draft
from .event_list import build_timeline
from .event_moments import Course
from .experiment import Device, Experiment
from .federatedscope_tree import brought_tree, check_target, put_overrides
from .model_files import take_model_files
from .older_keys import Moved
from .regions import read_regions
from .requirements import read_requirements
from .round_trips import check_round_trips
from .schema import ExperimentFile, FederatedScopeSection
from .settled_config import Settled, Surroundings, settle_config
from .topologies import read_topology
from .traces.means import used_tracks
from .traces.variations import Variations
from .valid_part import Checked, salvage_file
from .validation_messages import explain

_AT_CONFIG: tuple[PathPart, ...] = ("federatedscope", "config")
# What the image of an engine installs that is FederatedScope itself.
REAL = "FederatedScope"

# Experiment files with these suffixes are also inventories; the plugin that reads them is in plugins/inventory.
INVENTORY_SUFFIXES = (".fedsim.yaml", ".fedsim.yml")
INVENTORY_PLUGIN = "fedsim.testbed.experiment"


def read_draft(path: Path, overrides: Sequence[Override] = ()) -> Draft:
    """Read an experiment file. Only the file itself is checked: no data set is opened and no engine consulted.

    ``overrides``: values that options give in place of the file's.

    Raises:
        SpecErrors: the file cannot be read, or is so broken as YAML that nothing in it can be checked.
    """
    return parse_draft(read_text(path), path, overrides)


def parse_draft(text: str, path: Path, overrides: Sequence[Override] = ()) -> Draft:
    """Read an experiment's text. ``path`` names the file in errors; relative paths in the text start at its folder.

    Mistakes are kept in the draft, so that later checks can add theirs.

    Raises:
        SpecErrors: it is so broken as YAML that nothing in it can be checked.
    """
    document = parse(text, str(path))
    of_tree = put_overrides(document, overrides)
    raw = document.value()
    if path.name.endswith(INVENTORY_SUFFIXES) and raw.get("plugin") == INVENTORY_PLUGIN:
        del raw["plugin"]  # for Ansible, which reads the same file as an inventory
    _report_empty_values(raw, (), document)
    try:
        checked = Checked(ExperimentFile.model_validate(raw))
    except ValidationError as error:
        explain(error, ExperimentFile, document)
        checked = salvage_file(raw)
    # The valid parts are checked further even when others are invalid, so that all mistakes are listed together.
    draft = _build(checked, document, text, path, of_tree)
    return replace(draft, experiment=replace(draft.experiment, overrides=tuple(overrides)))


def _build(checked: Checked, document: Document, text: str, path: Path, of_tree: Sequence[Override]) -> Draft:
    """Build the experiment from the valid part; what is wrong is reported in the document."""
    file = checked.file
    catalog = load_catalog()
    wrong = explain_wrong_name(file.name)
    if wrong:
        document.report(("name",), *wrong)
    definitions = checked.definitions()
    variations = Variations(document, path.parent)
    choices = resolve_definitions(catalog, definitions, variations, document, path.parent)
    nameless = {number for number in range(len(checked.entries)) if checked.has_invalid_at(number, "name", "count")}
    devices = build_devices(checked.entries, choices, variations, document, nameless)
    known = not checked.has_invalid("role", "count", "name", "type")
    of_regions = read_regions(checked, devices, document)
    topology = read_topology(checked, devices, choices, known, document) or of_regions
    check_round_trips(devices, variations.tracks, topology, checked.entries, document)
    clients = None
    if not checked.has_invalid("role", "count"):
        entries = [entry for entry in checked.entries if entry is not None]
        check_roles(entries, document)
        clients = sum(entry.count for entry in entries if entry.role == "client")
    settled = Settled({})
    initial_model = None
    by_default = _says_nothing_of_the_course(checked)
    tree: Document | None
    moved = Moved()
    if by_default:
        tree = default_course(of_tree)
        document.errors.extend(tree.errors)
        tree.errors = document.errors
    else:
        tree, moved = _find_config_tree(file.federatedscope, checked, document, path.parent, of_tree)
    if tree is not None:
        values = tree.value()
        report_client_sections(take_client_sections(values), tree, devices)
        brought = None if by_default or tree.file == document.file else str(file.federatedscope.config_file)
        # An unknown seed contradicts no other.
        seed = file.seed if ("seed",) not in checked.invalid else values.get("seed", 0)
        real = any(device.role == "server" and engine_facts(device.engine).source == REAL for device in devices)
        own_files = have_own_files(checked.entries)
        around = Surroundings(seed, clients, file.data, path.parent, brought, real, own_files)
        settled = settle_config(values, tree, around)
        if file.course.target is not None:
            check_target(settled.config, document)
        initial_model = take_model_files(settled.config, tree, path.parent)
    check_device_settings(checked.entries, settled.config, document)
    kind = None if settled.data is None else str(settled.data["type"])
    parts = read_device_data(checked.entries, file.data.dataset, kind, document, path.parent)
    data = DataSectionReader(file.data, document, tree, path.parent).source(
        any(engine_facts(device.engine).natural_shape for device in devices)
    )
    known = not checked.has_invalid("role", "count", "name", "type") and clients is not None
    experiment = Experiment(
        name=str(file.name),
        seed=file.seed,
        devices=devices,
        course=build_course(file.course, document, clients, settled.config),
        data=replace(
            data, tree=settled.data, parts={one.name: parts[one.entry] for one in devices if one.entry in parts}
        ),
        config=settled.config,
        link_backend=file.network.backend,
        congestion_control=file.network.congestion_control,
        encrypt=file.lab.encrypt,
        allow_unshaped=file.network.allow_unshaped,
        verify=file.network.verify,
        timeline=_build_timeline(checked, devices, known, settled, choices, topology, document),
        placement=file.placement,
        cpu_factor=None if file.cpu_factor is None else float(file.cpu_factor),
        time=file.time,
        federatedscope_source=file.federatedscope.source,
        initial_model=initial_model,
        topology=topology,
        tracks=used_tracks(devices, variations.tracks),
        patches_off=tuple(sorted(name for name, enabled in file.federatedscope.patches.items() if not enabled)),
        requirements=read_requirements(file.federatedscope.requirements, document, path.parent),
        notes=(
            *((describe_default(of_tree),) if by_default else ()),
            *moved.note(str(file.federatedscope.config_file)),
            *settled.notes,
            *definitions.notes(),
            *describe_other_cores(checked.entries, choices),
            *describe_device_settings(devices),
            *_describe_unused(file.federatedscope, devices),
        ),
        path=path,
        source=text,
    )
    check_time(experiment, document)
    return Draft(experiment, document, tree, known, by_default, moved.renamed)


def _build_timeline(
    checked: Checked,
    devices: Sequence[Device],
    known: bool,
    settled: Settled,
    choices: Choices,
    topology: Topology | None,
    document: Document,
) -> tuple[TimelineEntry, ...]:
    """Build what happens during the course. ``known``: all devices are."""
    server = next((device.name for device in devices if device.role == "server"), None)
    clients = [
        name
        for entry in (checked.entries if known else ())
        if entry is not None and entry.role == "client"
        for name in device_names(entry)
    ]
    limits, federate = checked.file.course, settled.config.get("federate")
    rounds = federate.get("total_round_num") if isinstance(federate, dict) else None
    course = Course(
        checked.file.seed,
        float(limits.timeout),
        rounds if isinstance(rounds, int) else None,
        clients if known else None,
        server,
        limits.on_client_failure == "continue",
    )
    selectors = DeviceSelectors(devices, checked.entries) if known else None
    events = build_timeline(checked.events, devices, selectors, choices, course, topology, document)
    offline = availability_timeline(
        checked.entries, devices, checked.file.seed, float(limits.timeout), document, choices.folder
    )
    return (*events, *(replace(one, number=number) for number, one in enumerate(offline, len(events) + 1)))


def _says_nothing_of_the_course(checked: Checked) -> bool:
    section = checked.file.federatedscope
    unreadable = any(path[:1] == ("federatedscope",) for path in checked.invalid)
    named = section.config is not None or section.config_file is not None
    # FederatedScope's own data sets are named in its configuration.
    return not (named or unreadable or checked.file.data.dataset == FEDERATEDSCOPE)


def _describe_unused(section: FederatedScopeSection, devices: Sequence[Device]) -> Iterator[str]:
    """Say which keys have no effect because no device's engine is installed from a source."""
    given = [key for key in ("source", "requirements", "patches") if getattr(section, key)]
    if given and devices and not any(engine_facts(device.engine).source for device in devices):
        keys = " and ".join(f"federatedscope.{key}" for key in given)
        yield f"{keys}: not used, as no device has engine: federatedscope"


def _find_config_tree(
    section: FederatedScopeSection,
    checked: Checked,
    document: Document,
    folder: Path,
    overrides: Sequence[Override],
) -> tuple[Document | None, Moved]:
    """Find FederatedScope's tree, in the experiment file, in its own, or in both; None if in neither. Errors go to one
    list. Also returned: which older keys of its own file were moved."""
    at: tuple[PathPart, ...] = ("federatedscope",)
    if section.config_file is None:
        if section.config is not None:
            return document.below(_AT_CONFIG), Moved()
        if not any(path[:1] == at for path in checked.invalid):
            hint = "give config, with data and federate.total_round_num, or config_file"
            document.report(at, "no configuration, which names the data set", hint)
        return None, Moved()
    try:
        try:
            other = folder / Path(section.config_file).expanduser()
        except RuntimeError:
            document.report((*at, "config_file"), f"{section.config_file}: there is no such user here")
            return None, Moved()
        tree = parse(read_text(other), str(other), merges=True)
    except SpecErrors as errors:
        for error in errors.errors:
            if error.line:
                document.errors.append(error)
            else:
                document.report((*at, "config_file"), f"{section.config_file}: {error.message}", error.hint)
        return None, Moved()
    document.errors.extend(tree.errors)
    return brought_tree(tree, document, overrides)


def _report_empty_values(value: Any, path: tuple[PathPart, ...], document: Document) -> None:
    """Report keys without a value: probably unfinished lines. FederatedScope's own trees may hold nulls."""
    if path == _AT_CONFIG or (len(path) == 3 and (path[0], path[2]) == ("devices", "federatedscope")):
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
