"""The devices of an experiment: types and profiles are looked up, counts expanded and the course's roles checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from ..catalog.name_rules import as_device_name, explain_unusable_device, explain_wrong_name
from ..catalog.resolve import unknown_name, with_limits
from ..catalog.types import DeviceType, NetworkProfile
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .definitions import Choices
from .device_data import without_data
from .experiment import Device
from .profile_choice import choose_profile
from .schema import DEVICES_MAX, DeviceEntry
from .traces.variations import Variations


def build_devices(
    entries: Sequence[DeviceEntry | None],
    choices: Choices,
    variations: Variations,
    document: Document,
    nameless: Set[int] = frozenset(),
) -> tuple[Device, ...]:
    """Build the devices in the order of the file, counts expanded; everything wrong with them is reported.

    An entry that is None is invalid; those in ``nameless`` have an invalid name or count. ``variations`` reads how
    links vary.
    """
    total = sum(entry.count for entry in entries if entry is not None)
    if total > DEVICES_MAX:
        document.report(("devices",), f"{total} devices are more than {DEVICES_MAX}")
        return ()
    devices: list[Device] = []
    owners: dict[str, int] = {}
    types: dict[str, str] = {}
    for number, entry in enumerate(entries):
        if entry is None:
            continue
        at: tuple[PathPart, ...] = ("devices", number)
        device_type = _find_type(entry, at, choices, document)
        if device_type is not None:
            _check_lookalike(entry.type, types.setdefault(as_device_name(entry.type), entry.type), at, document)
        network = _find_network(entry, device_type, at, choices, variations, document)
        names = _name_devices(entry, at, document)
        if number not in nameless:
            _check_duplicates(names, number, entry, owners, document)
        if device_type is None or network is None:
            continue
        if entry.overrides is not None:
            device_type = with_limits(device_type, entry.overrides)
        network = variations.settle(network)
        own = without_data(entry.federatedscope or {})
        pin = entry.lab_host if isinstance(entry.lab_host, str) else None
        labels = entry.lab_host if isinstance(entry.lab_host, dict) else {}
        devices += [
            Device(name, device_type, entry.role, entry.engine, network, own, number, entry.region, pin, labels)
            for name in names
        ]
    return tuple(devices)


def describe_other_cores(entries: Sequence[DeviceEntry | None], choices: Choices) -> Iterator[str]:
    """Yield which devices are nominal although their types say how fast they are, as their cpus are others."""
    for entry in entries:
        device_type = None if entry is None else choices.types.get(entry.type)
        if entry is None or device_type is None or device_type.compute is None or entry.overrides is None:
            continue
        if with_limits(device_type, entry.overrides).compute is None:
            names = device_names(entry)
            shown = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
            figures = f"the figures of {entry.type} are those of {device_type.cpus:g} cpus"
            yield f"{shown}: nominal, as cpus are overridden: {figures}"


def _find_type(entry: DeviceEntry, at: tuple[PathPart, ...], choices: Choices, document: Document) -> DeviceType | None:
    if entry.type not in choices.types:
        problem = unknown_name(("type",), "device type", entry.type, list(choices.types))
        document.report((*at, *problem.path), problem.message, problem.hint)
        return None
    return choices.types[entry.type]


def _check_lookalike(name: str, first: str, at: tuple[PathPart, ...], document: Document) -> None:
    """Report a type that differs from another one in use only in its hyphens: their groups would be one."""
    if first != name and not any(document.errors_at(("device_types", kind)) for kind in (name, first)):
        message = f'"{name}" differs from device type "{first}" only in _ and -'
        document.report((*at, "type"), message, "use one of them")


def _find_network(
    entry: DeviceEntry,
    device_type: DeviceType | None,
    at: tuple[PathPart, ...],
    choices: Choices,
    variations: Variations,
    document: Document,
) -> NetworkProfile | None:
    if entry.network is None:
        return choices.profiles.get(device_type.network) if device_type is not None else None
    here = (*at, "network")
    profile = choose_profile(entry.network, f"{entry.name or entry.type}-link", here, choices, document)
    if profile is None or isinstance(entry.network, str):
        return profile
    return variations.add_to(profile, entry.network, here, choices.profiles)


def device_names(entry: DeviceEntry) -> list[str]:
    """The names of an entry's devices."""
    stem = str(entry.name or as_device_name(entry.type))
    return [stem] if entry.count == 1 else [f"{stem}-{number}" for number in range(1, entry.count + 1)]


def _name_devices(entry: DeviceEntry, at: tuple[PathPart, ...], document: Document) -> list[str]:
    stem, names = str(entry.name or as_device_name(entry.type)), device_names(entry)
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
