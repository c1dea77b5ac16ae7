"""FederatedScope settings of single devices: what FederatedScope's ``--client_cfg`` is for its standalone mode."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ..catalog.federatedscope_keys import known_keys
from ..yamlfile.document import Document, Node, parse
from ..yamlfile.dump import dump_line
from ..yamlfile.overrides import put_into
from ..yamlfile.spec_errors import SpecError, SpecErrors
from .device_data import data_of, without_data
from .experiment import Device, Experiment
from .schema import DeviceEntry
from .settled_config import check_values, take_wrong_sections
from .testbed_keys import owned_keys

# Sections that only the server reads, or that must be the same for all.
COURSE_WIDE = frozenset(
    {"aggregator", "asyn", "backend", "early_stop", "federate", "fedopt", "fedswa", "hpo", "verbose", "vertical"}
)
# Keys like those. FederatedScope's average of clients that return different parts of a model is too small.
COURSE_WIDE_KEYS = (
    ("eval", "freq"), ("eval", "report"), ("personalization", "local_param"),
    ("personalization", "share_non_trainable_para"),
)  # fmt: skip
# Keys of a model that change no parameter's shape.
SHAPELESS = frozenset({"dropout"})
# Sections in which the testbed sets one key only.
_USERS_SECTIONS = frozenset({"dataloader"})
_FOR_ALL = ("holds for all participants, not for one", "write it in federatedscope.config")
_CLIENT_SECTION = re.compile(r"client_([1-9][0-9]{0,8})$")
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
    settings = without_data(entry.federatedscope or {})
    if entry.role == "server":
        if settings:
            hint = "those of the server are federatedscope.config"
            document.report((), "only clients have settings of their own", hint)
        return
    check_values(settings, (), document)
    take_wrong_sections(copy.deepcopy(settings), known_keys(), (), document)
    owned = {key.path[0] for key in owned_keys(0, None)} - _USERS_SECTIONS
    for key in settings:
        if key in COURSE_WIDE:
            document.report((key,), *_FOR_ALL)
        elif key in owned:
            # Beside what the device gets of the data.
            paths = (
                [(key, below) for below in settings[key]] if key in data_of(entry.federatedscope or {}) else [(key,)]
            )
            for path in paths:
                document.report(path, "the testbed sets it for each device", "remove it")
        elif _CLIENT_SECTION.match(key):
            document.report((key,), "this is already one device: write what is below it", "remove this level")
    for one in owned_keys(0, None):
        own = _get(settings, *one.path) if one.path[0] in _USERS_SECTIONS else None
        if own is not None and not one.says_the_same(own):
            document.report(one.path, f"the testbed sets it: {one.why}", "remove it")
    for section, key in COURSE_WIDE_KEYS:
        own = _get(settings, section, key)
        if own is not None and own != _get(config, section, key):
            document.report((section, key), *_FOR_ALL)
    _check_model(settings, config, document)


def _check_model(settings: Mapping[str, Any], config: Mapping[str, Any], document: Document) -> None:
    """Report another model than the others', unless parts of models stay where they are."""
    own = settings.get("model")
    if not isinstance(own, Mapping) or _get(config, "personalization", "local_param"):
        return
    if str(_get(config, "federate", "method")).lower() == "local":
        return  # nothing is averaged
    for key, value in own.items():
        if key not in SHAPELESS and value != _get(config, "model", key):
            why = "makes a model whose parameters cannot be averaged with the others'"
            hint = "name what stays on each device in federatedscope.config, as personalization.local_param"
            document.report(("model", key), why, hint)


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
    entry = next(device.entry for device in experiment.devices if device.name == name)
    return experiment_document(experiment, errors).below(("devices", entry, "federatedscope"))


def experiment_document(experiment: Experiment, errors: list[SpecError]) -> Document:
    """An experiment file that was read before, for errors that are found later."""
    shown = "the experiment file" if experiment.path is None else str(experiment.path)
    try:
        document = parse(experiment.source, shown)
        put_into(document, experiment.overrides)
    except SpecErrors:  # there was no file: errors then have no lines
        document = Document(shown, Node(0, 0))
    return Document(document.file, document.root, errors, origins=document.origins)


def describe_device_settings(devices: Sequence[Device]) -> Iterator[str]:
    """Say which devices have settings of their own, those of one entry of the file together."""
    for _, group in groupby(devices, key=lambda device: id(device.config)):
        first, *others = group
        if first.config:
            who = f"{first.name} has settings of its own"
            if others:
                who = f"{first.name} to {others[-1].name} have settings of their own"
            yield f"{who}: {_flow(first.config)}"


def _get(tree: Mapping[str, Any], section: str, key: str) -> Any:
    below = tree.get(section)
    return below.get(key) if isinstance(below, Mapping) else None


def _flow(section: Any) -> str:
    """A section in one line of YAML, shortened where it would be long."""
    text = dump_line(section)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
