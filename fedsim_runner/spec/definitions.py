"""An experiment's own device types and network profiles, on top of the catalogue's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..catalog.compute import settle_compute
from ..catalog.entries import DeviceTypeEntry, ProfileEntry
from ..catalog.load import Catalog
from ..catalog.name_rules import as_device_name, explain_wrong_kind
from ..catalog.problem import Problem
from ..catalog.resolve import Resolver, resolve_device_type, resolve_profile, unknown_name
from ..catalog.types import DeviceType, NetworkProfile
from ..content import content_root
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .traces.variations import Variations

AT_TYPES: tuple[PathPart, ...] = ("device_types",)
AT_PROFILES: tuple[PathPart, ...] = ("network", "profiles")
# Where profiles may stand as well, with a rule of their own.
AT_TOP_PROFILES: tuple[PathPart, ...] = ("network_profiles",)


@dataclass(frozen=True)
class Choices:
    """The types and profiles that devices may name. None: its definition is wrong (already reported).

    ``folder``: where relative paths start.
    """

    types: Mapping[str, DeviceType | None]
    profiles: Mapping[str, NetworkProfile | None]
    folder: Path


@dataclass(frozen=True)
class Definitions:
    """An experiment's own types and profiles. None: an invalid entry, about which nothing more is reported.

    Attributes:
        types: from ``device_types``.
        profiles: from ``network.profiles``.
        top_profiles: from ``network_profiles``.
    """

    types: Mapping[str, DeviceTypeEntry | None]
    profiles: Mapping[str, ProfileEntry | None]
    top_profiles: Mapping[str, ProfileEntry | None] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """What was decided for the user: which profiles' downlink takes over the rate of the uplink."""
        names = [name for name, entry in self.top_profiles.items() if entry is not None and _both(entry) is not entry]
        rule = "the rate that is given for the uplink holds in both directions"
        return [f"network_profiles, {', '.join(names)}: {rule}"] if names else []


def resolve_definitions(
    catalog: Catalog, own: Definitions, variations: Variations, document: Document, folder: Path
) -> Choices:
    """Combine the catalogue with the experiment's own types and profiles; everything wrong with them is reported.

    Relative paths start at ``folder``; ``variations`` reads how links vary.
    """
    for at, names in ((AT_PROFILES, own.profiles), (AT_TOP_PROFILES, own.top_profiles), (AT_TYPES, own.types)):
        for name in names:
            wrong = explain_wrong_kind(name)
            if wrong:
                document.report((*at, name), *wrong)
    _check_lookalikes(own, document)
    for name in own.profiles.keys() & own.top_profiles.keys():
        document.report((*AT_TOP_PROFILES, name), "is also in network.profiles", "remove one of them")

    def report(at: tuple[PathPart, ...], name: str, problem: Problem) -> None:
        document.report((*at, name, *problem.path), problem.message, problem.hint)

    own_profiles = {**{name: entry and _both(entry) for name, entry in own.top_profiles.items()}, **own.profiles}
    valid = {name: entry for name, entry in own_profiles.items() if entry is not None}
    places = {name: (*(AT_PROFILES if name in own.profiles else AT_TOP_PROFILES), name) for name in valid}
    profiles = Resolver(
        "network profile",
        lambda name, problem: report(AT_PROFILES if name in own.profiles else AT_TOP_PROFILES, name, problem),
    ).resolve(
        valid,
        {**catalog.profiles, **{name: None for name, entry in own_profiles.items() if entry is None}},
        partial(resolve_profile, folder=folder),
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

    valid_types = {name: entry for name, entry in own.types.items() if entry is not None}
    known_types = {**catalog.device_types, **{name: None for name, entry in own.types.items() if entry is None}}
    report_type = partial(report, AT_TYPES)
    types = Resolver("device type", report_type).resolve(valid_types, known_types, build_type)
    types = settle_compute(valid_types, known_types, types, report_type)
    _check_images(own, types, document)
    return Choices(types, variations.add_to_all(profiles, valid, places), folder)


def _both(entry: ProfileEntry) -> ProfileEntry:
    """A profile of ``network_profiles``: the rate that it gives for the uplink alone holds for the downlink, too."""
    down = entry.bandwidth_down_kbps or (entry.down and entry.down.bandwidth_kbps)
    up = entry.bandwidth_up_kbps or (entry.up and entry.up.bandwidth_kbps)
    if entry.based_on is not None or down is not None or up is None:
        return entry
    return entry.model_copy(update={"bandwidth_down_kbps": up})


def _check_lookalikes(own: Definitions, document: Document) -> None:
    """Report types that differ only in _ and -: their devices and groups would have the same names."""
    seen: dict[str, str] = {}
    for name in own.types:
        first = seen.setdefault(as_device_name(name), name)
        if first != name:
            document.report((*AT_TYPES, name), f'differs from device type "{first}" only in _ and -', "rename one")


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
