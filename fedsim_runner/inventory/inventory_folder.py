"""Writing and reading inventories and device files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..contract.device_file import read_device_file
from ..contract.paths import DEVICE_FILES
from ..yamlfile.dump import dump
from .build import Inventory

# Ansible takes 26 s to list 2,000 hosts from YAML and a fifth of that from JSON; up to here, YAML is easier to read.
YAML_UP_TO_DEVICES = 50
HEADER = "# Written by fedsim-provision inventory. Edit the experiment file, or this one by hand.\n"


def write_inventory(inventory: Inventory, folder: Path) -> Path:
    """Write ``hosts.yml`` (or ``hosts.json``) and ``device_files/`` into ``folder``; return the hosts file.

    Raises:
        OSError: the folder cannot be written.
    """
    device_files = folder / DEVICE_FILES
    device_files.mkdir(parents=True, exist_ok=True)
    devices = 0
    for lab_host, content in inventory.device_files.items():
        devices += len(content["devices"])
        text = json.dumps(content, indent=1) + "\n"
        _write_if_different(device_files / f"{lab_host}.json", text)
    if devices > YAML_UP_TO_DEVICES:
        hosts_file, stale = folder / "hosts.json", folder / "hosts.yml"
        text = json.dumps(inventory.hosts, indent=1) + "\n"
    else:
        hosts_file, stale = folder / "hosts.yml", folder / "hosts.json"
        text = HEADER + dump(inventory.hosts)
    stale.unlink(missing_ok=True)
    _write_if_different(hosts_file, text)
    return hosts_file


def _write_if_different(path: Path, text: str) -> None:
    try:
        if path.read_bytes() == text.encode():
            return
    except OSError:
        pass  # writing will report what is wrong
    path.write_text(text, encoding="utf-8")


def read_device_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the device files of an inventory folder, by lab host name.

    Raises:
        DeviceFileError: a file cannot be read or has another version.
    """
    return {path.stem: read_device_file(path).as_dict() for path in sorted((folder / DEVICE_FILES).glob("*.json"))}
