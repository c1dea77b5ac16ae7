"""Reading the device file of a lab host and choosing devices from it."""

from __future__ import annotations

import fnmatch
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract import device_file
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.device_file import DeviceFileError


def read_device_file(path: str, run: str | None = None) -> dict[str, Any]:
    """The device file at ``path``, as one of ``run`` if that is given: an inventory may be run under other names.

    Raises:
        DeviceFileError: it is missing, unreadable, no JSON, or of another version or form.
    """
    return device_file.read_device_file(path, run).as_dict()


def matches(name: str, pattern: str | None) -> bool:
    """Whether a device's name is meant by a pattern: shell patterns joined by commas, ``!`` in front takes away.

    An empty pattern means all devices.
    """
    wanted, unwanted = _parts(pattern)
    return any(fnmatch.fnmatchcase(name, part) for part in wanted) and not any(
        fnmatch.fnmatchcase(name, part) for part in unwanted
    )


def select_devices(content: dict[str, Any], pattern: str | None) -> list[dict[str, Any]]:
    """Devices of the device file whose name ``matches``.

    Raises:
        DeviceFileError: a pattern that is not negated matches no device of the whole run.
    """
    devices: list[dict[str, Any]] = content["devices"]
    if not pattern:
        return devices
    known = _names_of_run(content)
    for part in _parts(pattern)[0]:
        if not any(fnmatch.fnmatchcase(name, part) for name in known):
            raise DeviceFileError(
                f"fedsim_devices: {part!r} matches no device of run {content['run']} (it has {_some(sorted(known))})"
            )
    return [device for device in devices if matches(device["name"], pattern)]


def server_address(content: dict[str, Any]) -> str | None:
    """Address of the run's server, on this lab host or another."""
    server = content["course"]["server"]
    for device in content["devices"]:
        if device["name"] == server:
            return str(device["address"])
    for address, peer in content["peers"].items():
        if peer["device"] == server:
            return str(address)
    return None


def _parts(pattern: str | None) -> tuple[list[str], list[str]]:
    parts = [part.strip() for part in (pattern or "").split(",") if part.strip()]
    wanted = [part for part in parts if not part.startswith("!")] or ["*"]
    return wanted, [part[1:] for part in parts if part.startswith("!")]


def _names_of_run(content: dict[str, Any]) -> set[str]:
    names = {device["name"] for device in content["devices"]}
    names.update(content.get("clients", ()))
    names.update(peer["device"] for peer in content.get("peers", {}).values())
    return names


def _some(names: list[str], limit: int = 8) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
