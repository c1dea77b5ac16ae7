"""Device types and network profiles as data, which an experiment file may use by name without defining them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from ..contract.errors import Exit, FedsimError
from .compute import settle_compute
from .entries import DeviceTypeEntry, ProfileEntry
from .problem import Problem
from .resolve import Resolver, resolve_device_type, resolve_profile
from .types import DeviceType, NetworkProfile

FOLDER = Path(__file__).resolve().parent
DEVICE_TYPES_FILE = FOLDER / "device_types.yaml"
NETWORK_PROFILES_FILE = FOLDER / "network_profiles.yaml"

__all__ = ["Catalog", "CatalogError", "load_catalog"]


class CatalogError(FedsimError):
    """The program's own catalogue is wrong."""

    exit = Exit.INTERNAL


@dataclass(frozen=True)
class Catalog:
    """The built-in device types and network profiles, by name, and their entries as written."""

    device_types: Mapping[str, DeviceType]
    profiles: Mapping[str, NetworkProfile]
    device_type_entries: Mapping[str, DeviceTypeEntry]
    profile_entries: Mapping[str, ProfileEntry]


@lru_cache(maxsize=1)
def load_catalog() -> Catalog:
    """Load the catalogue of this installation.

    Raises:
        CatalogError: an entry contradicts itself or names something that does not exist.
    """
    problems: list[str] = []

    def report(name: str, problem: Problem) -> None:
        problems.append(": ".join((name, *problem.path, problem.message)))

    profile_entries = {name: ProfileEntry.model_validate(value) for name, value in _read(NETWORK_PROFILES_FILE).items()}
    type_entries = {name: DeviceTypeEntry.model_validate(value) for name, value in _read(DEVICE_TYPES_FILE).items()}
    no_profiles: dict[str, NetworkProfile] = {}
    no_types: dict[str, DeviceType] = {}
    profiles = Resolver("network profile", report).resolve(profile_entries, no_profiles, resolve_profile)
    types = Resolver("device type", report).resolve(type_entries, no_types, resolve_device_type)
    types = settle_compute(type_entries, no_types, types, report)
    found_types = {name: value for name, value in types.items() if value is not None}
    found_profiles = {name: value for name, value in profiles.items() if value is not None}
    for name, value in found_types.items():
        if value.network not in found_profiles:
            problems.append(f"{name}: network: there is no network profile {value.network}")
    if problems:
        raise CatalogError("; ".join(problems))
    return Catalog(
        device_types=MappingProxyType(found_types),
        profiles=MappingProxyType(found_profiles),
        device_type_entries=MappingProxyType(type_entries),
        profile_entries=MappingProxyType(profile_entries),
    )


def _read(path: Path) -> dict[str, dict[str, Any]]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise CatalogError(f"{path.name}: not a mapping of names")
    return content
