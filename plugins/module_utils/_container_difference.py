"""Where a real container differs from the requested one."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences

#: Options of HostConfig that are compared one by one.
COMPARED_HOST_OPTIONS = (
    "Memory",
    "MemorySwap",
    "PidsLimit",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "CapDrop",
    "CapAdd",
    "SecurityOpt",
    "ReadonlyRootfs",
    "Tmpfs",
    "Binds",
    "ExtraHosts",
    "NetworkMode",
    "Sysctls",
    "LogConfig",
    "DeviceRequests",
)


def compare_container(
    found: dict[str, Any], want: dict[str, Any], image_id: str | None, differences: Differences
) -> None:
    """Record where an inspected container differs from ``want``. Extra labels and variables do not count."""
    config, host = found["Config"], found["HostConfig"]
    if image_id is not None and found["Image"] != image_id:
        differences.add("Image", config["Image"], want["Image"])
    for option in ("Hostname", "User", "Cmd"):
        differences.compare(option, config.get(option), want[option])
    environment = set(config.get("Env") or [])
    for entry in want["Env"]:
        if entry not in environment:
            variable = entry.split("=", 1)[0] + "="
            before = next((value for value in environment if value.startswith(variable)), None)
            differences.add("Env", before, entry)
    for key, value in want["Labels"].items():
        differences.compare(key, (config.get("Labels") or {}).get(key), value)
    for option in COMPARED_HOST_OPTIONS:
        if option in want["HostConfig"]:
            before, after = host.get(option), want["HostConfig"][option]
            if _normalize(before) != _normalize(after):
                differences.add(option, before, after)


def _normalize(value: Any) -> Any:
    """Return a value in one form: depending on its version, an Engine reports an unset option as null, 0 or []."""
    if not value:
        return None
    if isinstance(value, list):
        return sorted(json.dumps(entry, sort_keys=True).replace("CAP_", "") for entry in value)
    return value
