"""Reading the device file of a lab host and selecting devices from it."""

from __future__ import annotations

import fnmatch
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract import device_file
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.device_file import DeviceFileError


def read_device_file(path: str, run: str | None = None) -> dict[str, Any]:
    """Read the device file at ``path``; ``run`` replaces its run id, as an inventory may be run under other names.

    Raises:
        DeviceFileError: it is missing, unreadable, not JSON, or of an unknown version or form.
    """
    return device_file.read_device_file(path, run).as_dict()


def matches(name: str, pattern: str | None) -> bool:
    """Whether a pattern selects a device: shell patterns separated by commas, ``!`` in front excludes.

    An empty pattern selects all devices.
    """
    included, excluded = _split_pattern(pattern)
    return any(fnmatch.fnmatchcase(name, part) for part in included) and not any(
        fnmatch.fnmatchcase(name, part) for part in excluded
    )


def select_devices(content: dict[str, Any], pattern: str | None) -> list[dict[str, Any]]:
    """Return the devices of the device file that the pattern selects.

    Raises:
        DeviceFileError: a pattern that is not negated matches no device of the whole run.
    """
    devices: list[dict[str, Any]] = content["devices"]
    if not pattern:
        return devices
    names = _list_names(content)
    for part in _split_pattern(pattern)[0]:
        if not any(fnmatch.fnmatchcase(name, part) for name in names):
            raise DeviceFileError(
                f"fedsim_devices: {part!r} matches no device of run {content['run']} (it has {_shorten(sorted(names))})"
            )
    return [device for device in devices if matches(device["name"], pattern)]


def list_addresses(content: dict[str, Any]) -> dict[str, str]:
    """Return the addresses of all devices of the run, on this lab host and on others, by name."""
    found = {device["name"]: device["address"] for device in content["devices"]}
    found.update((peer["device"], address) for address, peer in content["peers"].items())
    return found


def _split_pattern(pattern: str | None) -> tuple[list[str], list[str]]:
    parts = [part.strip() for part in (pattern or "").split(",") if part.strip()]
    included = [part for part in parts if not part.startswith("!")] or ["*"]
    return included, [part[1:] for part in parts if part.startswith("!")]


def _list_names(content: dict[str, Any]) -> set[str]:
    names = {device["name"] for device in content["devices"]}
    names.update(content.get("clients", ()))
    names.update(peer["device"] for peer in content.get("peers", {}).values())
    return names


def _shorten(names: list[str], limit: int = 8) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
