"""The devices of an experiment: types and profiles are looked up, counts expanded and the course's roles checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from ..catalog.entries import DeviceTypeEntry, ProfileEntry
from ..catalog.load import Catalog
from ..catalog.name_rules import explain_unusable_device, explain_wrong_name
from ..catalog.resolve import (
    Problem,
    Resolver,
    resolve_device_type,
    resolve_profile,
    suggestion,
    unknown_name,
    with_limits,
)
from ..catalog.types import DeviceType, NetworkProfile
from ..content import content_root
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .experiment import Device
from .schema import DEVICES_MAX, DeviceEntry


@dataclass(frozen=True)
class Choices:
    """The types and profiles that devices may name. None: its definition is wrong (already reported)."""

    types: Mapping[str, DeviceType | None]
    profiles: Mapping[str, NetworkProfile | None]


@dataclass(frozen=True)
class Definitions:
    """An experiment's own types and profiles. None: an invalid entry, about which nothing more is reported."""

    types: Mapping[str, DeviceTypeEntry | None]
    profiles: Mapping[str, ProfileEntry | None]


def resolve_definitions(catalog: Catalog, own: Definitions, document: Document, folder: Path) -> Choices:
    """Combine the catalogue with the experiment's own types and profiles; everything wrong with them is reported.

    Relative ``dockerfile`` paths start at ``folder``.
    """
    at_profile: tuple[PathPart, ...] = ("network", "profiles")
    at_type: tuple[PathPart, ...] = ("device_types",)
    for at, names in ((at_profile, own.profiles), (at_type, own.types)):
        for name in names:
            _check_name(name, (*at, name), document)

    def report(at: tuple[PathPart, ...], name: str, problem: Problem) -> None:
        document.report((*at, name, *problem.path), problem.message, problem.hint)

    profiles = Resolver("network profile", lambda name, problem: report(at_profile, name, problem)).resolve(
        {name: entry for name, entry in own.profiles.items() if entry is not None},
        {**catalog.profiles, **{name: None for name, entry in own.profiles.items() if entry is None}},
        resolve_profile,
    )
    dockerfiles = content_root() / "dockerfiles"

    def build_type(
        name: str, entry: DeviceTypeEntry, base: DeviceType | None
    ) -> tuple[DeviceType | None, list[Problem]]:
        resolved, problems = resolve_device_type(name, entry, base, folder=folder, dockerfiles=dockerfiles)
        if entry.network is not None and entry.network not in profiles:
            problems.append(unknown_name(("network",), "network profile", entry.network, list(profiles)))
            resolved = None
        return resolved, problems

    types = Resolver("device type", lambda name, problem: report(at_type, name, problem)).resolve(
        {name: entry for name, entry in own.types.items() if entry is not None},
        {**catalog.device_types, **{name: None for name, entry in own.types.items() if entry is None}},
        build_type,
    )
    _check_images(own, types, document)
    return Choices(types, profiles)


def _check_images(own: Definitions, types: Mapping[str, DeviceType | None], document: Document) -> None:
    """Report directories with the same name: images are named after them, so only one could be built."""
    seen: dict[str, str] = {}
    for name in own.types:
        device_type = types[name]
        if device_type is None or "/" not in device_type.dockerfile:
            continue
        first = seen.setdefault(Path(device_type.dockerfile).name, device_type.dockerfile)
        if first != device_type.dockerfile:
            document.report(
                ("device_types", name, "dockerfile"),
                f"images are named after their directory, and {first} has the same name",
                "rename one of them",
            )


def build_devices(
    entries: Sequence[DeviceEntry | None], choices: Choices, document: Document, nameless: Set[int] = frozenset()
) -> tuple[Device, ...]:
    """Build the devices in the order of the file, counts expanded; everything wrong with them is reported.

    An entry that is None is invalid; those in ``nameless`` have an invalid name or count.
    """
    total = sum(entry.count for entry in entries if entry is not None)
    if total > DEVICES_MAX:
        document.report(("devices",), f"{total} devices are more than {DEVICES_MAX}")
        return ()
    devices: list[Device] = []
    owners: dict[str, int] = {}
    for number, entry in enumerate(entries):
        if entry is None:
            continue
        at: tuple[PathPart, ...] = ("devices", number)
        device_type = _find_type(entry, at, choices, document)
        network = _find_network(entry, device_type, at, choices, document)
        names = _name_devices(entry, at, document)
        if number not in nameless:
            _check_duplicates(names, number, entry, owners, document)
        if device_type is None or network is None:
            continue
        if entry.overrides is not None:
            device_type = with_limits(device_type, entry.overrides)
        devices += [Device(name, device_type, entry.role, entry.engine, network) for name in names]
    return tuple(devices)


