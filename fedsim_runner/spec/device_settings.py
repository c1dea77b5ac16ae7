"""FederatedScope settings of single devices: what FederatedScope's ``--client_cfg`` is for its standalone mode."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ..yamlfile.document import Document, Node, parse
from ..yamlfile.dump import dump_line
from ..yamlfile.overrides import put_into
from ..yamlfile.spec_errors import SpecError, SpecErrors
from .experiment import Device, Experiment
from .schema import DeviceEntry
from .settled_config import check_values
from .testbed_keys import owned_keys

# Sections that only the server reads, or that must be the same for all.
COURSE_WIDE = frozenset(
    {"aggregator", "asyn", "backend", "early_stop", "federate", "fedopt", "hpo", "verbose", "vertical"}
)
# Keys of a model that change no parameter's shape.
SHAPELESS = frozenset({"dropout"})
# Methods that aggregate nothing, so that each client may have its own model.
ALONE = frozenset({"local", "isolated"})
_CLIENT_SECTION = re.compile(r"client_([1-9][0-9]*)$")
# A section in a hint stays below this many characters.
_SHOWN = 160


def check_device_settings(entries: Sequence[DeviceEntry | None], config: Mapping[str, Any], document: Document) -> None:
    """Report everything wrong with entries' own settings.

    Args:
        entries: None: an invalid entry.
        config: the settings that all devices share.
        document: the experiment file.
    """
    for number, entry in enumerate(entries):
        if entry is not None and entry.federatedscope is not None:
            _check(entry, config, document.below(("devices", number, "federatedscope")))


def _check(entry: DeviceEntry, config: Mapping[str, Any], document: Document) -> None:
    settings = entry.federatedscope or {}
    if entry.role == "server":
        document.report((), "only clients have settings of their own", "those of the server are federatedscope.config")
        return
    check_values(settings, (), document)
    owned = {key.path[0]: key for key in owned_keys(0, None)}
    for key in settings:
        if key in COURSE_WIDE:
            document.report((key,), "holds for all participants, not for one", "write it in federatedscope.config")
        elif key in owned:
            document.report((key,), "the testbed sets it for each device", "remove it")
        elif _CLIENT_SECTION.match(key):
            document.report((key,), "this is already one device: write what is below it", "remove this level")
    _check_model(settings, config, document)


def _check_model(settings: Mapping[str, Any], config: Mapping[str, Any], document: Document) -> None:
    """Report another model than the others', unless parts of models, or all of them, stay where they are."""
    own = settings.get("model")
    if not isinstance(own, Mapping) or _get(config, "federate", "method") in ALONE:
        return
    if _get(settings, "personalization", "local_param") or _get(config, "personalization", "local_param"):
        return
    for key, value in own.items():
        if key not in SHAPELESS and value != _get(config, "model", key):
            why = "makes a model whose parameters cannot be averaged with the others'"
            document.report(("model", key), why, "name what stays on the device in personalization.local_param")


def client_sections(values: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """The sections ``client_1`` and so on, as in a file for ``--client_cfg``, by number."""
    found = {match: values[match[0]] for match in map(_CLIENT_SECTION.match, values) if match is not None}
    return {int(match[1]): section for match, section in found.items() if isinstance(section, Mapping)}


def take_client_sections(values: dict[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Remove and return :func:`client_sections`."""
    sections = client_sections(values)
    for number in sections:
        del values[f"client_{number}"]
    return sections


def report_client_sections(
    sections: Mapping[int, Mapping[str, Any]], tree: Document, devices: Sequence[Device]
) -> None:
    """Report each section in FederatedScope's configuration, with where it belongs."""
    clients = [device.name for device in devices if device.role == "client"]
    for number, section in sections.items():
        who = f"device {clients[number - 1]}" if number <= len(clients) else f"the device of client {number}"
        hint = f"give {who} `federatedscope: {_flow(section)}`; `fedsim-provision init --client-cfg FILE` writes that"
        message = "settings of one client stand at its device in the experiment file"
        tree.report((f"client_{number}",), message, hint)


def device_document(experiment: Experiment, name: str, errors: list[SpecError]) -> Document:
    """A device's own settings in an experiment file that was read before, for errors that are found later."""
    shown = "the experiment file" if experiment.path is None else str(experiment.path)
    try:
        document = parse(experiment.source, shown)
        put_into(document, experiment.overrides)
    except SpecErrors:  # there was no file: errors then have no lines
        document = Document(shown, Node(0, 0))
    entries = document.get(("devices",)) or []
    # The entry of each device, as counts are expanded in the order of the file.
    numbers = [number for number, entry in enumerate(entries) for _ in range(entry.get("count", 1))]
    at = dict(zip((device.name for device in experiment.devices), numbers, strict=False)).get(name, 0)
    return Document(document.file, document.root, errors, ("devices", at, "federatedscope"), document.origins)


def describe_device_settings(devices: Sequence[Device]) -> Iterator[str]:
    """Say which devices have settings of their own, those of one entry of the file together."""
    for _, group in groupby(devices, key=lambda device: id(device.config)):
        first, *others = group
        if first.config:
            shown = f"{first.name} to {others[-1].name} have" if others else f"{first.name} has"
            yield f"{shown} settings of their own: {_flow(first.config)}"


def _get(tree: Mapping[str, Any], section: str, key: str) -> Any:
    below = tree.get(section)
    return below.get(key) if isinstance(below, Mapping) else None


def _flow(section: Any) -> str:
    """A section in one line of YAML, shortened where it would be long."""
    text = dump_line(section)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