def _find_type(entry: DeviceEntry, at: tuple[PathPart, ...], choices: Choices, document: Document) -> DeviceType | None:
    if entry.type not in choices.types:
        problem = unknown_name(("type",), "device type", entry.type, list(choices.types))
        document.report((*at, *problem.path), problem.message, problem.hint)
        return None
    return choices.types[entry.type]


def _find_network(
    entry: DeviceEntry, device_type: DeviceType | None, at: tuple[PathPart, ...], choices: Choices, document: Document
) -> NetworkProfile | None:
    here = (*at, "network")
    if isinstance(entry.network, ProfileEntry):
        base = None
        if entry.network.based_on is not None:
            if entry.network.based_on not in choices.profiles:
                hint = suggestion(entry.network.based_on, list(choices.profiles))
                document.report((*here, "based_on"), f'there is no network profile "{entry.network.based_on}"', hint)
                return None
            base = choices.profiles[entry.network.based_on]
            if base is None:
                return None
        profile, problems = resolve_profile(f"{entry.name or entry.type}-link", entry.network, base)
        for problem in problems:
            document.report((*here, *problem.path), problem.message, problem.hint)
        return profile
    name = entry.network
    if name is None:
        return choices.profiles.get(device_type.network) if device_type is not None else None
    if name not in choices.profiles:
        document.report(here, f'there is no network profile "{name}"', suggestion(name, list(choices.profiles)))
        return None
    return choices.profiles[name]


def _name_devices(entry: DeviceEntry, at: tuple[PathPart, ...], document: Document) -> list[str]:
    stem = str(entry.name or entry.type)
    names = [stem] if entry.count == 1 else [f"{stem}-{number}" for number in range(1, entry.count + 1)]
    if entry.name is not None and not _check_name(entry.name, (*at, "name"), document):
        return names
    if names[-1] != stem and (wrong := explain_wrong_name(names[-1])):
        document.report((*at, "count"), f"the last device's name: {wrong[0]}", "give a shorter name")
    if unusable := explain_unusable_device(names[0]):
        document.report((*at, "name"), unusable, f'for example "{names[0]}-1"')
    return names


def _check_name(name: str, path: tuple[PathPart, ...], document: Document) -> bool:
    wrong = explain_wrong_name(name)
    if wrong:
        document.report(path, *wrong)
    return wrong is None


def _check_duplicates(
    names: Sequence[str], number: int, entry: DeviceEntry, owners: dict[str, int], document: Document
) -> None:
    clash = next((name for name in names if name in owners), None)
    if clash is not None:
        where = ("devices", number, "name") if entry.name is not None else ("devices", number)
        hint = "choose another" if entry.name is not None else "give one of them a name, or use count"
        document.report(where, f'duplicate device name "{clash}", already used by devices[{owners[clash]}]', hint)
    for name in names:
        owners.setdefault(name, number)


def check_roles(entries: Sequence[DeviceEntry], document: Document) -> None:
    """Check that there is exactly one server and at least one client, without which there is no course."""
    servers = [number for number, entry in enumerate(entries) if entry.role == "server"]
    if not entries:
        document.report(("devices",), "no devices", "list one server and at least one client")
        return
    if not servers:
        document.report(("devices",), "no server", "give one device role: server")
    for number in servers:
        if entries[number].count > 1:
            document.report(
                ("devices", number, "count"), f"{entries[number].count} servers: a course has exactly one", "count: 1"
            )
    for number in servers[1:]:
        document.report(
            ("devices", number, "role"),
            f"a second server after devices[{servers[0]}]: a course has exactly one",
            "role: client",
        )
    if len(servers) == len(entries):
        document.report(("devices",), "no client", "add a device without role: server")
